"""Pictures that are kept for a while: never too many, never too long, and none that was just promised is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from experiments.serving.kept import KeptPictures

ANSWERS = st.lists(st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 5)), max_size=20)


@given(ANSWERS)
def test_what_is_kept_are_the_newest_that_fit_and_are_not_too_old(answers: list[tuple[list[int], int]]) -> None:
    now = 0
    kept = KeptPictures(10, 5, 20, lambda: float(now))
    given_out: list[tuple[str, int, int]] = []  # name, size, when
    for sizes, wait in answers:
        now += wait
        if len(sizes) > 5 or sum(sizes) > 20:
            with pytest.raises(BadInput, match="kept at a time"):
                kept.keep([b"x" * size for size in sizes], "png")
            continue
        names = kept.keep([b"x" * size for size in sizes], "png")
        given_out += [(name, size, now) for name, size in zip(names, sizes, strict=True)]
        count = held = 0
        fits = True
        for name, size, when in reversed(given_out):
            count, held = count + 1, held + size
            fits = fits and count <= 5 and held <= 20 and when + 10 > now
            found = kept.get(name)
            assert (found is not None) == fits
            if found is not None:
                assert found[0].data == b"x" * size and found[1] == when + 10 - now
    assert len({name for name, _, _ in given_out}) == len(given_out)
    kept.clear()
    assert all(kept.get(name) is None for name, _, _ in given_out)


def test_none_may_be_kept_at_all() -> None:
    with pytest.raises(BadInput, match="0 pictures are kept"):
        KeptPictures(10, 0, 20).check(1)
