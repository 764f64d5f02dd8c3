"""Each set's own rule by hand; what must not change a number; self-preference; ratings; a whole set at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.item import Card, Item
from benchmarks.preferences.base import EditCandidate, PreferenceGroup, PreferencePair, PreferenceSet, majority
from common.correlation import fisher_mean, spearman
from common.errors import BadInput
from common.resampling import statistic_draws
from judges import agreement, ratings
from judges.answers import JudgedPair, answers_from_scores, answers_from_votes, mirrored
from judges.findings import findings_from_scores, findings_from_votes
from judges.self_preference import model_shares

CARD = Card("set", "a set", "here", "", "none", "", "", "all", "write it")
ITEM = Item(id="i", request="do it", gold=())


@pytest.fixture(autouse=True, scope="module")
def few_resamples() -> Iterator[None]:
    """200 draws of rank correlations and kappas in place of 2,000: no test here looks at the digits of their intervals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "RESAMPLES", 200)
        patch.setattr(ratings, "statistic_draws", partial(statistic_draws, resamples=200))
        yield


def answer(human: str, margin: float | None, group: str = "", **more: object) -> JudgedPair:
    return JudgedPair(group=group or f"g{id(object())}", human=human, margin=margin, cluster=group or "", **more)  # type: ignore[arg-type]


def rows(*pairs: tuple[str, float | None], **more: object) -> list[JudgedPair]:
    return [JudgedPair(f"g{i}", h, m, cluster=f"g{i}", **more) for i, (h, m) in enumerate(pairs)]  # type: ignore[arg-type]


def ranked(name: str, scores: Sequence[float], human: Sequence[int]) -> PreferenceGroup:
    """A group of edits with all comparisons; `human` holds places, smaller is better."""
    pairs = [
        PreferencePair(i, j, "a" if human[i] < human[j] else "b" if human[i] > human[j] else "tie")
        for i in range(len(scores))
        for j in range(i + 1, len(scores))
    ]
    edits = tuple(EditCandidate(f"{name}/{k}", score=s) for k, s in enumerate(scores))
    return PreferenceGroup(name, replace(ITEM, id=name), edits, tuple(pairs), f"{len(scores)}-way", cluster=name)


def own_scores(data: PreferenceSet) -> dict[str, dict[str, float] | None]:
    return {k: None if c.score is None else {"overall": c.score} for k, (_, c) in data.candidates.items()}


# --------------------------------------------------------------------------------------------------- rules of the sets
def test_group_accuracy_by_hand() -> None:
    """2-way: right, wrong. 3-way: right, and one with two edits exchanged (2 of 3 pairs right, group wrong). 4-way: right.
    Groups 3 of 5; pairs 1 + 0 + 3 + 2 + 6 = 12 of 1 + 1 + 3 + 3 + 6 = 14."""
    groups = (
        ranked("a", [9, 1], [1, 2]),
        ranked("b", [1, 9], [1, 2]),
        ranked("c", [9, 5, 1], [1, 2, 3]),
        ranked("d", [9, 1, 5], [1, 2, 3]),
        ranked("e", [1, 3, 2, 4], [4, 2, 3, 1]),
    )
    data = PreferenceSet(CARD, groups, "groups")
    answers, notes = answers_from_scores(data, own_scores(data))
    cells = agreement.group_accuracy(answers)
    assert {k: (c.value, c.n) for k, c in cells.items()} == {
        "2-way": (0.5, 2),
        "3-way": (0.5, 2),
        "4-way": (1.0, 1),
        "all": (0.6, 5),
    }
    assert agreement.pair_accuracy(answers).value == pytest.approx(12 / 14) and notes == []


def test_a_tie_of_the_judge_breaks_a_group_and_a_tie_of_people_needs_one() -> None:
    data = PreferenceSet(CARD, (ranked("a", [5, 5, 1], [1, 2, 3]), ranked("b", [5, 5.4], [1, 1])), "groups")
    answers, _ = answers_from_scores(data, own_scores(data))
    assert agreement.group_accuracy(answers)["all"].value == 0.0
    assert agreement.group_accuracy(answers, epsilon=0.5)["2-way"].value == 1.0


