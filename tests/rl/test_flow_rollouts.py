"""Rollouts of a flow editor: encoded once per prompt, seeded by place alone, given back at the picture's own size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from rl.clock import Clock
from rl.flow_edits import EditDrawer
from rl.flow_rollouts import FlowGroup, FlowSampler
from rl.policies.flow import StepNoise, collate
from tests.editor_pipelines import noise_picture
from tests.rl.flow_models import kontext_policy, linear_policy
from tests.rl.flow_runs import Scored, redness, sample


def sampler(policy: Any = None, **changes: Any) -> FlowSampler:
    drawn = {"steps": changes.pop("steps", 4), "batch_size": changes.pop("batch_size", 100)}
    values: dict[str, Any] = {
        "drawer": EditDrawer(policy=policy or linear_policy(), **drawn),
        "samples": lambda step, j: sample(10 * step + j),
        "instruction": lambda s: s.request,
        "reward": redness,
        "noisy": lambda step: range(1, 3),
        "group_size": 3,
        "seed": 5,
    }
    return FlowSampler(**values | changes)


def ends(groups: list[FlowGroup]) -> torch.Tensor:
    return torch.stack([r.trajectory.latents_SNC[-1] for g in groups for (r,) in g.rollouts])


def test_groups_have_their_edits_with_rewards_and_only_the_window_is_noisy() -> None:
    groups = sampler().draw(0, [0, 1], Clock())
    assert [g.place for g in groups] == [0, 1] and [len(g.rollouts) for g in groups] == [3, 3]
    for g in groups:
        assert g.reward_GK.shape == (3, 1) and g.differs
        for r, reward in zip((r for (r,) in g.rollouts), g.reward_GK[:, 0].tolist(), strict=True):
            assert r.picture.size == g.unit.image.size == (32, 32) and r.instruction == g.unit.request
            assert r.trajectory.steps == range(1, 3) and r.trajectory.logp_T.shape == (2,)
            assert reward == r.reward.total == pytest.approx(np.asarray(r.picture)[..., 0].mean() / 255)


@pytest.mark.parametrize("batch_size", [1, 4, 5])
def test_what_is_sampled_together_and_on_which_rank_does_not_matter(batch_size: int) -> None:
    whole = ends(sampler().draw(2, [0, 1, 2], Clock()))
    torch.testing.assert_close(ends(sampler(batch_size=batch_size).draw(2, [0, 1, 2], Clock())), whole)
    torch.testing.assert_close(ends(sampler().draw(2, [1], Clock())), whole[3:6])
    assert not torch.allclose(ends(sampler(seed=6).draw(2, [1], Clock())), whole[3:6])
    assert not torch.allclose(ends(sampler().draw(3, [1], Clock())), whole[3:6])


def test_source_and_text_are_encoded_once_per_prompt() -> None:
    own = sampler(batch_size=2)
    groups = own.draw(0, [0, 1], Clock())
    assert own.policy.flow.encoded == 2  # type: ignore[attr-defined]
    assert all(len({id(r.trajectory.conditioning) for (r,) in g.rollouts}) == 1 for g in groups)


def test_a_group_starts_from_one_noise_or_from_many() -> None:
    def starts(own: FlowSampler) -> list[torch.Tensor]:
        return [r.trajectory.latents_SNC[0] for g in own.draw(0, [0, 1], Clock()) for (r,) in g.rollouts]

    one, many = starts(sampler(same_noise=True)), starts(sampler())
    assert torch.equal(one[0], one[1]) and torch.equal(one[3], one[5]) and not torch.equal(one[0], one[3])
    assert len({tuple(x.flatten().tolist()) for x in many}) == 6
    assert not torch.allclose(
        ends(sampler(same_noise=True).draw(0, [0], Clock()))[0], ends(sampler(same_noise=True).draw(0, [0], Clock()))[1]
    )


def test_pictures_of_different_sizes_and_texts_of_different_lengths_go_their_own_ways() -> None:
    """A real pipeline: two grids, and an instruction that is longer than the usual length."""
    pictures = [noise_picture((32, 32)), noise_picture((64, 16)), noise_picture((40, 40), 1)]
    texts = ["make the sky red", "add a hat", "make the sky darker " * 8]
    samples = [EditSample(f"s{j}", texts[j], (), picture=pictures[j]) for j in range(3)]
    own = sampler(
        kontext_policy(StepNoise(0.6)),
        samples=lambda step, j: samples[j],
        group_size=2,
        steps=2,
        noisy=lambda s: range(1),
    )
    groups = own.draw(0, [0, 1, 2], Clock())
    assert [r.picture.size for g in groups for (r,) in g.rollouts] == [(32, 32)] * 2 + [(64, 16)] * 2 + [(40, 40)] * 2
    assert len({r.shape for g in groups for (r,) in g.rollouts}) == 3


def test_another_source_picture_gives_another_result_for_the_same_seed() -> None:
    """The picture reaches the model: of a real pipeline, under the training's own sampling and its own log-probabilities."""
    first = EditSample("a", "add a hat", (), picture=noise_picture((32, 32), 0))
    policy = kontext_policy(StepNoise(0.6))
    settings: dict[str, Any] = {"group_size": 2, "steps": 2, "noisy": lambda s: range(1)}
    drawn = [
        sampler(policy, samples=lambda step, j, s=s: s, **settings).draw(0, [0], Clock())[0]
        for s in (first, replace(first, picture=noise_picture((32, 32), 1)), replace(first, request="make the sky red"))
    ]
    trajectories = [g.rollouts[0][0].trajectory for g in drawn]
    for other in trajectories[1:]:
        assert torch.equal(other.latents_SNC[0], trajectories[0].latents_SNC[0])  # the same noise
        assert float((other.latents_SNC[-1] - trajectories[0].latents_SNC[-1]).abs().max()) > 1e-3
        swapped = replace(trajectories[0], conditioning=other.conditioning)  # the same steps, another picture or text
        with torch.no_grad():
            assert float((policy(collate([swapped])).logp_BT - trajectories[0].logp_T).abs().max()) > 1e-6


def test_missing_rewards_stay_missing() -> None:
    own = sampler(reward=lambda s, p, seeds: [Scored(None), Scored(0.5), Scored(float("nan"))])
    (group,) = own.draw(0, [0], Clock())
    assert group.reward_GK[:, 0].isnan().tolist() == [True, False, True] and not group.differs


def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(RunFailed, match="2 values for 3 edits"):
        sampler(reward=lambda s, p, seeds: [Scored(0.1)] * 2).draw(0, [0], Clock())
    with pytest.raises(BadInput, match="sample t has no picture"):
        sampler(samples=lambda step, j: EditSample("t", "x", ())).draw(0, [0], Clock())
    policy = linear_policy()
    policy.flow.tiled = True  # type: ignore[misc]
    with pytest.raises(BadInput, match="tiling"):
        sampler(policy)


def test_every_edit_has_a_seed_of_its_own_for_its_reward() -> None:
    seen: list[int] = []

    def reward(samples: Any, pictures: list[Image.Image], seeds: list[int]) -> list[Scored]:
        seen.extend(seeds)
        return redness(samples, pictures, seeds)

    sampler(reward=reward).draw(0, [0, 1], Clock())
    assert len(set(seen)) == 6
