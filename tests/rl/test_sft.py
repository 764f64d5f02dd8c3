"""Supervised training: the update does not depend on the micro-batch, a resumed run is the same run, and it learns."""

from __future__ import annotations

import json

import pytest
import torch

from agents.backends.base import ModelRequest
from common.errors import BadInput
from rl.clock import Clock
from rl.config import SFTConfig
from rl.policies.answers import AnswerPolicy
from rl.policies.text import TextBatch
from rl.sft import SFT, SFTExample, answer_ids, train_sft
from tests.tiny_models import both_families

WORDS = ("red star", "blue moon", "a very long description of a thing", "tree")


def examples(step: int) -> list[SFTExample]:
    return [SFTExample(ModelRequest(f"say {WORDS[(step + k) % 4]}"), WORDS[(step + k) % 4]) for k in range(4)]


def weights(vlm) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in vlm.model.parameters()])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("micro", [1, 2])
@both_families
def test_micro_batches_do_not_change_the_update(tiny_vlm_path, optimizer, micro):
    from agents.backends.vlm import load_vlm

    ends = []
    for size in (4, micro):
        vlm = load_vlm(tiny_vlm_path)
        config = SFTConfig(steps=3, batch_size=4, micro_batch_size=size, lr=1e-3, warmup_steps=1, optimizer=optimizer)
        algorithm = SFT(config, vlm, examples)
        for step in range(3):
            algorithm.step(step, Clock())
        ends.append(weights(vlm))
    tolerance = 1e-5 if optimizer == "adamw" else 2e-4  # Muon orthogonalises in bfloat16
    assert (ends[0] - ends[1]).abs().max() < tolerance


def test_recomputed_activations_do_not_change_the_update(tiny_vlm_path):
    from agents.backends.vlm import load_vlm

    ends = []
    for checkpointing in (False, True):
        vlm = load_vlm(tiny_vlm_path)
        vlm.model.train()
        config = SFTConfig(steps=2, batch_size=4, lr=1e-3, warmup_steps=1, gradient_checkpointing=checkpointing)
        algorithm = SFT(config, vlm, examples)
        for step in range(2):
            algorithm.step(step, Clock())
        ends.append(weights(vlm))
    assert (ends[0] - ends[1]).abs().max() < 1e-6


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_six_steps_are_three_and_three_resumed(tiny_vlm_path, tmp_path, optimizer):
    from agents.backends.vlm import load_vlm

    config = SFTConfig(
        steps=6, batch_size=4, micro_batch_size=2, lr=1e-3, warmup_steps=2, checkpoint_every=3, optimizer=optimizer
    )
    whole = load_vlm(tiny_vlm_path)
    train_sft(config, whole, examples, tmp_path / "whole")

    def stop_after_four(metrics):
        if metrics["step"] == 4:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train_sft(config, load_vlm(tiny_vlm_path), examples, tmp_path / "cut", log=stop_after_four)
    again = load_vlm(tiny_vlm_path)
    assert train_sft(config, again, examples, tmp_path / "cut").step == 6
    assert torch.equal(weights(whole), weights(again))
    rows = [json.loads(r) for r in (tmp_path / "cut" / "sft.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4, 5, 6]


def test_another_training_in_the_folder_is_refused(tiny_vlm, tiny_vlm_path, tmp_path):
    from agents.backends.vlm import load_vlm

    train_sft(SFTConfig(steps=1, lr=1e-3), tiny_vlm, examples, tmp_path)
    with pytest.raises(BadInput, match="differs in lr"):
        train_sft(SFTConfig(steps=1, lr=2e-3), load_vlm(tiny_vlm_path), examples, tmp_path)


def test_it_learns_four_answers(tiny_vlm):
    config = SFTConfig(steps=40, batch_size=4, lr=1e-2, warmup_steps=2, optimizer="muon")
    algorithm = SFT(config, tiny_vlm, lambda step: examples(0))
    losses = [algorithm.step(s, Clock()).metrics["sft/loss"] for s in range(40)]
    assert losses[-1] < 0.2 * losses[0]


@both_families
def test_log_probs_are_those_of_each_example_alone(tiny_vlm):
    prompts = tiny_vlm.encode([ModelRequest("a"), ModelRequest("a much longer prompt than the other one")])
    answers, policy = [answer_ids(tiny_vlm, "x y z"), answer_ids(tiny_vlm, "w")], AnswerPolicy(tiny_vlm)
    together = policy(TextBatch(prompts, answers))
    assert together.mask_BT.sum(1).tolist() == [len(a) for a in answers]
    for b, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        alone = policy(TextBatch([prompt], [answer]))
        assert torch.allclose(together.logp_BT[b, : len(answer)], alone.logp_BT[0], atol=1e-5)
        assert torch.equal(together.greedy_BT[b, : len(answer)], alone.greedy_BT[0])


def test_bad_settings_are_named():
    with pytest.raises(BadInput, match="sgd"):
        SFTConfig(steps=1, optimizer="sgd")
    with pytest.raises(BadInput, match="batch_size=0 cannot be used"):
        SFTConfig(steps=1, batch_size=0)


def test_the_vocabulary_in_pieces_changes_nothing(tiny_vlm, monkeypatch):
    prompts = tiny_vlm.encode([ModelRequest("a"), ModelRequest("a longer prompt")])
    answers = [answer_ids(tiny_vlm, "x y z"), answer_ids(tiny_vlm, "some words")]
    results = []
    for chunk in (1024, 3):
        monkeypatch.setattr("rl.policies.answers.CHUNK", chunk)
        tiny_vlm.model.zero_grad()
        out = AnswerPolicy(tiny_vlm)(TextBatch(prompts, answers))
        out.logp_BT.sum().backward()
        grad = torch.cat([p.grad.flatten() for p in tiny_vlm.model.parameters() if p.grad is not None])
        results.append((out, grad))
    (whole, grad), (pieces, grad_too) = results
    assert torch.equal(whole.greedy_BT, pieces.greedy_BT) and torch.allclose(whole.logp_BT, pieces.logp_BT)
    assert torch.allclose(grad, grad_too, atol=1e-5)
