"""The supervised term beside GRPO's: its gradient, its independence of batching and ranks, and exact resumption."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.backends.base import ModelRequest
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm
from common.errors import BadInput
from rl.anchors import Anchor, tokenized
from rl.clock import Clock
from rl.config import AnchorConfig, GRPOConfig
from rl.engine.torch import TorchEngine
from rl.grpo import GRPO, train_grpo
from rl.policies.text import TextBatch, TextPolicy
from rl.sft import SFTExample
from rl.text_rollouts import TextSampler
from tests.rl.runs import CONFIG, MAX_NEW_TOKENS, letters, sample, to_request

WEIGHT = 0.3
ON = replace(CONFIG, kl_coef=0.0, anchor=AnchorConfig(examples=3, weight=WEIGHT))


def examples(step: int) -> list[SFTExample]:
    return [SFTExample(ModelRequest(f"say {k}", ()), "abc" * (k + 1)) for k in range(step, step + 3)]


def grpo(path: Path, config: GRPOConfig, thought: Any = None) -> tuple[GRPO, VLM]:
    vlm = load_vlm(path)
    engine = TorchEngine(TextPolicy(vlm, config.temperature), config, config.schedule())
    sampler = TextSampler(
        backend=HFBackend(vlm), encode=vlm.encode, samples=sample, to_request=to_request, reward=letters,
        units_per_step=config.prompts_per_step, group_size=config.group_size, max_new_tokens=MAX_NEW_TOKENS,
        temperature=config.temperature, seed=7,
    )  # fmt: skip
    return GRPO(config, engine, sampler, lambda step: tokenized(vlm, examples(step)), thought), vlm


def gradient(path: Path, config: GRPOConfig) -> dict[str, torch.Tensor]:
    """Of the first update, before it is clipped."""
    algorithm, vlm = grpo(path, config)
    seen: dict[str, torch.Tensor] = {}
    step = algorithm.engine.step

    def record() -> Any:
        seen.update({n: p.grad.clone() for n, p in vlm.model.named_parameters() if p.grad is not None})
        return step()

    algorithm.engine.step = record  # type: ignore[method-assign]
    algorithm.step(0, Clock())
    return seen


@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_the_gradient_is_that_of_grpo_plus_the_weighted_cross_entropy(tiny_vlm_path: Path, aggregation: str) -> None:
    on = gradient(tiny_vlm_path, replace(ON, aggregation=aggregation))
    off = gradient(tiny_vlm_path, replace(ON, aggregation=aggregation, anchor=AnchorConfig()))
    vlm = load_vlm(tiny_vlm_path)
    policy = TextPolicy(vlm, ON.temperature)
    anchors = tokenized(vlm, examples(0))
    out = policy(TextBatch([a.prompt for a in anchors], [a.token_ids for a in anchors]))
    lengths = out.mask_BT.sum(1)
    means = (out.logp_BT * out.mask_BT).sum(1) / lengths
    if aggregation == "sequence":
        loss = -means.mean()
    elif aggregation == "token":
        loss = -(out.logp_BT * out.mask_BT).sum() / lengths.sum()
    else:
        loss = -(out.logp_BT * out.mask_BT).sum() / (len(anchors) * MAX_NEW_TOKENS)
    (WEIGHT * loss).backward()
    wanted = {n: p.grad for n, p in vlm.model.named_parameters() if p.grad is not None}
    largest = max(float(g.abs().max()) for g in wanted.values())
    for name, value in wanted.items():
        assert torch.allclose(on[name] - off[name], value, atol=2e-4 * largest), name


def test_the_split_into_micro_batches_changes_nothing(tiny_vlm_path: Path) -> None:
    one = gradient(tiny_vlm_path, replace(ON, micro_batch_size=1000))
    many = gradient(tiny_vlm_path, replace(ON, micro_batch_size=2))
    largest = max(float(g.abs().max()) for g in one.values())
    assert all(torch.allclose(one[name], many[name], atol=1e-4 * largest) for name in one)


def test_without_examples_the_term_is_not_there(tiny_vlm_path: Path) -> None:
    algorithm, vlm = grpo(tiny_vlm_path, replace(ON, anchor=AnchorConfig()))
    assert algorithm.anchors is None
    with pytest.raises(BadInput, match=r"algo\.anchor\.examples"):
        GRPO(ON, algorithm.engine, algorithm.sampler)


def test_training_with_anchors_resumes_bit_for_bit(tiny_vlm_path: Path, tmp_path: Path) -> None:
    def weights(folder: Path, *stops: int) -> dict[str, torch.Tensor]:
        for steps in stops:
            algorithm, vlm = grpo(tiny_vlm_path, replace(ON, steps=steps, checkpoint_every=1))
            train_grpo(
                algorithm.config, algorithm.engine, algorithm.sampler, folder,
                anchors=lambda step, vlm=vlm: tokenized(vlm, examples(step)),
            )  # fmt: skip
        return {n: p.detach() for n, p in vlm.model.named_parameters()}

    whole, halves = weights(tmp_path / "a", 4), weights(tmp_path / "b", 2, 4)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_anchors_pull_towards_their_answers(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(ON, steps=6, lr=1e-2, anchor=AnchorConfig(examples=3, weight=1.0))
    algorithm, vlm = grpo(tiny_vlm_path, config)
    anchors = tokenized(vlm, examples(0))

    def likely(items: list[Anchor]) -> float:
        with torch.no_grad():
            out = algorithm.engine.forward(TextBatch([a.prompt for a in items], [a.token_ids for a in items]))
        return float((out.logp_BT * out.mask_BT).sum())

    before = likely(anchors)
    train_grpo(config, algorithm.engine, algorithm.sampler, tmp_path, anchors=lambda step: anchors)
    assert likely(anchors) > before + 1
