"""Products in bfloat16: the same update up to their rounding, and the same training after a resumption."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm
from common.errors import BadInput
from editors.qwen import QwenModel
from editors.settings import FlowSettings
from editors.tiny import QwenShape, tiny_qwen_pipeline
from experiments.build.engines import DeepSpeedEngine
from experiments.runs.cli import compose, typed
from rl.engine.precision import AttentionInFp32, bf16_products
from rl.engine.torch import TorchEngine
from rl.policies.flow import FlowPolicy, collate
from rl.policies.text import TextPolicy
from tests.rl.flow_models import NOISE, kontext_policy, trajectories
from tests.rl.runs import CONFIG, letters, outcome, train


def run(model: Path, out: Path, matmul: str, **kw: Any) -> Any:
    vlm = load_vlm(model)
    engine = TorchEngine(TextPolicy(vlm, CONFIG.temperature), CONFIG, CONFIG.schedule(), matmul)
    state = train(replace(CONFIG, updates_per_batch=2), engine, HFBackend(vlm), out, letters, **kw)
    return state, {name: p.detach().clone() for name, p in engine.policy.model.named_parameters()}


@pytest.mark.parametrize("named", [False, True])
def test_attention_is_computed_in_float32_and_given_back_as_it_came(named: bool) -> None:
    q, k, v = (torch.randn(2, 3, 5, 8, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    exact = [x.detach().float().requires_grad_() for x in (q, k, v)]
    with bf16_products("cpu"):
        if named:  # as diffusers calls it
            out = F.scaled_dot_product_attention(query=q, key=k, value=v, is_causal=True)
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    known = F.scaled_dot_product_attention(*exact, is_causal=True)
    assert out.dtype == torch.bfloat16 and torch.equal(out, known.bfloat16())
    out.float().sum().backward()
    known.sum().backward()
    for x, y in zip((q, k, v), exact, strict=True):
        assert x.grad is not None and y.grad is not None and torch.equal(x.grad, y.grad.bfloat16())


def test_other_functions_are_left_as_they_are() -> None:
    x = torch.randn(3, 4)
    with AttentionInFp32():
        assert torch.equal(F.silu(x), F.silu(x)) and F.linear(x, x).dtype == torch.float32


def test_a_training_is_close_to_that_in_float32_and_keeps_its_weights_there(
    tiny_vlm_path: Path, tmp_path: Path
) -> None:
    exact, weights = run(tiny_vlm_path, tmp_path / "a", "float32")
    rough, others = run(tiny_vlm_path, tmp_path / "b", "bfloat16")
    start = {n: p.detach() for n, p in load_vlm(tiny_vlm_path).model.named_parameters()}
    assert all(p.dtype == torch.float32 for p in others.values())
    moved = torch.cat([(weights[n] - start[n]).flatten() for n in weights])
    also = torch.cat([(others[n] - start[n]).flatten() for n in weights])
    assert float(F.cosine_similarity(moved, also, dim=0)) > 0.9
    assert exact.checksum != rough.checksum  # the products really were others


def test_a_training_in_bfloat16_products_resumes_bit_for_bit(tiny_vlm_path: Path, tmp_path: Path) -> None:
    whole = outcome(run(tiny_vlm_path, tmp_path / "a", "bfloat16")[0], tmp_path / "a")

    def stop(done: int, *_: object) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run(tiny_vlm_path, tmp_path / "b", "bfloat16", progress=stop)
    assert outcome(run(tiny_vlm_path, tmp_path / "b", "bfloat16")[0], tmp_path / "b") == whole


def test_the_option_belongs_to_the_torch_engine() -> None:
    assert typed(compose("run", ["engine.matmul=bfloat16"])).engine.matmul == "bfloat16"
    with pytest.raises(BadInput, match=r"decomposer\.dtype=bfloat16"):
        DeepSpeedEngine(matmul="bfloat16").check(typed(compose("run", [])).launcher, "float32")
    with pytest.raises(BadInput, match="matmul"):
        typed(compose("run", ["engine.matmul=float16"]))


@pytest.mark.parametrize("family", ["flux_kontext", "qwen"])
def test_editors_are_sampled_and_trained_in_bfloat16_products(family: str, tiny_vlm: VLM) -> None:
    """The ratio of a trajectory to itself is near 1, and every trained matrix gets a finite gradient."""
    policy = kontext_policy() if family == "flux_kontext" else qwen_policy(tiny_vlm)
    with bf16_products("cpu"):
        drawn = trajectories(policy)
        now = policy(collate(drawn))
    sampled = torch.stack([t.logp_T for t in drawn])
    assert float((now.logp_BT - sampled).detach().abs().max()) < 1e-3
    now.logp_BT.sum().backward()
    gradients = [p.grad for p in policy.model.parameters() if p.grad is not None]
    assert gradients and all(bool(g.isfinite().all()) and g.dtype == torch.float32 for g in gradients)


def qwen_policy(vlm: VLM) -> FlowPolicy:
    pipe = tiny_qwen_pipeline(vlm, QwenShape(width=64, heads=2, blocks=2, vae_channels=8))
    return FlowPolicy(QwenModel(pipe, FlowSettings(steps=4, area=4096)), NOISE)
