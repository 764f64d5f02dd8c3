"""Pictures are bounded before the decomposer sees them, and counted before anything is loaded."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from agents.backends.base import ModelRequest
from conf.parts import with_keys
from experiments.evaluation.resolve import composed
from experiments.preflight.picture_tokens import picture_tokens, pixels_at_most, processor_pixels, too_many_tokens

PHOTOS = SimpleNamespace(name="psr", text_only=False)


@pytest.fixture(scope="module")
def large(tiny_vlm_path, tmp_path_factory):
    """The tiny model with the published limit of pixels."""
    folder = tmp_path_factory.mktemp("large") / "decomposer"
    shutil.copytree(tiny_vlm_path, folder)
    values = json.loads((folder / "preprocessor_config.json").read_text())
    values["size"] = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def test_a_photograph_has_no_more_tokens_than_are_allowed_and_the_bound_is_what_is_counted(large):
    decomposer = composed([]).decomposer
    photo = ModelRequest("make it warmer", (Image.new("RGB", (1695, 2187)),))
    lengths = {}
    for bound in (None, 65536, 16384):
        part = with_keys(decomposer, "decomposer", {"checkpoint": str(large), "max_pixels": bound})
        vlm = part.load("cpu")
        lengths[bound] = int((vlm.encode([photo])[0].input_ids == vlm.image_token_id).sum())
        if bound:
            assert 0.8 * picture_tokens(bound, large) <= lengths[bound] <= picture_tokens(bound, large)
    assert lengths[None] > 10_000
    small = ModelRequest("make it warmer", (Image.new("RGB", (64, 64)),))
    assert len(vlm.encode([small])[0]) == len(decomposer.load("cpu", large).encode([small])[0])


def test_a_prompt_that_the_engine_would_refuse_is_named_before_anything_starts(large):
    config = composed(["rollouts=vllm"])
    assert list(too_many_tokens(config)) == []  # the sandbox draws 64 pixels
    bounded = [
        with_keys(config.decomposer, "decomposer", {"checkpoint": str(large), "max_pixels": m}) for m in (None, 65536)
    ]
    (line,) = too_many_tokens(replace(config, benchmark=PHOTOS, decomposer=bounded[0]))
    assert "decomposer.max_pixels" in line and "rollouts.max_tokens=4,096" in line and "12,845,056 pixels" in line
    assert list(too_many_tokens(replace(config, benchmark=PHOTOS, decomposer=bounded[1]))) == []
    assert (
        list(too_many_tokens(replace(config, benchmark=PHOTOS, decomposer=bounded[0], rollouts=composed([]).rollouts)))
        == []
    )


@pytest.mark.parametrize(
    ("device", "there", "refused"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_auto_is_checked_as_what_it_stands_for_on_this_machine(large, monkeypatch, device, there, refused):
    monkeypatch.setattr("experiments.build.rollouts.has_package", lambda name: there)
    config = composed(["rollouts=auto", f"engine.device={device}"])
    config = replace(
        config, benchmark=PHOTOS, decomposer=with_keys(config.decomposer, "decomposer", {"checkpoint": str(large)})
    )
    lines = list(too_many_tokens(config))
    assert bool(lines) == refused and all("decomposer.max_pixels" in line for line in lines)


def test_the_paper_scale_fits_its_engine():
    config = composed(["scale=paper", "rollouts=vllm"])
    assert list(too_many_tokens(replace(config, benchmark=PHOTOS))) == []
    assert pixels_at_most(replace(config, benchmark=PHOTOS)) == 802_816
    assert pixels_at_most(replace(config, benchmark=SimpleNamespace(name="mice_text", text_only=True))) == 0
    assert processor_pixels("nowhere") == 12_845_056


def test_a_newer_family_has_larger_tokens_and_its_own_limit():
    config = replace(composed(["scale=paper", "rollouts=vllm", "decomposer=qwen3_vl_8b"]), benchmark=PHOTOS)
    assert list(too_many_tokens(config)) == [] and pixels_at_most(config) == 1024 * 32**2
    assert picture_tokens(1024 * 32**2, config.decomposer.checkpoint) == 1024
    assert processor_pixels(config.decomposer.checkpoint) == 4096**2