def test_a_group_with_an_invalid_edit_is_invalid_and_one_not_yet_judged_makes_the_cell_partial() -> None:
    groups = tuple(ranked(n, [3, 2, 1], [1, 2, 3]) for n in "abcd")
    data = PreferenceSet(CARD, groups, "groups")
    scores = own_scores(data)
    scores["b/1"] = None
    cell = agreement.group_accuracy(answers_from_scores(data, scores)[0])["all"]
    assert (cell.value, cell.n, cell.invalid, cell.missing) == (1.0, 3, 1, 0)
    del scores["c/2"]
    cell = agreement.group_accuracy(answers_from_scores(data, scores)[0])["all"]
    assert (cell.n, cell.invalid, cell.missing) == (2, 1, 1) and cell.text(1, percent=True) == "partial (3 of 4)"


def test_random_rankings_reach_the_published_chance_level_of_k_factorial() -> None:
    rng, groups = np.random.default_rng(0), []
    for k in (2, 3, 4):
        groups += [ranked(f"{k}-{i}", list(rng.normal(size=k)), range(k)) for i in range(600)]
    data = PreferenceSet(CARD, tuple(groups), "groups")
    cells = agreement.group_accuracy(answers_from_scores(data, own_scores(data))[0])
    for k in (2, 3, 4):
        cell = cells[f"{k}-way"]
        assert cell.low <= 1 / math.factorial(k) <= cell.high  # type: ignore[operator]


def test_strict_accuracy_by_hand() -> None:
    """Task x: higher, equal, lower, higher: 2 of 4. Task y: higher: 1 of 1. Unweighted: 3/4, not 3/5."""
    result = rows(("a", 2.0), ("a", 0.0), ("b", 1.0), ("b", -1.0), kind="x") + [
        JudgedPair("y", "a", 0.1, kind="y", cluster="y")
    ]
    cell = agreement.strict_accuracy(result)
    assert (cell.value, cell.n) == (0.75, 5)


def test_four_way_accuracy_by_hand() -> None:
    said = ["a", "b", "tie_good", "tie_bad", "tie", "tie", "a", "tie_good"]
    human = ["a", "a", "tie_good", "tie_good", "tie_good", "tie_bad", "tie_bad", "b"]
    sign = {"a": 1.0, "b": -1.0}
    results = [
        JudgedPair(str(i), h, sign.get(s, 0.0), s, cluster=str(i))
        for i, (s, h) in enumerate(zip(said, human, strict=True))
    ]
    # right: a for a, tie_good for tie_good, and the tie without saying which for either
    assert agreement.four_way_accuracy(results).value == 4 / 8
    scored = rows(("a", 2.0), ("b", 2.0), ("tie_good", 0.0), ("tie_bad", 0.0), ("tie_bad", 0.3))
    assert agreement.four_way_accuracy(scored).value == 3 / 5
    assert agreement.four_way_accuracy(scored, epsilon=0.5).value == 4 / 5


def test_accuracy_with_and_without_ties_by_hand() -> None:
    result = rows(("a", 1.0), ("a", 0.0), ("b", 1.0), ("tie", 0.0), ("tie", 2.0), ("b", None))
    assert agreement.pair_accuracy(result).value == 2 / 5 and agreement.pair_accuracy(result).invalid == 1
    assert agreement.accuracy_without_ties(result).value == 1 / 3


# ------------------------------------------------------------------------------------------------------- invariances
LABELED = st.lists(
    st.tuples(st.sampled_from(["a", "b", "tie"]), st.integers(-5, 5), st.booleans()), min_size=2, max_size=20
)


def same(one: object, two: object) -> bool:
    return one == two or one == pytest.approx(two, abs=1e-9)


@settings(max_examples=5, deadline=None)
@given(LABELED)
def test_which_edit_is_called_a_changes_no_number(found: list[tuple[str, int, bool]]) -> None:
    plain = rows(*((h, float(m)) for h, m, _ in found))
    turned = [r.swapped if flip else r for r, (_, _, flip) in zip(plain, found, strict=True)]
    for measure in (
        agreement.pair_accuracy,
        agreement.accuracy_without_ties,
        agreement.four_way_accuracy,
        agreement.rank_correlation,
        agreement.kappa,
        lambda r: agreement.kappa(r, "linear"),
        lambda r: agreement.group_accuracy(r)["all"],
    ):
        one, two = measure(plain), measure(turned)  # type: ignore[operator]
        assert (one.n, one.note) == (two.n, two.note)
        assert all(
            same(a, b) for a, b in zip((one.value, one.low, one.high), (two.value, two.low, two.high), strict=True)
        )


