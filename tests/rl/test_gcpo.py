"""GCPO: its rewards by hand and by the formula, its loss by a second derivation, and training on pairs with a real model."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agents.backends.base import ModelRequest, fingerprint
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from benchmarks.base import EditSample
from common.errors import BadInput
from common.jsonl import read_jsonl
from rl.advantages import group_advantages
from rl.config import GCPOConfig
from rl.engine.torch import TorchEngine
from rl.gcpo import EditPair, GCPOTraining, contrastive_rewards
from rl.losses import LossInputs, policy_loss
from rl.parts import PairTools

CONFIG = GCPOConfig(steps=4, prompts_per_step=2, group_size=3, micro_batch_size=5, lr=3e-3, checkpoint_every=1)
scores = st.lists(st.one_of(st.none(), st.integers(0, 10).map(float)), min_size=2, max_size=8)
read = st.lists(st.integers(0, 10).map(float), min_size=2, max_size=8)


def test_rewards_worked_by_hand() -> None:
    """Ties earn nothing; an unreadable trace earns 0 and is nobody's opponent."""
    won, lost = contrastive_rewards([5.0, 3.0, None], [4.0, 4.0, 1.0])
    assert won == [1.0, 1 / 3, 0.0]
    assert lost == [0.5, 0.5, 1.0]  # 4 < 5 and not 4 < 3: one of the two readable opponents
    assert contrastive_rewards([4.0, 4.0], [4.0, 4.0]) == ([0.0, 0.0], [0.0, 0.0])


@given(read, read)
def test_both_means_are_the_share_of_pairs_in_order(a: list[float], b: list[float]) -> None:
    won, lost = contrastive_rewards(a, b)
    share = sum(x > y for x in a for y in b) / (len(a) * len(b))
    assert math.isclose(sum(won) / len(won), share, abs_tol=1e-12)
    assert math.isclose(sum(lost) / len(lost), share, abs_tol=1e-12)


@given(scores, scores)
def test_advantages_are_centred_bounded_and_zero_without_spread(a: list, b: list) -> None:
    for rewards in contrastive_rewards(a, b):
        got = group_advantages(torch.tensor([rewards], dtype=torch.float64), "none").advantage_PG[0]
        if math.isnan(rewards[0]):
            assert not got.any()
            continue
        mean = sum(rewards) / len(rewards)
        assert abs(float(got.sum())) < 1e-5
        assert float(got.max()) <= 1 - mean + 1e-6 and float(got.min()) >= -mean - 1e-6
        if len(set(rewards)) == 1:
            assert not got.any()


def test_a_side_without_a_readable_trace_gives_no_gradient() -> None:
    won, lost = contrastive_rewards([None, None], [3.0, 4.0])
    assert all(map(math.isnan, won)) and all(map(math.isnan, lost))


def test_the_loss_is_the_papers_formula() -> None:
    """arXiv 2604.27505: 1/(2N) sum_j 1/T_j sum_t of the clipped terms of both groups, averaged over pairs; written out here."""
    generator = torch.Generator().manual_seed(3)
    pairs, n, lengths = 2, 3, [[[4, 2, 5], [1, 3, 3]], [[2, 2, 4], [5, 1, 2]]]
    now, old, mask, advantage = [], [], [], []
    by_hand = torch.zeros((), dtype=torch.float64)
    for p in range(pairs):
        won, lost = contrastive_rewards([6.0, 2.0, 4.0], [3.0, 5.0, 1.0 + p])
        for side, rewards in enumerate((won, lost)):
            for j in range(n):
                length = lengths[p][side][j]
                new_T = torch.randn(length, generator=generator, dtype=torch.float64) * 0.3 - 1
                old_T = new_T + torch.randn(length, generator=generator, dtype=torch.float64) * 0.3
                a = rewards[j] - sum(rewards) / n
                ratio_T = (new_T - old_T).exp()
                term_T = torch.minimum(ratio_T * a, ratio_T.clamp(1 - 0.2, 1 + 0.2) * a)
                by_hand = by_hand - term_T.mean() / (2 * n * pairs)
                pad = 5 - length
                now.append(torch.nn.functional.pad(new_T, (0, pad)))
                old.append(torch.nn.functional.pad(old_T, (0, pad)))
                mask.append(torch.arange(5) < length)
                advantage.append([a])
    inputs = LossInputs(
        torch.stack(now), torch.stack(old), torch.tensor(advantage, dtype=torch.float64), torch.stack(mask),
        normaliser=float(2 * n * pairs),
    )  # fmt: skip
    assert math.isclose(float(policy_loss(inputs, CONFIG).loss), float(by_hand), rel_tol=1e-12)


