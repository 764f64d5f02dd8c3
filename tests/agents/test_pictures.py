"""A frozen tower sees a picture once in a run, and what it saw never depends on the company it was in."""

import pytest
import torch
from PIL import Image

from agents.backends import prompts as prompts_module
from agents.backends.base import ModelRequest
from agents.backends.pictures import PictureFeatures
from agents.backends.prompts import compute_features
from agents.backends.vlm import VLM
from common.errors import BadInput
from rl.policies.text import TextPolicy
from tests.tiny_models import both_families

RED, BLUE, LONG = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 32), "blue"), Image.new("RGB", (96, 32))


@pytest.fixture
def passes(tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry per pass of the tower."""
    seen: list[int] = []
    real = prompts_module._alone
    monkeypatch.setattr(prompts_module, "_alone", lambda vlm, p: seen.append(1) or real(vlm, p))
    return seen


def asked(vlm: VLM, *images: tuple[Image.Image, ...]) -> list[tuple[torch.Tensor, ...]]:
    """Features of new prompts with these pictures."""
    return vlm.prompts.features(vlm.encode([ModelRequest(f"{n} of them", i) for n, i in enumerate(images)]))


@both_families
def test_once_in_a_run_and_the_same_as_together(tiny_vlm: VLM, passes: list[int]) -> None:
    TextPolicy(tiny_vlm, frozen_vision=True, vision_cache_mib=64)
    first = asked(tiny_vlm, (RED, BLUE), (), (LONG,), (RED,))
    assert len(passes) == 3
    again = asked(tiny_vlm, (LONG, RED), (BLUE,))
    assert len(passes) == 3
    assert torch.equal(again[0][0], first[2][0]) and torch.equal(again[1][0], first[0][1])
    together = compute_features(tiny_vlm, tiny_vlm.encode([ModelRequest("all", (RED, BLUE, LONG))]))[0]
    for one, other in zip((*first[0], *first[2]), together, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@both_families
def test_another_tower_sees_them_anew(tiny_vlm: VLM, passes: list[int]) -> None:
    TextPolicy(tiny_vlm, frozen_vision=True, vision_cache_mib=64)
    before = asked(tiny_vlm, (RED,))[0][0]
    with torch.no_grad():
        next(tiny_vlm.model.model.visual.parameters()).mul_(1.5)
    assert not torch.equal(asked(tiny_vlm, (RED,))[0][0], before) and len(passes) == 2


def test_memory_is_bounded_and_the_least_used_go_first() -> None:
    store, made = PictureFeatures(1), []
    quarter = torch.zeros(1 << 16)  # a quarter of a MiB

    def make(picture: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        made.append(int(picture[0][0]))
        return quarter + float(picture[0][0])

    def ask(*numbers: int) -> list[float]:
        return [float(f[0]) for f in store.many([(torch.tensor([n]), torch.ones(1, 3)) for n in numbers], make, "w")]

    assert ask(1, 2, 3, 4) == [1, 2, 3, 4] and ask(1) == [1] and made == [1, 2, 3, 4]
    assert ask(5) == [5] and ask(1, 3, 4, 5) == [1, 3, 4, 5] and made == [1, 2, 3, 4, 5]
    assert ask(2, 2) == [2, 2] and made[-1] == 2 and len(made) == 6
    assert (
        ask(10, 11, 12, 13, 14, 10) == [10, 11, 12, 13, 14, 10] and len(made) == 11
    )  # more at once than there is room


def test_a_tower_in_training_is_refused(tiny_vlm: VLM) -> None:
    with pytest.raises(BadInput, match="frozen_vision"):
        TextPolicy(tiny_vlm, vision_cache_mib=64)