def test_swapping_twice_is_nothing_and_mirroring_balances() -> None:
    one = JudgedPair("g", "a", 2.0, "a", models=("x", "y"), votes=("a", "tie", "b"))
    assert one.swapped.swapped == one and one.swapped.models == ("y", "x") and one.swapped.votes == ("b", "tie", "a")
    both = mirrored([one])
    assert sum(r.margin or 0 for r in both) == 0 and {r.human for r in both} == {"a", "b"}


@settings(max_examples=5, deadline=None)
@given(LABELED)
def test_a_monotone_odd_transform_of_margins_leaves_ranks_and_accuracies_alone(
    found: list[tuple[str, int, bool]],
) -> None:
    plain = rows(*((h, float(m)) for h, m, _ in found))
    bent = [replace(r, margin=math.copysign(abs(r.margin or 0) ** 3, r.margin or 0)) for r in plain]
    for measure in (agreement.pair_accuracy, agreement.rank_correlation, agreement.kappa):
        assert same(measure(plain).value, measure(bent).value)  # type: ignore[operator]


def test_a_set_that_always_puts_the_preferred_edit_first_is_no_special_case() -> None:
    perfect = rows(*(("a", float(m)) for m in range(1, 11)))
    assert agreement.kappa(perfect).value == 1.0
    half = rows(*(("a", float(m)) for m in (1, 1, 1, 1, 1, -1, -1, -1, -1, -1)))
    assert agreement.kappa(half).value == pytest.approx(0.0) and agreement.rank_correlation(
        half
    ).value == pytest.approx(0.0)
    assert agreement.rank_correlation(rows(("a", 0.0), ("b", 0.0))).note.startswith("undefined")
    assert agreement.kappa([]).value is None and agreement.rank_correlation([]).value is None


def test_kappa_over_both_sides_by_hand() -> None:
    """people a, judge a; people a, judge b. Both sides: table over b, a: (b,b) 1, (a,a) 1, (a,b) 1, (b,a) 1: kappa 0.
    With people tie, judge tie added twice: (tie,tie) 4; observed 6/8, expected (2*2 + 4*4 + 2*2)/64 = 24/64."""
    assert agreement.kappa(rows(("a", 1.0), ("a", -1.0))).value == pytest.approx(0.0)
    four = rows(("a", 1.0), ("a", -1.0), ("tie", 0.0), ("tie", 0.0))
    assert agreement.kappa(four).value == pytest.approx((6 / 8 - 24 / 64) / (1 - 24 / 64))


def test_raters_agree_by_hand_and_relabelling_them_changes_nothing() -> None:
    """Votes (a, a) and (a, b): both sides: aa, bb, ab, ba. Agreement 1/2; each label half: chance 1/2; kappa 0."""
    results = [
        JudgedPair("1", "a", 1.0, votes=("a", "a"), cluster="1"),
        JudgedPair("2", "tie", 1.0, votes=("a", "b"), cluster="2"),
    ]
    assert agreement.rater_kappa(results).value == pytest.approx(0.0)
    rng = np.random.default_rng(2)
    many = [
        JudgedPair(str(i), "a", 0.0, votes=tuple(rng.choice(["a", "b", "tie"], 4)), cluster=str(i)) for i in range(30)
    ]
    turned = [replace(r, votes=r.votes[::-1]) for r in many]
    assert agreement.rater_kappa(many) == agreement.rater_kappa(turned)
    odd = agreement.rater_kappa([*many, JudgedPair("x", "a", 0.0, votes=("a", "b"), cluster="x"), answer("a", 1.0)])
    assert odd.value == agreement.rater_kappa(many).value and "2 comparisons with another number left out" in odd.note
    assert agreement.rater_kappa(rows(("a", 1.0))).value is None


def test_the_majority_of_raters() -> None:
    assert majority(["a", "a", "b"]) == "a" and majority(["a", "b"]) == "tie" and majority([]) == "tie"
    assert majority(["a", "b", "tie"]) == "tie" and majority(["tie", "tie", "a"]) == "tie"


