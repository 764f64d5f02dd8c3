"""Session measures, worked by hand."""

from __future__ import annotations

from math import sqrt
from random import Random

import pytest

from common.errors import BadInput
from judges.base import Verdict
from judges.sessions.base import SESSION_SCORES
from judges.sessions.measures import MEASURES, by_category, by_turn

BAD = Verdict.invalid("no answer")


def turn(followed: float, consistency: float | None, aware: float) -> Verdict:
    scores = {"if": followed, "ga": aware} | ({} if consistency is None else {"cc": consistency})
    return Verdict(scores)


FOUR = [
    [turn(1, 1.0, 1), turn(1, 0.8, 1), turn(1, 0.6, 1)],
    [turn(1, 0.9, 1), turn(0, 0.7, 0), turn(1, 0.5, 0)],
    [turn(0, 0.5, 0), turn(1, 0.4, 0), turn(1, 0.4, 0)],
    [turn(1, 0.8, 0), turn(1, 0.3, 0), turn(1, None, 0)],
]


def values(sessions: list[list[Verdict]], name: str) -> list[float | None]:
    return [measured[name].value for measured in by_turn(sessions)]


def test_by_hand() -> None:
    assert values(FOUR, "if") == [0.75, 0.75, 1.0]
    assert values(FOUR, "cc") == pytest.approx([0.8, 0.55, 0.5])  # turn 3: of three sessions
    assert values(FOUR, "ga") == [0.5, 0.25, 0.25]
    assert values(FOUR, "if_so_far") == [0.75, 0.5, 0.5]
    assert values(FOUR, "overall") == pytest.approx([sqrt(0.75 * 0.8), sqrt(0.5 * 0.55), sqrt(0.5 * 0.5)])
    assert values(FOUR, "success") == [0.75, 0.25, 0.25]  # the fourth fails in consistency in turn 2


def test_invalid_verdicts_are_left_out_and_counted() -> None:
    sessions = [*FOUR, [turn(1, 1.0, 1), BAD, turn(1, 1.0, 1)], [turn(0, 1.0, 0), BAD, BAD]]
    first, second, third = by_turn(sessions)
    assert (first["if"].n, first["if"].invalid) == (6, 0)
    assert (second["if"].n, second["if"].invalid, second["if"].value) == (4, 2, 0.75)
    # a failure in turn 1 is known whatever turn 2 was; the other session is unknown from turn 2 on
    assert (second["if_so_far"].n, second["if_so_far"].invalid, second["if_so_far"].value) == (5, 1, 0.4)
    assert (third["if_so_far"].n, third["if_so_far"].invalid) == (5, 1)
    assert third["if"].invalid == 1 and third["overall"].invalid == 1


def test_no_valid_verdict_has_no_value() -> None:
    (measured,) = by_turn([[BAD], [BAD]])
    assert {name: (cell.value, cell.invalid) for name, cell in measured.items()} == {
        name: (None, 2) for name in MEASURES
    }
    assert by_turn([]) == []
    assert by_turn([[turn(1, None, 1)]])[0]["cc"].value is None
    assert by_turn([[turn(1, None, 1)]])[0]["cc"].invalid == 0


def test_sessions_count_for_the_turns_that_they_have() -> None:
    assert [measured["if"].n for measured in by_turn([FOUR[0], FOUR[1][:1], FOUR[2][:2]])] == [3, 2, 1]


def test_categories_and_all() -> None:
    parts = by_category(FOUR, ["cm", "cu", "cu", "cm"])
    assert list(parts) == ["all", "cm", "cu"]
    assert parts["all"] == by_turn(FOUR)
    assert parts["cm"] == by_turn([FOUR[0], FOUR[3]]) and parts["cu"] == by_turn([FOUR[1], FOUR[2]])
    with pytest.raises(BadInput, match="2 categories for 4 sessions"):
        by_category(FOUR, ["cm", "cu"])


def random_sessions(count: int, seed: int) -> list[list[Verdict]]:
    rng = Random(seed)

    def one() -> Verdict:
        return (
            BAD
            if rng.random() < 0.1
            else turn(rng.random() < 0.7, rng.choice([None, rng.random()]), rng.random() < 0.5)
        )

    return [[one() for _ in range(rng.randint(1, 4))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_order_bounds_and_decline(seed: int) -> None:
    sessions = random_sessions(40, seed)
    measured = by_turn(sessions)
    assert by_turn(Random(seed).sample(sessions, len(sessions))) == measured
    for cells in measured:
        for cell in cells.values():
            assert cell.value is not None and 0 <= cell.value <= 1
            assert cell.low is None or cell.high is None or cell.low <= cell.value <= cell.high
        so_far, following, success = (cells[name].value or 0.0 for name in ("if_so_far", "if", "success"))
        assert success <= so_far + 1e-12 and set(SESSION_SCORES) < set(cells) and following >= 0
    whole = [s for s in sessions if len(s) == 4 and all(v.valid for v in s)]
    for name in ("if_so_far", "success"):
        shares = values(whole, name)
        assert shares == sorted(shares, key=lambda v: -(v or 0.0))


def test_intervals_are_over_sessions() -> None:
    cells = by_turn(FOUR * 10)[0]
    assert cells["if"].low is not None and cells["if"].high is not None and cells["if"].low < 0.75 < cells["if"].high
    assert cells["overall"].low is not None and cells["overall"].n == 40
    wide, narrow = by_turn(FOUR * 5)[1]["overall"], by_turn(FOUR * 50)[1]["overall"]
    assert (wide.high or 0) - (wide.low or 0) > 2 * ((narrow.high or 0) - (narrow.low or 0)) > 0
