"""Supervised training: the update does not depend on the micro-batch, a resumed run is the same run, and it learns."""

from __future__ import annotations

import json

import pytest
import torch

from agents.backends.base import Request
from common.errors import BadData, BadInput
from rl.sft import Optimizers, SFTConfig, SFTExample, answer_ids, answer_loss, train_sft, train_step

WORDS = ("red star", "blue moon", "a very long description of a thing", "tree")


def examples(step: int) -> list[SFTExample]:
    return [SFTExample(Request(f"say {WORDS[(step + k) % 4]}"), WORDS[(step + k) % 4]) for k in range(4)]


def weights(vlm) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in vlm.model.parameters()])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("micro", [1, 2])
def test_micro_batches_do_not_change_the_update(tiny_vlm_path, optimizer, micro):
    from agents.backends.vlm import load_vlm

    ends = []
    for size in (4, micro):
        vlm = load_vlm(tiny_vlm_path)
        config = SFTConfig(steps=3, batch_size=4, micro_batch_size=size, lr=1e-3, warmup=1, optimizer=optimizer)
        both = Optimizers(dict(vlm.model.named_parameters()), config)
        for step in range(3):
            train_step(vlm, both, config, step, examples(step))
        ends.append(weights(vlm))
    tolerance = 1e-5 if optimizer == "adamw" else 2e-4  # Muon orthogonalises in bfloat16
    assert (ends[0] - ends[1]).abs().max() < tolerance


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_six_steps_are_three_and_three_resumed(tiny_vlm_path, tmp_path, optimizer):
    from agents.backends.vlm import load_vlm

    config = SFTConfig(
        steps=6, batch_size=4, micro_batch_size=2, lr=1e-3, warmup=2, checkpoint_every=3, optimizer=optimizer
    )
    whole = load_vlm(tiny_vlm_path)
    train_sft(config, whole, examples, tmp_path / "whole")

    def stop_after_four(metrics):
        if metrics["step"] == 4:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train_sft(config, load_vlm(tiny_vlm_path), examples, tmp_path / "cut", log=stop_after_four)
    again = load_vlm(tiny_vlm_path)
    assert train_sft(config, again, examples, tmp_path / "cut") == 6
    assert torch.equal(weights(whole), weights(again))
    rows = [json.loads(r) for r in (tmp_path / "cut" / "sft.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4, 5, 6]


def test_another_training_in_the_folder_is_refused(tiny_vlm, tiny_vlm_path, tmp_path):
    from agents.backends.vlm import load_vlm

    train_sft(SFTConfig(steps=1, lr=1e-3), tiny_vlm, examples, tmp_path)
    with pytest.raises(BadData, match="another training"):
        train_sft(SFTConfig(steps=1, lr=2e-3), load_vlm(tiny_vlm_path), examples, tmp_path)


def test_it_learns_four_answers(tiny_vlm):
    config = SFTConfig(steps=40, batch_size=4, lr=1e-2, warmup=2, optimizer="muon")
    both = Optimizers(dict(tiny_vlm.model.named_parameters()), config)
    losses = [train_step(tiny_vlm, both, config, s, examples(0))["sft/loss"] for s in range(40)]
    assert losses[-1] < 0.2 * losses[0]


def test_only_answer_tokens_count(tiny_vlm):
    """The summed loss of two examples is the sum of their losses, whatever their padding."""
    prompts = tiny_vlm.encode([Request("a"), Request("a much longer prompt than the other one")])
    answers = [answer_ids(tiny_vlm, "x y z"), answer_ids(tiny_vlm, "w")]
    together, _ = answer_loss(tiny_vlm, prompts, answers)
    apart = [answer_loss(tiny_vlm, [p], [a])[0] for p, a in zip(prompts, answers, strict=True)]
    assert float(together) == pytest.approx(float(sum(apart)), abs=1e-4)


def test_learning_rate_warms_up_and_decays():
    config = SFTConfig(steps=110, lr=1.0, warmup=10, final_lr_share=0.1)
    assert config.lr_at(0) == pytest.approx(0.1)
    assert config.lr_at(9) == config.lr_at(10) == pytest.approx(1.0)
    assert config.lr_at(60) == pytest.approx(0.55)  # half-way: the cosine is 0
    assert config.lr_at(110) == pytest.approx(0.1)


def test_bad_settings_are_named():
    with pytest.raises(BadInput, match="sgd"):
        SFTConfig(steps=1, optimizer="sgd")
    with pytest.raises(BadInput, match="batch sizes"):
        SFTConfig(steps=1, batch_size=0)


def test_the_vocabulary_in_pieces_changes_nothing(tiny_vlm, monkeypatch):
    prompts = tiny_vlm.encode([Request("a"), Request("a longer prompt")])
    answers = [answer_ids(tiny_vlm, "x y z"), answer_ids(tiny_vlm, "some words")]
    found = []
    for chunk in (1024, 3):
        monkeypatch.setattr("rl.sft.CHUNK", chunk)
        tiny_vlm.model.zero_grad()
        loss, right = answer_loss(tiny_vlm, prompts, answers)
        loss.backward()
        grad = torch.cat([p.grad.flatten() for p in tiny_vlm.model.parameters() if p.grad is not None])
        found.append((loss.detach(), right, grad))
    (whole, right, grad), (pieces, right_too, grad_too) = found
    assert right == right_too and torch.allclose(whole, pieces) and torch.allclose(grad, grad_too, atol=1e-5)