# ------------------------------------------------------------------------------------------------------- real training
def pair(index: int) -> EditPair:
    pictures = [Image.new("RGB", (32, 32), (index * 40 % 256, 90 * k, 100)) for k in range(3)]
    return EditPair(EditSample(f"p{index}", "write", (), picture=pictures[0]), lambda: pictures[1], lambda: pictures[2])


def share_of_letters(text: str) -> float | None:
    """What stands in for a score: readable unless the text is empty."""
    return 10 * sum(c.isascii() and c.islower() for c in text) / len(text) if text else None


def tools(path: Path, engine: type = TorchEngine) -> PairTools:
    return PairTools(
        load=lambda: load_vlm(path),
        engine=lambda policy, optimizer, schedule: engine(policy(), optimizer, schedule),
        sharded=False,
        backend=HFBackend,
        pair=pair,
        ask=lambda sample, picture: (ModelRequest(sample.request, (sample.image, picture)), share_of_letters),
        anchors=None,
        max_new_tokens=8,
        seed=5,
    )


def trained(path: Path, out: Path, config: GCPOConfig) -> tuple[str, list[dict]]:
    training = GCPOTraining(config, tools(path))
    training.run(out, name="gcpo")
    return fingerprint(training.vlm.model.named_parameters()).checksum, read_jsonl(out / "gcpo.jsonl")


def test_it_trains_on_whole_pairs_and_logs_both_sides(tiny_vlm_path: Path, tmp_path: Path) -> None:
    checksum, rows = trained(tiny_vlm_path, tmp_path, CONFIG)
    assert checksum != fingerprint(load_vlm(tiny_vlm_path).model.named_parameters()).checksum
    assert len(rows) == 4 and rows[0]["trained/ratio/max"] == pytest.approx(1.0)
    traces = read_jsonl(tmp_path / "gcpo-rows.jsonl")
    assert len(traces) == 4 * 2 * 2 * 3
    for step in (1, 2, 3, 4):
        for j in (0, 1):
            own = {
                side: [r for r in traces if (r["step"], r["j"], r["side"]) == (step, j, side)]
                for side in ("preferred", "other")
            }
            values = {side: [r["components"]["score"] for r in rows_] for side, rows_ in own.items()}
            won, lost = contrastive_rewards(values["preferred"], values["other"])
            assert [r["reward"] for r in own["preferred"]] == pytest.approx(won)
            assert [r["reward"] for r in own["other"]] == pytest.approx(lost)
            assert sum(r["advantage"] for r in own["preferred"]) == pytest.approx(0, abs=1e-6)


def test_micro_batches_change_nothing_and_a_resumed_training_is_the_same(tiny_vlm_path: Path, tmp_path: Path) -> None:
    whole, rows = trained(tiny_vlm_path, tmp_path / "a", CONFIG)
    trained(tiny_vlm_path, tmp_path / "b", replace(CONFIG, steps=2))
    again, resumed = trained(tiny_vlm_path, tmp_path / "b", CONFIG)
    assert again == whole
    assert [r["reward/mean"] for r in resumed] == [r["reward/mean"] for r in rows]
    _, other = trained(tiny_vlm_path, tmp_path / "c", replace(CONFIG, steps=1, micro_batch_size=12))
    assert other[0]["grad_norm"] == pytest.approx(rows[0]["grad_norm"], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group_size": 1}, "group_size"),
        ({"thought_advantage": False}, "reasoning of a reward model"),
    ],
)
def test_settings_that_mean_nothing_here_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        replace(CONFIG, **changes)
