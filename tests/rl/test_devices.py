"""What must hold on any device: the CPU, or the one that IMAGEEDIT_TEST_DEVICE names (`make check-gpu`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from agents.backends.base import Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from rl.attention.forms import FORMS
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.text import TextBatch, TextPolicy
from tests.rl.test_prefix import ANSWERS, REQUESTS

DEVICE = os.environ.get("IMAGEEDIT_TEST_DEVICE", "cpu")
CLOSE = 1e-5 if DEVICE == "cpu" else 2e-3  # sums in another order; seen on an H100: 8.3e-4


def batch(policy: TextPolicy) -> TextBatch:
    encoded = policy.encode(REQUESTS)
    return TextBatch([encoded[i] for i in ANSWERS for _ in ANSWERS[i]], [a for i in ANSWERS for a in ANSWERS[i]])


def test_trees_of_answers_give_the_log_probabilities_and_gradients_of_separate_sequences(tiny_vlm_path: Path) -> None:
    found = []
    for shared in (True, False):
        policy = TextPolicy(load_vlm(tiny_vlm_path, device=DEVICE), shared_prefix=shared)
        out = policy(batch(policy))
        out.logp_BT[out.mask_BT].sum().backward()
        gradients = {name: p.grad.cpu() for name, p in policy.model.named_parameters() if p.grad is not None}
        found.append((out.logp_BT.detach().cpu(), gradients))
    (ours, mine), (theirs, wanted) = found
    assert torch.allclose(ours, theirs, atol=CLOSE) and mine.keys() == wanted.keys()
    largest = max(float(g.abs().max()) for g in wanted.values())
    assert all(torch.allclose(mine[name], g, atol=CLOSE * largest) for name, g in wanted.items())


@pytest.mark.skipif(DEVICE == "cpu", reason="tests/rl/attention has all of a CPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_form_of_attention_gives_the_same(tiny_vlm_path: Path, dtype: str) -> None:
    found = []
    for form in FORMS:
        policy = TextPolicy(load_vlm(tiny_vlm_path, dtype, DEVICE), attention=form, fused="false")
        out = policy(batch(policy))
        out.logp_BT.sum().backward()
        found.append((out.logp_BT.detach(), policy.model.model.language_model.embed_tokens.weight.grad))
    close = CLOSE if dtype == "float32" else 0.2
    for logp, gradient in found[:-1]:
        assert torch.allclose(logp, found[-1][0], atol=close)
        assert (gradient - found[-1][1]).abs().max() <= close * found[-1][1].abs().max()


@pytest.mark.skipif(DEVICE == "cpu", reason="liger-kernel needs CUDA")
def test_fused_kernels_give_what_plain_ones_give(tiny_vlm_path: Path) -> None:
    pytest.importorskip("liger_kernel")
    plain, fused = (TextPolicy(load_vlm(tiny_vlm_path, device=DEVICE), fused=mode) for mode in ("false", "true"))
    outs = [policy(batch(policy)).logp_BT for policy in (plain, fused)]
    assert torch.allclose(*outs, atol=CLOSE)
    for out in outs:
        out.sum().backward()
    grads = [p.model.model.language_model.embed_tokens.weight.grad for p in (plain, fused)]
    assert (grads[0] - grads[1]).abs().max() <= CLOSE * grads[0].abs().max()


def test_log_probabilities_are_those_of_the_cpu(tiny_vlm_path: Path) -> None:
    outs = []
    for device in ("cpu", DEVICE):
        policy = TextPolicy(load_vlm(tiny_vlm_path, device=device))
        with torch.no_grad():
            outs.append(policy(batch(policy)).logp_BT.cpu())
    assert torch.allclose(outs[0], outs[1], atol=CLOSE)


def test_greedy_answers_are_those_of_the_cpu(tiny_vlm_path: Path) -> None:
    answers = [
        HFBackend(load_vlm(tiny_vlm_path, device=device)).generate(REQUESTS, 1, Sampling(20, temperature=0))
        for device in ("cpu", DEVICE)
    ]
    assert [[c.token_ids for c in row] for row in answers[0]] == [[c.token_ids for c in row] for row in answers[1]]


def test_static_buffers_and_graphs_answer_as_shared_rows_do_also_after_an_update(tiny_vlm_path: Path) -> None:
    vlm = load_vlm(tiny_vlm_path, device=DEVICE)
    backends = [HFBackend(vlm, graphs=graphs) for graphs in (True, False)]
    for _ in range(2):
        answers = [backend.generate(REQUESTS, 2, Sampling(20, temperature=0)) for backend in backends]
        assert [c.token_ids for row in answers[0] for c in row] == [c.token_ids for row in answers[1] for c in row]
        with torch.no_grad():
            for p in vlm.model.parameters():
                p.mul_(1.1)


def test_an_update_moves_the_weights_that_have_a_gradient(tiny_vlm_path: Path) -> None:
    engine = TorchEngine(TextPolicy(load_vlm(tiny_vlm_path, device=DEVICE)), OptimizerConfig(lr=1e-2))
    before = {name: p.detach().clone() for name, p in engine.named_parameters()}
    policy = engine.policy
    assert isinstance(policy, TextPolicy)
    policy(batch(policy)).logp_BT.sum().backward()
    info = engine.step()
    assert info.grad_norm > 0
    assert any(not torch.equal(before[name], p) for name, p in engine.named_parameters())


@pytest.mark.skipif(DEVICE == "cpu", reason="the CPU has one type that matters")
def test_bfloat16_stays_near_float32(tiny_vlm_path: Path) -> None:
    outs = []
    for dtype in ("float32", "bfloat16"):
        policy = TextPolicy(load_vlm(tiny_vlm_path, dtype, DEVICE))
        with torch.no_grad():
            outs.append(policy(batch(policy)).logp_BT.cpu())
    assert (outs[0] - outs[1]).abs().max() < 0.2  # seen on an H100: 0.09
