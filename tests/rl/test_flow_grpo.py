"""Whole trainings by Flow-GRPO: ratios, variants, resumption, micro-batches, missing rewards, what the result is."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import BadInput, RunFailed
from editors.steps import KINDS
from rl.flow_config import EMAConfig, FlowGRPOConfig, GroupFilterConfig, WatchConfig
from rl.policies.flow import FlowPolicy
from tests.rl.flow_runs import CONFIG, Scored, checksum, journal, load_linear, redness, sample, training, weights


def ended(config: FlowGRPOConfig, folder: Path, **changes: Any) -> list[Any]:
    """What equal trainings share: the weights and every logged number that is no time or memory."""
    own = training(config, **changes)
    own.run(folder)
    return [checksum(own.flow), *journal(folder)]


def last(config: FlowGRPOConfig, folder: Path, **changes: Any) -> dict[str, float]:
    return ended(config, folder, **changes)[1][-1]


# --------------------------------------------------------------------------------------------------------------- ratios
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guard", [False, True])
def test_ratios_are_one_in_the_first_pass_and_not_in_the_second(kind: str, guard: bool, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1, noise_kind=kind, ratio_normalisation=guard, gradient_reweighting=guard)
    row = last(config, tmp_path)
    assert row["trained/ratio_first"] == 0 and row["trained/ratio_last"] > 1e-6
    assert row["trained/ratio/max"] != 1 and row["kl/mean"] > 0  # of the second pass
    assert row["trained/mismatch/max"] < 1e-5  # sampled and trained log-probabilities
    once = last(replace(config, updates_per_batch=1), tmp_path / "once")
    assert once["trained/ratio/max"] == once["trained/ratio/mean"] == 1 and once["kl/mean"] == 0
    assert once["trained/clip_low/mean"] == once["trained/clip_high/mean"] == 0


def test_weights_that_do_not_move_are_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = last(replace(CONFIG, steps=1, lr=0.0), tmp_path)
    assert row["trained/ratio_last"] == 0 and "the weights do not move" in caplog.text


def test_old_log_probabilities_of_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.flow_update.normalised_logp", lambda logp, *rest: logp + 1e-3)
    with pytest.raises(RunFailed, match="a ratio of the first update on new edits is 0.001 away from 1"):
        training(replace(CONFIG, steps=1, ratio_normalisation=True)).run(tmp_path)


# ------------------------------------------------------------------------------------------------------------- learning
def test_the_reward_goes_up(tmp_path: Path) -> None:
    whole: dict[str, Any] = {"micro_batch_size": 64, "rollout_batch_size": 64, "checkpoint_every": 15}
    config = replace(CONFIG, steps=15, group_size=12, kl_coef=0.0, lr=3e-2, clip_low=0.05, clip_high=0.05, **whole)
    own = training(config)
    start = weights(own.flow)
    own.run(tmp_path)
    rewards = [row["reward/mean"] for row in journal(tmp_path)[0]]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.05
    assert all(not torch.equal(value, start[name]) for name, value in weights(own.flow).items())


@pytest.mark.parametrize(
    "changes",
    [
        {"window": "random", "window_size": 1},
        {"window": "sliding", "window_size": 2, "window_every": 1},
        {"trained_share": 0.5, "same_noise": True, "noise_kind": "dance"},
        {"advantage_scale": "prompt"},
        {"advantage_scale": "batch", "kl_exact": True},
        {"reward_weights": {"red": 1.0, "dark": 0.5}},
        {"updates_per_batch": 1, "kl_coef": 0.0, "ema": EMAConfig(decay=0.5, every=1)},
    ],
    ids=lambda c: ",".join(c),
)
def test_four_steps_are_two_and_two_bit_for_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    config = replace(CONFIG, **changes)
    whole = ended(config, tmp_path / "whole")
    ended(replace(config, steps=2), tmp_path / "halves")
    assert ended(config, tmp_path / "halves") == whole
    assert len({row["grad_norm"] for row in whole[1]}) == 4


def test_only_the_windows_steps_pass_the_model_in_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    own = FlowPolicy.forward
    monkeypatch.setattr(FlowPolicy, "forward", lambda self, batch: seen.append(batch.sigma_BT) or own(self, batch))
    last(replace(CONFIG, steps=1, window_size=1, window_first=2, kl_coef=0.0), tmp_path)
    assert seen and all(sigma_BT.shape[1] == 1 and float(sigma_BT[0, 0]) == 0.5 for sigma_BT in seen)


@pytest.mark.parametrize("size", [1, 5])
def test_micro_batches_do_not_change_the_update(size: int, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2, ratio_normalisation=True)
    whole, split = (training(replace(config, micro_batch_size=s)) for s in (8, size))
    for own, name in ((whole, "a"), (split, "b")):
        own.run(tmp_path / name)
    for name, value in weights(whole.flow).items():
        torch.testing.assert_close(weights(split.flow)[name], value, rtol=1e-5, atol=1e-6)


def test_a_signal_saves_the_last_step_and_the_same_command_goes_on(tmp_path: Path) -> None:
    config = replace(CONFIG, checkpoint_every=50)
    whole = ended(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt, match="step 2"):
        training(config).run(
            tmp_path / "cut", lambda m: os.kill(os.getpid(), signal.SIGINT) if m["step"] == 2 else None
        )
    assert ended(config, tmp_path / "cut") == whole


# ------------------------------------------------------------------------------------------------------ missing rewards
def test_without_differences_or_rewards_nothing_is_trained(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1, kl_coef=0.0)
    flat = last(config, tmp_path / "flat", reward=lambda s, p, seeds: [Scored(0.5)] * len(p))
    assert flat["groups/no_spread"] == 1 and flat["update/skipped"] == 1 and "grad_norm" not in flat
    none = last(config, tmp_path / "none", reward=lambda s, p, seeds: [Scored(None)] * len(p))
    assert none["reward/missing"] == 1 and none["update/skipped"] == 1 and "reward/mean" not in none
    with pytest.raises(RunFailed, match="3 consecutive steps had no usable reward"):
        last(replace(CONFIG, steps=4), tmp_path / "all", reward=lambda s, p, seeds: [Scored(None)] * len(p))


def test_a_missing_reward_carries_no_gradient(tmp_path: Path) -> None:
    """Without its last edit's reward a group trains as if that edit had not been drawn."""

    def reward(samples: Any, pictures: Any, seeds: Any) -> list[Scored]:
        scored = redness(samples, pictures, seeds)
        return [Scored(None) if g % 4 == 3 else s for g, s in enumerate(scored)]

    config = replace(CONFIG, steps=1, kl_coef=0.0, max_grad_norm=1e9)
    with_gap, without = training(config, reward=reward), training(replace(config, group_size=3))
    for own, name in ((with_gap, "a"), (without, "b")):
        own.run(tmp_path / name)
    for name, value in weights(without.flow).items():
        torch.testing.assert_close(weights(with_gap.flow)[name], value, rtol=1e-5, atol=1e-6)
    assert journal(tmp_path / "a")[0][0]["update/edits"] == 6


