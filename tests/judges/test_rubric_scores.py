"""Every protocol's formula against answers worked by hand, and what holds for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.question import Question, Rubric, Unreadable
from judges.rubrics import make_rubric
from tests.rubric_items import CASES, MICE, RISE, ask, item, reply_of, scored

RUBRIC = {name: make_rubric(name) for name, _ in CASES}


def test_paper_is_the_mean_of_three_aspects() -> None:
    # (9 + 6 + 3) / 3 = 6
    reply = {"request_fulfilled": 9, "image_quality": 6, "content_preserved": 3}
    assert scored(RUBRIC["paper"], item(), {"aspects": reply}) == {**reply, "overall": 6.0}


@pytest.mark.parametrize("name", ["viescore", "gedit"])
def test_viescore_is_the_root_of_the_two_lowest(name: str) -> None:
    # SC = min(4, 9) = 4, PQ = min(10, 9) = 9, O = sqrt(4 * 9) = 6; not sqrt(mean * mean) = sqrt(6.5 * 9.5) = 7.86
    got = scored(RUBRIC[name], item(), {"sc": {"score": [4, 9]}, "pq": {"score": [10, 9]}})
    assert got == {"sc": 4, "pq": 9, "overall": 6.0}
    # fractions as the published parser takes them: min(2.5, 8) = 2.5, min(10, 10) = 10, sqrt(25) = 5
    assert scored(RUBRIC[name], item(), {"sc": {"score": [2.5, 8]}, "pq": {"score": [10, 10]}})["overall"] == 5.0


def test_viescore_overall_belongs_to_an_item_not_to_the_table() -> None:
    one = scored(RUBRIC["viescore"], item(), {"sc": {"score": [9, 9]}, "pq": {"score": [1, 9]}})
    two = scored(RUBRIC["viescore"], item(), {"sc": {"score": [1, 9]}, "pq": {"score": [9, 9]}})
    # each item: sqrt(9 * 1) = 3. Mean of O = 3; the root of the mean SC and PQ, 5 each, would say 5
    assert (one["overall"] + two["overall"]) / 2 == 3.0


def test_editscore_comes_from_25_and_is_averaged_over_passes() -> None:
    rubric = RUBRIC["editscore"]
    # 20 / 2.5 = 8, 10 / 2.5 = 4, min(25, 22.5) / 2.5 = 9, O = sqrt(min(8, 4) * 9) = 6
    one = scored(rubric, item(), {"sc": {"score": [20, 10]}, "pq": {"score": [25, 22.5]}})
    assert one == {"prompt_following": 8.0, "consistency": 4.0, "perceptual_quality": 9.0, "overall": 6.0}
    # 25 / 2.5 = 10, twice; 0 / 2.5 = 0; O = 0
    two = scored(rubric, item(), {"sc": {"score": [25, 25]}, "pq": {"score": [0, 25]}})
    assert two == {"prompt_following": 10.0, "consistency": 10.0, "perceptual_quality": 0.0, "overall": 0.0}
    # avg@2: (8 + 10) / 2, (4 + 10) / 2, (9 + 0) / 2, (6 + 0) / 2 = 3; not the root of the averages
    both = rubric.combine([one, two])
    assert both == {"prompt_following": 9.0, "consistency": 7.0, "perceptual_quality": 4.5, "overall": 3.0}
    # avg@3 of overall 6, 0, 0: the mean is 2, the median would be 0
    assert rubric.combine([one, two, two])["overall"] == 2.0
    with pytest.raises(Unreadable, match="0 to 25"):
        scored(rubric, item(), {"sc": {"score": [26, 10]}, "pq": {"score": [25, 25]}})


def test_complex_edit_is_the_mean_of_three_and_averaged_over_samples() -> None:
    rubric = RUBRIC["complex_edit"]

    def sample(following: int, identity: int, quality: int) -> Any:
        alignment = {"instruction_following": following, "identity_preservation": identity}
        return scored(rubric, item(), {"alignment": alignment, "quality": {"perceptual_quality": quality}})

    # (8 + 10 + 6) / 3 = 8; (2 + 4 + 0) / 3 = 2; the mean of both: 5
    assert sample(8, 10, 6)["overall"] == 8.0
    assert rubric.combine([sample(8, 10, 6), sample(2, 4, 0)]) == {
        "instruction_following": 5.0,
        "identity_preservation": 7.0,
        "perceptual_quality": 3.0,
        "overall": 5.0,
    }
    # of 8, 2, 2: the mean is 4, the median would be 2
    assert rubric.combine([sample(8, 10, 6), sample(2, 4, 0), sample(2, 4, 0)])["overall"] == 4.0
    assert rubric.repeats == 20


def test_imgedit_is_the_mean_of_what_the_judge_says() -> None:
    rubric, of = RUBRIC["imgedit"], item(edit_type="add")
    # (3 + 5 + 2) / 3 = 10 / 3, doubled: 20 / 3, though the second should not exceed the first
    got = scored(rubric, of, {"edit": {"compliance": 3, "naturalness": 5, "integrity": 2}})
    assert got == {"compliance": 3, "naturalness": 5, "integrity": 2, "overall": pytest.approx(20 / 3)}
    # (5 + 4 + 3) / 3 = 4, doubled: 8
    assert scored(rubric, of, {"edit": {"compliance": 5, "naturalness": 4, "integrity": 3}})["overall"] == 8.0


def test_imgedit_reads_the_published_lines_of_the_items_type() -> None:
    rubric, of = RUBRIC["imgedit"], item(edit_type="style")
    read = ask(rubric, of)["edit"].read
    lines = "Brief reasoning: nice\nStyle Fidelity: 4\nContent Preservation: 3\nRendering Quality: 2"
    # (4 + 3 + 2) / 3 = 3, doubled: 6
    assert rubric.score({"edit": read(lines)}, of)["overall"] == 6.0
    with pytest.raises(Unreadable, match="Style Fidelity"):
        read("Prompt Compliance: 4\nVisual Naturalness: 3\nPhysical & Detail Integrity: 2")
    with pytest.raises(Unreadable, match="lacks"):
        read(lines + '\n{"score": 4}')  # JSON was begun: then it is the answer


def test_imgedit_uge_is_one_score() -> None:
    assert scored(RUBRIC["imgedit"], item("uge"), {"edit": {"score": 3}}) == {"uge": 3.0, "overall": 6.0}


def points(consistency: int, reasoning: int, plausibility: int) -> dict[str, dict[str, int]]:
    named = {"consistency": consistency, "reasoning": reasoning, "plausibility": plausibility}
    return {name: {"score": score} for name, score in named.items()}


@pytest.mark.parametrize(
    ("case", "given_points", "weighted", "accuracy"),
    [
        ("plain", points(4, 3, 5), 3.7, 0),  # .3 * 4 + .5 * 3 + .2 * 5 = 1.2 + 1.5 + 1.0
        ("plain", points(5, 5, 5), 5.0, 1),
        ("source", points(5, 5, 4), 4.8, 0),  # 1.5 + 2.5 + .8
        ("picture", points(1, 2, 1), 1.5, 0),  # .3 + 1.0 + .2
        ("plain", points(5, 1, 5), 1.5, 0),  # (1.5 + .5 + 1.0) / 2
        ("plain", points(1, 1, 1), 1.0, 0),  # 1 / 2, but not below 1
        ("free", points(1, 4, 5), 4.2, 0),  # .8 * 4 + .2 * 5; consistency is not asked
        ("free", points(1, 5, 5), 5.0, 1),
        ("free", points(5, 1, 3), 1.0, 0),  # (.8 + .6) / 2 = .7, but not below 1
        ("logical", points(1, 1, 0), 5.0, 1),  # both 1, which counts as 5
        ("logical", points(0, 1, 0), 3.8, 0),  # .3 * 1 + .7 * 5
        ("logical picture", points(1, 0, 0), 1.1, 0),  # (.3 * 5 + .7 * 1) / 2 = 2.2 / 2
        ("logical alone", points(0, 0, 0), 1.0, 0),
    ],
)
def test_rise(case: str, given_points: dict[str, Any], weighted: float, accuracy: int) -> None:
    got = scored(RUBRIC["rise"], RISE[case], given_points)
    # RISEBench's percentage is 25 * (weighted - 1), overall a tenth of it
    assert got["overall"] == pytest.approx(2.5 * (weighted - 1))
    assert got["accuracy"] == accuracy
    assert ("plausibility" in got) == (not case.startswith("logical"))
    assert ("consistency" in got) == (case != "free")


def test_mice_weighs_as_the_training_reward_and_leaves_out_what_cannot_be_asked() -> None:
    rubric = RUBRIC["mice"]
    # .3 * 10 + .3 * 5 + .4 * 5 = 3 + 1.5 + 2
    got = scored(rubric, MICE["cm"], {"if": {"score": 10}, "cc": {"score": 5}, "ga": {"score": 5}})
    assert got == {"if": 10, "cc": 5, "ga": 5, "overall": pytest.approx(6.5)}
    # without CC: (.3 * 10 + .4 * 3) / .7 = 4.2 / .7
    got = scored(rubric, MICE["nothing unchanged"], {"if": {"score": 10}, "ga": {"score": 3}})
    assert got == {"if": 10, "ga": 3, "overall": pytest.approx(6.0)}
    # four votes, averaged: (10 + 10 + 10 + 0) / 4
    assert rubric.combine([{"if": 10.0}] * 3 + [{"if": 0.0}]) == {"if": 7.5}


@pytest.mark.parametrize("name", ["paper", "viescore", "gedit", "imgedit", "rise"])
def test_passes_are_combined_by_their_median(name: str) -> None:
    passes = [{"overall": 1.0, "a": 4.0}, {"overall": 9.0, "a": 4.0}, {"overall": 2.0, "a": 0.0}]
    assert RUBRIC[name].combine(passes) == {"overall": 2.0, "a": 4.0}
    assert RUBRIC[name].combine(passes[:2]) == {"overall": 5.0, "a": 4.0}  # of two: the mean of both
    with pytest.raises(BadInput, match="no pass"):
        RUBRIC[name].combine([])
    with pytest.raises(BadInput, match="different scores"):
        RUBRIC[name].combine([{"overall": 1.0}, {"a": 1.0}])


def score_of(rubric: Rubric, of: EditSample, replies: dict[str, dict[str, Any]]) -> dict[str, float]:
    asked: dict[str, Question] = ask(rubric, of)
    return dict(rubric.score({name: q.read(json.dumps(replies[name])) for name, q in asked.items()}, of))


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize(("name", "of"), CASES, ids=lambda v: v if isinstance(v, str) else v.kind)
def test_scores_stay_in_their_scales_and_never_fall_when_an_answer_rises(
    name: str, of: EditSample, data: st.DataObject
) -> None:
    rubric = RUBRIC[name]
    asked = ask(rubric, of)
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    replies = {key: reply_of(question, draw) for key, question in asked.items()}
    got = score_of(rubric, of, replies)
    assert "overall" in got and set(got) <= set(rubric.scores) == set(rubric.scales)
    assert 0 <= got["overall"] <= 10 == rubric.scales["overall"]
    assert all(0 <= value <= rubric.scales[key] for key, value in got.items())

    # one number of one answer rises by one, where it can
    places: list[tuple[Any, Any, int]] = []
    for key, question in asked.items():
        assert question.schema is not None
        for field, schema in question.schema["properties"].items():
            value = replies[key][field]
            if schema["type"] == "integer" and value < schema["maximum"]:
                places.append((replies[key], field, value))
            elif schema["type"] == "array":
                most = schema["items"]["maximum"]
                places.extend((value, i, n) for i, n in enumerate(value) if n < most)
    if places:
        inside, where, value = data.draw(st.sampled_from(places))
        inside[where] = value + 1
        better = score_of(rubric, of, replies)
        assert all(better[key] >= got[key] - 1e-12 for key in got)


@pytest.mark.parametrize(("name", "of"), CASES, ids=lambda v: v if isinstance(v, str) else v.kind)
def test_the_best_answers_reach_the_top_of_every_scale(name: str, of: EditSample) -> None:
    rubric = RUBRIC[name]
    best = {key: reply_of(question, lambda low, high: high) for key, question in ask(rubric, of).items()}
    assert score_of(rubric, of, best) == {key: pytest.approx(rubric.scales[key]) for key in score_of(rubric, of, best)}
    worst = {key: reply_of(question, lambda low, high: low) for key, question in ask(rubric, of).items()}
    assert score_of(rubric, of, worst)["overall"] == (2.0 if name == "imgedit" else 0.0)  # 1 of 5, doubled
