"""The session reward: a weighted mean over what a verdict has."""

from __future__ import annotations

import math
from itertools import product

import pytest

from benchmarks.sandbox.generate import SandboxSample, make_session
from common.errors import BadInput
from judges.base import Verdict
from judges.sessions.base import SESSION_SCORES, PlayedSession
from judges.sessions.sandbox import SandboxSessionJudge
from rewards.session import WEIGHTS, session_reward


def test_by_hand() -> None:
    reward = session_reward(Verdict({"if": 1.0, "cc": 0.5, "ga": 0.0}))
    assert reward.total == pytest.approx(0.3 * 1 + 0.3 * 0.5 + 0.4 * 0)
    assert reward.components == {"if": 1.0, "cc": 0.5, "ga": 0.0}
    assert session_reward(Verdict({"if": 1.0, "cc": 0.5, "ga": 0.0}), {"if": 1, "cc": 3}).total == pytest.approx(0.625)


def test_weights_of_absent_scores_go_to_the_others() -> None:
    assert session_reward(Verdict({"if": 1.0, "ga": 0.0})).total == pytest.approx(0.3 / 0.7)
    assert session_reward(Verdict({"if": 1.0, "ga": 0.0})).components["cc"] is None
    assert session_reward(Verdict({"if": 1.0, "ga": 0.0}), {"cc": 1.0}).total is None


def test_an_invalid_verdict_has_no_reward() -> None:
    assert session_reward(Verdict.invalid("no answer")).total is None
    assert session_reward(Verdict.invalid("no answer"), graded=True).total is None


@pytest.mark.parametrize("values", list(product((0.0, 0.3, 1.0), repeat=3)))
def test_between_the_scores_and_rising_with_each(values: tuple[float, float, float]) -> None:
    scores = dict(zip(SESSION_SCORES, values, strict=True))
    total = session_reward(Verdict(scores)).total
    assert total is not None and min(values) - 1e-12 <= total <= max(values) + 1e-12
    for name in SESSION_SCORES:
        better = session_reward(Verdict(scores | {name: 1.0})).total
        assert better is not None and better >= total
    assert session_reward(Verdict(scores), {k: 7 * w for k, w in WEIGHTS.items()}).total == pytest.approx(total)


def test_graded_takes_the_share_of_the_edit_that_was_made() -> None:
    session = make_session("test", 0, 0, 3)
    first = session.turns[0]
    assert isinstance(first, SandboxSample)
    judge = SandboxSessionJudge()
    ((done,), (idle,)) = judge.judge_sessions(
        [PlayedSession(session, first.image, (p,)) for p in (first.target, first.image)]
    )
    assert session_reward(done).total == session_reward(done, graded=True).total == 1
    assert session_reward(idle, graded=True).components["if"] == idle.raw["if_credit"] == 0
    partly = Verdict({"if": 0.0, "cc": 1.0, "ga": 0.0}, raw={"if_credit": 0.4})
    assert session_reward(partly, graded=True).total == pytest.approx(0.3 * 0.4 + 0.3)
    assert session_reward(partly).total == pytest.approx(0.3)


def test_graded_is_refused_for_a_judge_that_does_not_measure_it() -> None:
    for raw in (None, {}, {"if_credit": "yes"}):
        with pytest.raises(BadInput, match="if_credit"):
            session_reward(Verdict({"if": 1.0, "ga": 1.0}, raw=raw), graded=True)


@pytest.mark.parametrize("weights, says", [
    ({"iff": 1.0}, "'iff'"), ({"if": -1.0}, "if=-1.0"), ({"if": math.nan}, "if=nan"), ({"if": True}, "if=True"),
    ({"if": 0.0}, "zero"), ({}, "zero"),
])  # fmt: skip
def test_weights_that_cannot_be_used(weights: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        session_reward(Verdict({"if": 1.0, "cc": 1.0, "ga": 1.0}), weights)
