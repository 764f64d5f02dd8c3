"""Which of several traces is kept: the most accurate one, then by the stated tie-breaks."""

import pytest

from common.errors import BadInput
from judges.reasoning.selection import accuracy, best
from judges.reasoning.trace import Trace


def trace(verdicts: tuple[int, ...], score: float = 5.0) -> Trace:
    return Trace("", verdicts, score)


def test_accuracy_is_the_share_of_points_answered_as_the_verifier_does() -> None:
    assert accuracy(trace((1, 0, 1, 1)), (1, 1, 1, 0)) == 0.5


@pytest.mark.parametrize(
    ("traces", "chosen"),
    [
        ([trace((0, 0, 0)), trace((1, 0, 0))], 1),  # more accurate
        ([trace((0, 0, 1)), trace((1, 0, 0)), trace((1, 1, 1))], 2),  # 1/3, 3/3 would be (1, 1, 0): (1, 1, 1) has 2/3
        ([trace((1, 0, 0)), trace((1, 1, 1))], 1),  # both 2/3: the higher average
        ([trace((0, 1, 0), 3), trace((1, 0, 0), 8)], 1),  # both 2/3 and one third met: the higher score
        ([trace((1, 1, 0), 7), trace((1, 1, 0), 7)], 0),  # equal: the first
    ],
)
def test_ties_go_by_average_then_score_then_place(traces: list[Trace], chosen: int) -> None:
    assert best(traces, (1, 1, 0)) == chosen


def test_nothing_to_choose_from_and_other_points_are_refused() -> None:
    with pytest.raises(BadInput, match="no trace"):
        best([], (1,))
    with pytest.raises(BadInput, match="2 verdicts .* 1 points"):
        accuracy(trace((1, 0)), (1,))