# ------------------------------------------------------------------------------------------------------ self-preference
def test_self_preference_by_hand() -> None:
    """Model m meets n four times. Judge: m wins 3, ties 1: 3.5/4. People: m wins 1, ties 2: 2/4. Excess 1.5/4."""
    pairs = (("a", 1.0), ("tie", 1.0), ("tie", 1.0), ("b", 0.0))
    shares = model_shares(rows(*pairs, models=("m", "n")))
    first = {s.model: s for s in shares}
    assert (first["m"].judge.value, first["m"].people.value, first["m"].excess.cell.value) == (0.875, 0.5, 0.375)
    assert first["n"].excess.cell.value == -0.375 and shares[0].model == "m"
    turned = model_shares([r.swapped for r in rows(*pairs, models=("m", "n"))])
    assert [s.as_dict() for s in turned] == [s.as_dict() for s in shares]


def test_a_judge_that_favours_one_model_is_found_and_an_honest_one_is_not() -> None:
    rng = np.random.default_rng(4)
    honest, vain = [], []
    for i in range(300):
        one, two = rng.choice(["own", "x", "y"], 2, replace=False)
        gap = rng.normal()
        human = "a" if gap > 0 else "b"
        margin = gap + rng.normal() * 0.5
        row = JudgedPair(str(i), human, margin, cluster=str(i), models=(str(one), str(two)))
        honest.append(row)
        vain.append(replace(row, margin=margin + 1.0 * (one == "own") - 1.0 * (two == "own")))
    assert all(s.excess.adjusted > 0.05 for s in model_shares(honest))  # type: ignore[operator]
    top = model_shares(vain)[0]
    assert top.model == "own" and top.excess.adjusted < 0.01 and top.excess.cell.low > 0  # type: ignore[operator]


def test_comparisons_that_say_nothing_about_models_are_left_out() -> None:
    assert model_shares(rows(("a", 1.0), models=("m", "m")) + rows(("a", 1.0))) == []
    assert model_shares(rows(("a", 1.0), models=("m", ""))) == []


# --------------------------------------------------------------------------------------------------------------- ratings
def rated_set(n: int = 40, models: int = 3, noise: float = 0.3) -> PreferenceSet:
    rng, groups = np.random.default_rng(9), []
    for i in range(n):
        edits = []
        for m in range(models):
            level = rng.random()
            given = tuple(
                tuple(float(np.clip(round(2 * (level + rng.normal() * noise)) / 2, 0, 1)) for _ in range(2))
                for _ in range(3)
            )
            edits.append(EditCandidate(f"{i}/{m}", model=f"m{m}", score=level, ratings=given))
        groups.append(PreferenceGroup(f"u{i}", ITEM, tuple(edits), cluster=f"u{i}"))
    return PreferenceSet(CARD, tuple(groups), "ratings", ("SC", "PQ"))


def test_the_human_overall_by_hand() -> None:
    """Raters [1, 0.5], [0.5, 0.5], [0, 1]: sqrt(0.5), 0.5, 0; mean 0.4024, not sqrt of mean SC times mean PQ = 0.5774."""
    data = PreferenceSet(
        CARD,
        (PreferenceGroup("u", ITEM, (EditCandidate("u/m", model="m", ratings=((1, 0.5), (0.5, 0.5), (0, 1))),)),),
        "ratings",
    )
    (row,) = ratings.rated(data, {"u/m": {"overall": 5.0}})
    assert np.mean(row.people) == pytest.approx((math.sqrt(0.5) + 0.5) / 3)


def test_correlations_per_model_and_their_fisher_average() -> None:
    data = rated_set()
    result = ratings.correlation_by_model(ratings.rated(data, own_scores(data)))
    each = []
    for m in range(3):
        edits = [g.candidates[m] for g in data.groups]
        people = [np.mean([math.sqrt(a * b) for a, b in e.ratings]) for e in edits]
        each.append(spearman([e.score for e in edits], people))  # type: ignore[arg-type]
        assert result[f"m{m}"].value == pytest.approx(each[-1]) and result[f"m{m}"].n == 40
    average = result["average"]
    assert average.value == pytest.approx(fisher_mean(each)) and average.n == 120
    assert average.low < average.value < average.high  # type: ignore[operator]


def test_a_model_on_which_a_side_never_varies_is_left_out_and_named() -> None:
    data = rated_set()
    scores = own_scores(data) | {f"{i}/1": {"overall": 3.0} for i in range(40)}
    result = ratings.correlation_by_model(ratings.rated(data, scores))
    assert result["m1"].value is None and "m1" in result["average"].note
    assert result["average"].value == pytest.approx(fisher_mean([result["m0"].value, result["m2"].value]))


