"""Near-duplicates: shingles and similarity by hand, and the index against comparing every pair."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.near import Near, NearIndex, jaccard, normalised, shingles
from common.errors import BadInput


def test_shingles_by_hand() -> None:
    # "Hi, Bob!" -> "hi bob" -> " hi bob " has 8 characters, so 5 shingles of 4
    assert shingles("Hi, Bob!") == {" hi ", "hi b", "i bo", " bob", "bob "}
    assert shingles("a") == {" a "}  # shorter than a shingle: one, the whole
    assert shingles("aaaaaa") == {" aaa", "aaaa", "aaa "}  # a set: "aaaa" counts once


def test_similarity_by_hand() -> None:
    # " remove the dog " 16 characters, 13 shingles; " remove the dogs " 17 and 14. All of the first but "dog " are in
    # the second: 12 shared, 13 + 14 - 12 = 15 in all
    assert jaccard("remove the dog", "Remove the dogs.") == pytest.approx(12 / 15)
    # "... the cat": the shingles within " remove the " are shared, 12 characters, 9 shingles: 9 / (13 + 13 - 9)
    assert jaccard("remove the dog", "remove the cat") == pytest.approx(9 / 17)
    assert jaccard("dog", "cat") == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Remove the DOG!!", "remove the dog"),
        ("re\u200bmove  the\ndog", "remove the dog"),
        ("ｒｅｍｏｖｅ the dog", "remove, the dog"),
        ("the dog’s tail", "the dog's tail"),
    ],
)
def test_the_same_words_are_the_same_text(one: str, other: str) -> None:
    assert normalised(one) == normalised(other) and jaccard(one, other) == 1.0


def test_what_consists_of_punctuation_alone_stays_itself() -> None:
    assert normalised("?!") == "?!" and jaccard("?!", "...") == 0.0


WORDS = ["remove", "the", "dog", "dogs", "cat", "add", "a", "red", "hat", "please", "把", "红色", "x"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=0, max_size=7).map(" ".join) | st.text(max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(TEXTS, max_size=12),
    st.lists(TEXTS, max_size=12),
    st.sampled_from([0.1, 0.3, 0.5, 0.6, 2 / 3, 0.7, 0.8, 0.9, 1.0]),
)
def test_the_index_finds_what_comparing_every_pair_finds(kept: list[str], asked: list[str], threshold: float) -> None:
    result = NearIndex(kept, threshold).nearest(asked)
    for text, near in zip(asked, result, strict=True):
        best = max((jaccard(text, k) for k in kept), default=0.0)
        if best < threshold:
            assert near is None
        else:
            assert near is not None and near.similarity == pytest.approx(best)
            assert jaccard(text, kept[near.index]) == pytest.approx(best)


def test_many_texts_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.near.CHUNK", 7)
    monkeypatch.setattr("benchmarks.near.PAIRS", 5)
    rng = random.Random(0)
    kept = [" ".join(rng.choices(WORDS, k=6)) for _ in range(60)]
    asked = [" ".join(rng.choices(WORDS, k=6)) for _ in range(80)]
    result = NearIndex(kept, 0.6).nearest(asked)
    for text, near in zip(asked, result, strict=True):
        best = max(jaccard(text, k) for k in kept)
        assert (near is not None) == (best >= 0.6) and (near is None or near.similarity == pytest.approx(best))
    assert any(result) and not all(result)


def test_the_order_of_what_is_kept_does_not_matter() -> None:
    kept, asked = ["add a hat", "remove the dog", "Remove the dog", "remove a dog"], ["remove the dog now", "add hat"]
    one, other = NearIndex(kept).nearest(asked), NearIndex(kept[::-1]).nearest(asked)
    assert [n and kept[n.index] for n in one] == [n and kept[::-1][n.index] for n in other]


def test_nothing_to_keep_away_from() -> None:
    assert NearIndex([]).nearest(["a", ""]) == [None, None] and NearIndex(["a"]).nearest([]) == []
    assert NearIndex(["a"]).nearest(["A."]) == [Near(0, 1.0)]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_a_threshold_that_is_none(threshold: float) -> None:
    with pytest.raises(BadInput, match="near="):
        NearIndex(["a"], threshold)