def test_filtered_groups_are_not_trained(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1, filter=GroupFilterConfig(max_mean=0.0))
    assert last(config, tmp_path)["update/skipped"] == 1


def test_rows_tell_every_edit(tmp_path: Path) -> None:
    rows = ended(replace(CONFIG, steps=1), tmp_path)[2]
    assert [(r["j"], r["g"]) for r in rows] == [(j, g) for j in range(2) for g in range(4)]
    assert set(rows[0]) == {"step", "sample", "j", "g", "instruction", "reward", "components", "advantage"}
    for j in range(2):
        own = [r for r in rows if r["j"] == j]
        assert sorted(own, key=lambda r: r["reward"]) == sorted(own, key=lambda r: r["advantage"])
        assert {r["sample"] for r in own} == {sample(j).id}


# ----------------------------------------------------------------------------------------------------- average and watch
def test_what_is_kept_is_the_moving_average(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3, ema=EMAConfig(decay=0.75, every=1))
    start, seen = weights(load_linear()), []
    own = training(config)
    own.run(
        tmp_path, lambda metrics: seen.append({n: p.detach().clone() for n, p in own.policy.model.named_parameters()})
    )
    expected = start
    for now in seen:
        expected = {name: 0.75 * value + 0.25 * now[name] for name, value in expected.items()}
    assert own.flow is not own.policy.flow
    for name, value in weights(own.flow).items():
        torch.testing.assert_close(value, expected[name])
        assert not torch.equal(value, seen[-1][name])


def test_a_training_that_only_pleases_its_reward_ends_with_its_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The watching judge says the opposite of a reward that rises by the step."""
    config = replace(
        CONFIG, steps=30, checkpoint_every=50, watch=WatchConfig(window=2, reward_rise=0.1, score_fall=0.1)
    )
    step = [0]

    def reward(samples: Any, pictures: Any, seeds: Any) -> list[Scored]:
        step[0] += 1
        return [Scored(s.total + 0.1 * step[0]) for s in redness(samples, pictures, seeds)]  # type: ignore[operator]

    def score(samples: Any, pictures: Any) -> list[float | None]:
        return [1 - 0.1 * step[0]] * len(pictures)

    state = training(config, reward=reward, watch=score).run(tmp_path)
    rows = journal(tmp_path)[0]
    assert state.step == len(rows) == 4 and "reward rose" in state.stopped and rows[-1]["watch/stopped"] == 1
    assert [row["watch/stopped"] for row in rows[:-1]] == [0, 0, 0] and "ends after step 4 of 30" in caplog.text
    again = training(config, reward=reward, watch=score).run(tmp_path)
    assert again.step == again.resumed_from == 4 and again.stopped
    off = replace(config, steps=6, watch=WatchConfig(window=0))
    assert training(off, reward=reward, watch=score).run(tmp_path).step == 6


# --------------------------------------------------------------------------------------------------------------- errors
def test_the_distance_to_the_start_is_logged_without_changing_the_training(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3, kl_coef=0.0, micro_batch_size=3)
    run, on = training(replace(config, kl_log_edits=5)), tmp_path / "on"
    run.run(on)
    off = training(config)
    off.run(tmp_path / "off")
    rows, without = journal(on)[0], journal(tmp_path / "off")[0]
    kl = [row.pop("kl/mean") for row in rows]
    assert kl[0] == 0.0 and 0 < kl[1] < kl[2]  # measured before each update
    assert rows == without and checksum(run.flow) == checksum(off.flow)


def test_another_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    ended(replace(CONFIG, steps=1), tmp_path)
    with pytest.raises(BadInput, match="differs in noise_level"):
        ended(replace(CONFIG, noise_level=0.3), tmp_path)


def test_metrics_have_the_names_of_text_grpo(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    training(replace(CONFIG, steps=1)).run(tmp_path, seen.append)
    names = {"reward/mean", "reward/std", "reward/red/mean", "trained/ratio/mean", "trained/ratio/max", "trained/clip_low/mean",
             "trained/clip_high/mean", "kl/mean", "grad_norm", "lr", "groups/no_spread", "reward/missing", "images_per_s",
             "time/rollout", "time/reward", "time/train", "time/logprob", "update/skipped"}  # fmt: skip
    assert names <= set(seen[0]) and seen[0]["images_per_s"] > 0
