"""An answer's thought may go without the advantage: what it is, and what that does to the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from agents.backends.vlm import load_vlm
from common.errors import BadInput
from rl.anchors import Anchor
from rl.clock import Clock
from rl.config import AnchorConfig
from rl.grpo import GRPO
from rl.policies.text import TextBatch, TextPolicy
from rl.thoughts import ThoughtTokens
from tests.rl.runs import CONFIG
from tests.rl.test_anchors import grpo

TINY = Path(__file__).parents[2] / "assets" / "tiny" / "decomposer"
OFF = replace(CONFIG, kl_coef=0.0, thought_advantage=False)
FIRST = 3  # tokens of every answer that count as its thought in these tests


@pytest.mark.parametrize(
    "thought", ["", "2 edits; seen: top left red star", "gra\u0308u \u00fc \u732b", "a < b </thin"]
)
def test_the_thought_ends_with_its_closing_tag(thought: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    text = f"<think>{thought}</think><action>remove</action><subject>red star</subject><goal>none</goal>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    n = ThoughtTokens(tokenizer)(ids)
    assert tokenizer.decode(ids[:n]).endswith("</think>") and "</think>" not in tokenizer.decode(ids[: n - 1])
    assert tokenizer.decode(ids[n:]).startswith("<action>")


def test_an_answer_that_closes_no_thought_has_none() -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    thought = ThoughtTokens(tokenizer)
    assert thought([]) == 0
    for text in ("red star", "<think>2 edits", "</thin k>", "< /think>"):
        assert thought(tokenizer(text, add_special_tokens=False)["input_ids"]) == 0


def gradient(algorithm: GRPO) -> tuple[dict[str, torch.Tensor], list[Any]]:
    """Of the first update, before it is clipped, and the items that it was made of."""
    seen: dict[str, torch.Tensor] = {}
    items: list[Any] = []
    step, loss = algorithm.engine.step, algorithm.trains._loss

    def record() -> Any:
        parameters = algorithm.engine.policy.model.named_parameters()  # type: ignore[attr-defined]
        seen.update({n: p.grad.clone() for n, p in parameters if p.grad is not None})
        return step()

    def listen(part: Sequence[Any], batch: Any) -> Any:
        items.extend(part)
        return loss(part, batch)

    algorithm.engine.step, algorithm.trains._loss = record, listen  # type: ignore[method-assign]
    algorithm.step(0, Clock())
    return seen, items


@pytest.mark.parametrize("anchored", [False, True])
def test_only_tokens_behind_the_thought_have_a_gradient(tiny_vlm_path: Path, anchored: bool) -> None:
    """The gradient is that of sum A log p over the tokens behind the thought; examples of the start are learnt as a whole."""
    config = replace(OFF, anchor=AnchorConfig(examples=3, weight=0.3) if anchored else AnchorConfig())
    got, items = gradient(grpo(tiny_vlm_path, config, lambda ids: min(FIRST, len(ids)))[0])
    assert anchored == any(isinstance(i, Anchor) for i in items) and not all(isinstance(i, Anchor) for i in items)

    vlm = load_vlm(tiny_vlm_path)
    out = TextPolicy(vlm, config.temperature)(TextBatch([i.prompt for i in items], [i.token_ids for i in items]))
    position_T = torch.arange(out.mask_BT.shape[1])
    starts = torch.tensor([0 if isinstance(i, Anchor) else min(FIRST, len(i.token_ids)) for i in items])
    behind = out.mask_BT & (position_T >= starts[:, None])
    advantage = torch.tensor([[i.advantage] for i in items])
    (-(advantage * out.logp_BT * behind).sum()).backward()
    wanted = {n: p.grad for n, p in vlm.model.named_parameters() if p.grad is not None}
    # the loss is over a constant, the number of all answers' tokens: directions must be equal, and so must all ratios
    name = max(wanted, key=lambda n: float(wanted[n].norm()))
    scale = float(got[name].norm() / wanted[name].norm())
    largest = max(float(g.abs().max()) for g in wanted.values())
    for n, value in wanted.items():
        assert torch.allclose(got[n] / scale, value, atol=2e-4 * largest), n


def test_it_makes_a_difference_and_true_is_the_usual_loss(tiny_vlm_path: Path) -> None:
    usual, _ = gradient(grpo(tiny_vlm_path, replace(OFF, thought_advantage=True), None)[0])
    same, _ = gradient(grpo(tiny_vlm_path, OFF, lambda ids: 0)[0])
    other, _ = gradient(grpo(tiny_vlm_path, OFF, lambda ids: min(FIRST, len(ids)))[0])
    assert all(torch.equal(usual[n], same[n]) for n in usual)
    assert any(not torch.allclose(usual[n], other[n]) for n in usual)


def test_without_knowing_the_thought_it_is_refused(tiny_vlm_path: Path) -> None:
    with pytest.raises(BadInput, match=r"algo\.thought_advantage=false"):
        grpo(tiny_vlm_path, OFF, None)
