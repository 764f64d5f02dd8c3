"""Rollouts of sessions: each turn goes on from its own trajectory's picture; nothing depends on what is drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.base import EditSession
from common.errors import BadInput, RunFailed
from rl.clock import Clock
from rl.session_rollouts import SessionGroup, SessionSampler, describe_sessions, session_rows, turn_sample
from tests.rl.session_runs import config, reddening, session, training


@pytest.fixture
def sampler(tiny_vlm_path: Path) -> SessionSampler:
    return training(tiny_vlm_path, config()).algorithm.sampler


def latents(groups: Sequence[SessionGroup]) -> torch.Tensor:
    return torch.stack([r.edit.trajectory.latents_SNC for g in groups for turns in g.rollouts for r in turns])


def texts(groups: Sequence[SessionGroup]) -> list[str]:
    return [r.intent.text for g in groups for turns in g.rollouts for r in turns]


def test_a_group_has_its_trajectories_turn_by_turn(sampler: SessionSampler) -> None:
    groups = sampler.draw(0, [0, 1], Clock())
    assert [g.place for g in groups] == [0, 1] and all(g.reward_GK.shape == (3, 3) for g in groups)
    for group in groups:
        for g, turns in enumerate(group.rollouts):
            assert [r.text is None for r in turns] == [True, False, False]  # the first turn is never rewritten
            assert turns[0].intent.instruction == group.unit.turns[0].request
            for k, r in enumerate(turns):
                assert float(group.reward_GK[g, k]) == r.reward.total
                if r.text is not None:  # what the writer was shown: the session's words, and this trajectory's picture
                    assert r.text.request.text.endswith(group.unit.turns[k].request)
                    assert all(t.request in r.text.request.text for t in group.unit.turns[:k])
                    assert r.text.request.images[0].tobytes() == turns[k - 1].edit.picture.tobytes()


def test_what_is_drawn_together_does_not_matter(sampler: SessionSampler) -> None:
    whole, alone = sampler.draw(2, [0, 1], Clock()), sampler.draw(2, [1], Clock())
    torch.testing.assert_close(latents(whole)[9:], latents(alone))
    assert texts(whole)[9:] == texts(alone)
    again = replace(sampler, drawer=replace(sampler.drawer, batch_size=1)).draw(2, [1], Clock())
    torch.testing.assert_close(latents(again), latents(alone))
    assert not torch.allclose(latents(sampler.draw(3, [1], Clock())), latents(alone))


def test_one_trajectory_alone_is_the_one_of_its_group(sampler: SessionSampler) -> None:
    (group,) = sampler.draw(2, [1], Clock())
    (alone,) = sampler.play(2, [(1, 2)], Clock())
    for one, other in zip(alone, group.rollouts[2], strict=True):
        torch.testing.assert_close(one.edit.trajectory.latents_SNC, other.edit.trajectory.latents_SNC)
        assert one.intent == other.intent and one.edit.picture.tobytes() == other.edit.picture.tobytes()


def test_a_group_starts_every_turn_from_one_noise(sampler: SessionSampler) -> None:
    (group,) = sampler.draw(0, [0], Clock())
    for k in range(3):
        starts = [turns[k].edit.trajectory.latents_SNC[0] for turns in group.rollouts]
        assert all(torch.equal(s, starts[0]) for s in starts)
    (group,) = replace(sampler, same_noise=False).draw(0, [0], Clock())
    assert not torch.equal(*(turns[0].edit.trajectory.latents_SNC[0] for turns in group.rollouts[:2]))


def test_sessions_of_different_lengths(sampler: SessionSampler) -> None:
    mixed = replace(sampler, sessions=lambda step, j: session(j, 2 + j))
    groups = mixed.draw(0, [0, 1], Clock())
    assert [g.reward_GK.shape for g in groups] == [(3, 2), (3, 3)]


def test_without_a_writer_the_words_are_the_instruction(sampler: SessionSampler) -> None:
    (group,) = replace(sampler, writer=None).draw(0, [0], Clock())
    said = [t.request for t in group.unit.turns]
    assert all([r.intent.instruction for r in turns] == said for turns in group.rollouts)
    assert all(r.text is None for turns in group.rollouts for r in turns)


def test_rewards_for_other_turns_and_sessions_without_a_picture_are_refused(sampler: SessionSampler) -> None:
    short: Any = lambda sessions, pictures: [own[:-1] for own in reddening(sessions, pictures)]  # noqa: E731
    with pytest.raises(RunFailed, match="one value for each turn"):
        replace(sampler, reward=short).draw(0, [0], Clock())
    bare = EditSession("bare", tuple(replace(t, picture=None) for t in session(0).turns))
    with pytest.raises(BadInput, match="no picture"):
        replace(sampler, sessions=lambda step, j: bare).draw(0, [0], Clock())


def test_rows_and_metrics(sampler: SessionSampler) -> None:
    groups = sampler.draw(0, [0, 1], Clock())
    rows = [row for g in groups for row in session_rows(g, lambda r: 0.5, 4)]
    assert len(rows) == 18 and {r["turn"] for r in rows} == {1, 2, 3} and {r["step"] for r in rows} == {4}
    metrics = describe_sessions(rows, [not g.differs for g in groups])
    assert metrics["reward/mean"] == pytest.approx(sum(r["reward"] for r in rows) / 18)
    own = [r["components"]["red"] for r in rows if r["turn"] == 2]
    assert metrics["turn_2/red"] == pytest.approx(sum(own) / len(own))
    assert metrics["intents/fallback"] == 1.0  # a random model writes no end of a thought


def test_a_turn_as_the_writer_sees_it() -> None:
    own = session(1)
    seen = turn_sample(own, 2, own.turns[0].image)  # type: ignore[arg-type]
    assert seen.history == tuple(t.request for t in own.turns[:2]) and seen.gold == () and seen.kind == "cu"
