"""Evaluation points as models write them: read as they are, or refused saying why."""

import pytest

from judges.question import Unreadable
from judges.reasoning.points import FOLLOW, KEEP, QUALITY, Point, read_points, write_points

POINTS = (Point("Is the hat red?", FOLLOW), Point("Is the dog as before?", KEEP), Point("Is it sharp?", QUALITY))


def test_what_is_written_is_read_again_with_prose_and_fence_around_it() -> None:
    assert read_points(f"Here they are:\n```json\n{write_points(POINTS)}\n```") == POINTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no list", "no list of points"),
        ("[{'question': 'a?'}]", "no JSON"),
        ('["a?"]', "no question"),
        ('[{"question": " ", "category": "Image Quality"}]', "no question"),
        ('[{"question": "a?", "category": "Beauty"}]', "none of the categories"),
        ('[{"question": "a?", "category": ["Image Quality"]}]', "none of the categories"),
        ("[]", "0 points"),
        ('[{"question": "a?", "category": "Image Quality"}]', "no point is about what the request asks for"),
        (write_points([POINTS[0], Point("is  the hat RED?", FOLLOW)]), "asked twice"),
        (write_points([Point(f"{k}?", FOLLOW) for k in range(25)]), "25 points"),
        ("[" * 100_000 + "]", "no JSON"),
    ],
)
def test_what_is_no_list_of_points_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_points(text)
