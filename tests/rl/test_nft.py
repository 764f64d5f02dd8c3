"""Whole trainings by DiffusionNFT: they learn, resume bit for bit, follow with the old policy, and need no noisy steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from editors.flow import sample as euler
from rl.clock import Clock
from rl.flow_config import GroupFilterConfig, NFTConfig
from rl.nft_loss import old_decay
from rl.policies.velocity import VelocityPolicy, noised_batch
from tests.rl.flow_models import LinearFlow, linear_policy, trajectories
from tests.rl.flow_runs import LORA, NFT_CONFIG, Scored, checksum, journal, load_kontext, training, weights


def ended(config: NFTConfig, folder: Path, **changes: Any) -> list[Any]:
    own = training(config, **changes)
    own.run(folder)
    return [checksum(own.flow), *journal(folder)]


def test_the_reward_goes_up(tmp_path: Path) -> None:
    ended(replace(NFT_CONFIG, steps=15, group_size=12, lr=3e-2), tmp_path)
    rewards = [row["reward/mean"] for row in journal(tmp_path)[0]]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.05


@pytest.mark.parametrize(
    "changes", [{}, {"trained_times": 2, "updates_per_batch": 2}, {"old_decay": "none", "kl_weight": 0.0}]
)
def test_four_steps_are_two_and_two_bit_for_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    config = replace(NFT_CONFIG, **changes)
    whole = ended(config, tmp_path / "whole")
    ended(replace(config, steps=2), tmp_path / "halves")
    assert ended(config, tmp_path / "halves") == whole
    assert ("kl/mean" in whole[1][0]) == (config.kl_weight > 0)


@pytest.mark.parametrize("size", [1, 5])
def test_micro_batches_do_not_change_the_update(size: int, tmp_path: Path) -> None:
    whole, split = (training(replace(NFT_CONFIG, steps=2, micro_batch_size=s)) for s in (8, size))
    for own, name in ((whole, "a"), (split, "b")):
        own.run(tmp_path / name)
    for name, value in weights(whole.flow).items():
        torch.testing.assert_close(weights(split.flow)[name], value, rtol=1e-5, atol=1e-6)


def test_edits_are_the_editors_own_under_the_old_policy(tmp_path: Path) -> None:
    """Euler steps without noise: `editors.flow.sample` gives the same latents."""
    algorithm = training(NFT_CONFIG).algorithm
    (group,) = algorithm.sampler.draw(0, [0], Clock())
    trajectory = group.rollouts[0][0].trajectory
    assert trajectory.steps == range(0) and trajectory.logp_T.shape == (0,)
    flow = LinearFlow()
    expected = euler(flow, trajectory.conditioning, trajectory.latents_SNC[:1], flow.settings)  # type: ignore[arg-type]
    torch.testing.assert_close(trajectory.latents_SNC[-1], expected[0])


def test_the_old_policy_follows_slowly(tmp_path: Path) -> None:
    """Its weights after each step are those of the published rule, worked out beside it."""
    config = replace(NFT_CONFIG, steps=3, old_decay="ramp", lr=0.1)
    own = training(config)
    old = {n: p.detach().clone() for n, p in own.algorithm.old.policy.model.named_parameters()}
    seen: list[dict[str, torch.Tensor]] = []
    own.run(tmp_path, lambda m: seen.append({n: p.detach().clone() for n, p in own.policy.model.named_parameters()}))
    for k in (0, 1):  # the third step begins with the update after the second
        keep = old_decay("ramp", k)
        old = {n: keep * value + (1 - keep) * seen[k][n] for n, value in old.items()}
    for name, value in own.algorithm.old.policy.model.named_parameters():
        torch.testing.assert_close(value, old[name])
        assert not torch.equal(value, seen[2][name])


def test_edits_without_a_reward_or_of_a_filtered_group_are_left_out(tmp_path: Path) -> None:
    def reward(samples: Any, pictures: Any, seeds: Any) -> list[Scored]:
        return [Scored(None if g == 0 else g / 10) for g in range(len(pictures))]

    config = replace(NFT_CONFIG, steps=1)
    assert ended(config, tmp_path / "a", reward=reward)[1][0]["update/edits"] == 7
    limits = GroupFilterConfig(max_mean=0.3)  # the second group's rewards are 0.4 to 0.7
    assert ended(replace(config, filter=limits), tmp_path / "b", reward=reward)[1][0]["update/edits"] == 3


def test_adapters_share_the_weights_of_the_old_and_the_start_policy(tmp_path: Path) -> None:
    own = training(replace(NFT_CONFIG, steps=1, lora=LORA), load=load_kontext)
    trained = dict(own.policy.model.named_parameters())
    for frozen in (own.algorithm.old, own.algorithm.start):
        for name, p in frozen.policy.model.named_parameters():
            assert (p is trained[name]) == (".lora_" not in name)
    start = weights(load_kontext())
    own.run(tmp_path)
    assert weights(own.flow).keys() == start.keys()
    assert any(not torch.equal(value, start[name]) for name, value in weights(own.flow).items())


def test_the_batch_of_noised_results() -> None:
    policy = linear_policy()
    items = trajectories(policy, group=2)
    noise = [torch.full((3, 4, 2), float(b)) for b in range(4)]
    batch = noised_batch(items, noise, [torch.tensor([1.0, 0.5, 0.2])] * 4)
    assert batch.before_BTNC.shape == (4, 3, 4, 2) and list(batch.row_B) == [0, 0, 1, 1]
    clean = items[2].latents_SNC[-1]
    torch.testing.assert_close(batch.before_BTNC[2, 1], 0.5 * clean + 0.5 * 2.0)
    assert torch.equal(batch.before_BTNC[2, 0], noise[2][0]) and torch.equal(batch.after_BTNC[2, 0], clean)
    velocity = VelocityPolicy(policy.flow, policy.noise)
    out = velocity(batch)
    members = batch.conditioning.select(batch.row_B)
    expected = policy.flow.velocity(members, batch.before_BTNC[:, 1], batch.sigma_BT[:, 1])
    torch.testing.assert_close(out.mean[:, 1], expected)
    assert float(out.logp_BT.detach().abs().max()) == 0 and out.logp_BT.requires_grad