def test_people_among_themselves() -> None:
    agreed, noisy = (ratings.rated(rated_set(noise=s), {}) for s in (0.02, 0.5))
    high, low = (ratings.human_ceiling(r)["average"].value for r in (agreed, noisy))
    assert high > 0.9 and low < 0.6  # type: ignore[operator]
    kappas = ratings.rater_agreement(agreed, ("SC", "PQ"))
    assert set(kappas) == {"SC", "PQ"} and all(c.value > 0.8 for c in kappas.values())  # type: ignore[operator]
    assert ratings.human_means(agreed).keys() == {"m0", "m1", "m2"}


# -------------------------------------------------------------------------------------------------------------- findings
def test_findings_of_a_set_with_groups_and_ties() -> None:
    rng, groups = np.random.default_rng(1), []
    for i in range(60):
        level = rng.normal(size=2 + i % 3)
        people = [round(v) for v in level] if i % 3 == 0 else list(np.argsort(np.argsort(level)))
        groups.append(ranked(f"g{i:02d}", list(level + rng.normal(size=len(level)) * 0.2), [-int(p) for p in people]))
    data = PreferenceSet(CARD, tuple(groups), "groups")
    result = findings_from_scores(data, own_scores(data))
    values = {m.name: m.cell for m in result.measures}
    assert result.measures[0].name == "group_accuracy" and result.ties is not None and result.ties.epsilon is not None
    assert values["tie_aware_accuracy"].n + result.ties.n_calibration == result.comparisons["all"]
    assert values["kendall"].value < values["spearman"].value  # type: ignore[operator]
    written = json.dumps(result.as_dict(), allow_nan=False)
    assert '"epsilon_chosen_on": "half of the requests, drawn with seed 0' in written and not result.partial
    assert findings_from_scores(data, own_scores(data)) == result
    some = {k: v for i, (k, v) in enumerate(own_scores(data).items()) if i < 90}
    part = findings_from_scores(data, some)
    assert part.partial and part.measures[0].text().startswith("partial (") and part.as_dict()["partial"] is True


def test_findings_of_a_judge_that_compares_need_no_epsilon() -> None:
    data = PreferenceSet(CARD, tuple(ranked(f"g{i}", [0, 0], [1, 1 + i % 2]) for i in range(20)), "four_way")
    votes: dict[tuple[str, int, int], str | None] = {(f"g{i}", 0, 1): "a" if i % 2 else "tie" for i in range(20)}
    votes["g3", 0, 1] = None
    result = findings_from_votes(data, votes)
    assert result.ties is None and result.measures[0].cell.value == 1.0 and result.measures[0].cell.invalid == 1
    assert result.measures[0].cell.low == pytest.approx(0.025 ** (1 / 19))
    assert [r.label for r in answers_from_votes(data, {})] == [""] * 20


def test_an_aspect_the_judge_does_not_have_is_said_and_one_of_another_name_is_found() -> None:
    group = ranked("g", [1, 2], [1, 2])
    data = PreferenceSet(
        CARD, (replace(group, aspect="consistency"), replace(group, id="h", aspect="prompt_following")), "strict"
    )
    scores = {"g/0": {"overall": 1.0, "content_preserved": 9.0}, "g/1": {"overall": 2.0, "content_preserved": 4.0}}
    answers, notes = answers_from_scores(data, scores)
    assert [a.margin for a in answers] == [5.0, -1.0]
    assert len(notes) == 1 and "'prompt_following'" in notes[0] and "(2 edits)" in notes[0]


def test_unknown_choices_are_named() -> None:
    with pytest.raises(BadInput, match="pearson"):
        agreement.rank_correlation([], "pearson")


def test_dimensions_count_alike_and_a_tie_is_right_where_scores_are_equal() -> None:
    """IA: 1 of 2 right; VC: at a gap of 1e-6 the tie is right and the preference wrong; VQ: 1 of 1. (1/2 + 1/2 + 1) / 3."""
    rows = [
        ("IA", "a", 2.0),
        ("IA", "a", -1.0),
        ("VC", "tie", 1e-6),
        ("VC", "a", 1e-6),
        ("VQ", "a", 0.5),
        ("VQ", "a", None),
    ]
    answers = [
        JudgedPair(str(k), human, margin, kind=kind, cluster=str(k)) for k, (kind, human, margin) in enumerate(rows)
    ]
    cell = agreement.dimension_accuracy(answers)
    assert (cell.value, cell.n, cell.invalid) == (pytest.approx(2 / 3), 5, 1)
