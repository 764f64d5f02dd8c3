"""Numbers of a table against means worked by hand; what is not complete is never a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.base import EditSample
from experiments.evaluation.columns import column_scores
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import Listed, Listing
from experiments.evaluation.load import Column, Section, load, made_from
from experiments.evaluation.means import cell
from experiments.evaluation.rows import RowFile
from experiments.evaluation.scores import scores
from judges.rubrics import make_rubric
from tests.experiments.evaluation.little import ARMS, CARD, Brighter, Grader, Little, edited, evaluated, judged, set_up


def test_means_by_hand(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.5)
    result = scores(load(tmp_path))
    # editor: 1.0 on five items, item 5 invalid. team: 2.0 on items 0, 1, 3, 4; item 2 has no picture, item 5 is invalid
    editor, team = result["arms"]["editor"]["little"], result["arms"]["agents"]["little"]
    assert editor == {"overall": 1.0, "kept": 5.0, "n": 6, "invalid": 1, "judges": ["grader"]}
    assert team == {"overall": 2.0, "kept": 5.0, "n": 6, "invalid": 2, "judges": ["grader"]}
    (gap,) = result["judges"]["little"]["grader"]["differences"]
    assert (gap["first"], gap["second"], gap["value"], gap["n"]) == ("editor", "agents", 1.0, 4)
    assert gap["p"] == pytest.approx(2 / 2**4)  # all 16 patterns of signs: +1 on each of four items is one end of two
    kinds = result["judges"]["little"]["grader"]["arms"]["agents"]["by_kind"]
    assert [kinds[k]["n"] for k in ("kind0", "kind1")] == [2, 2]
    assert result["benchmarks"]["little"]["ids"] == [f"item-{i}-0" for i in range(6)]
    assert result["table"]["rows"][0]["average"] == 1.0 and not result["partial"]


def item(unit: int, kind: str, turn: int = 0, session: str = "") -> Listed:
    return Listed((unit, turn), f"{unit}-{turn}", "", kind, session, ("all",))


def test_micro_macro_and_final_means_by_hand() -> None:
    items = [item(0, "a"), item(1, "a"), item(2, "a"), item(3, "b")]
    rows = {(i, 0): {"valid": True, "scores": {"overall": v}} for i, v in enumerate([1.0, 2.0, 3.0, 8.0])}
    assert cell(items, rows, "overall").value == 3.5  # (1 + 2 + 3 + 8) / 4
    assert cell(items, rows, "overall", "macro").value == 5.0  # ((1 + 2 + 3) / 3 + 8) / 2
    turns = [item(0, "a", k, "s0") for k in range(2)] + [item(1, "a", k, "s1") for k in range(3)]
    rows = {i.key: {"valid": True, "scores": {"overall": float(10 * i.key[0] + i.key[1])}} for i in turns}
    assert cell(turns, rows, "overall", "final").value == 6.5  # last turns: 1 and 12
    del rows[1, 2]
    result = cell(turns, rows, "overall", "final")
    assert (result.n, result.missing) == (1, 1) and result.partial  # an earlier turn does not stand in for the last one


def test_a_benchmarks_own_rubric_and_mean_by_hand() -> None:
    """The overall is taken per item before any mean: sqrt of the means of SC and PQ is another number."""
    gedit, imgedit = make_rubric("gedit"), make_rubric("imgedit")
    sample, items = EditSample("x", "do it", ()), [item(0, "text"), item(1, "text"), item(2, "human")]

    def rows(found: list[Mapping[str, float]]) -> dict:
        return {(i, 0): {"valid": True, "scores": dict(scores)} for i, scores in enumerate(found)}

    pairs = [((9, 9), (1, 1)), ((1, 1), (9, 9)), ((4, 7), (4, 5))]  # O = 3, 3 and sqrt(4 * 4) = 4
    judged = rows([gedit.score({"sc": {"score": sc}, "pq": {"score": pq}}, sample) for sc, pq in pairs])
    assert cell(items, judged, "sc", "macro").value == 4.5  # ((9 + 1) / 2 + 4) / 2, and PQ alike; but O:
    assert cell(items, judged, "overall", "macro").value == 3.5  # ((3 + 3) / 2 + 4) / 2
    assert cell(items, judged, "overall").value == pytest.approx(10 / 3)
    names = ("compliance", "naturalness", "integrity")
    marks = [dict(zip(names, three, strict=True)) for three in ((5, 4, 3), (3, 2, 1), (5, 5, 5))]  # means 4, 2, 5 of 5
    judged = rows([imgedit.score({"edit": m}, replace(sample, kind="add")) for m in marks])
    assert cell(items, judged, "overall", "macro").value == 8.0  # twice ((4 + 2) / 2 + 5) / 2
    assert cell(items, judged, "overall").value == pytest.approx(2 * 11 / 3)


def test_what_is_new_is_noticed(tmp_path: Path) -> None:
    layout = evaluated(tmp_path, budget=3)
    before = made_from(tmp_path)
    assert made_from(tmp_path) == before
    judged(layout, "grader", Little(6), Grader(), ARMS)
    assert made_from(tmp_path) != before


def test_scores_that_some_items_lack_are_all_reported() -> None:
    """MICE's first turn may leave nothing unchanged, RISEBench's first item may be a logical one."""
    rows = {
        (0, 0): {"valid": True, "scores": {"if": 1.0, "ga": 2.0, "overall": 1.5}},
        (1, 0): {"valid": False, "scores": {}},
        (2, 0): {"valid": True, "scores": {"if": 3.0, "cc": 9.0, "ga": 4.0, "overall": 5.0}},
    }
    column = Column("mice", {}, {"editor": rows}, {})
    assert column.aspects() == ["overall", "if", "cc", "ga"]
    items = [item(i, "a") for i in range(3)]
    result = cell(items, rows, "cc")
    assert (result.value, result.n, result.invalid) == (9.0, 1, 1)  # item 0 has no such score, item 1 has no verdict


def test_requests_on_one_picture_are_drawn_together() -> None:
    """Twelve values of two pictures: 0 six times, 10 six times. The mean of two drawn pictures is 0, 5 or 10."""
    items = [replace(item(i, "a"), cluster=f"picture {i // 6}") for i in range(12)]
    rows = {i.key: {"valid": True, "scores": {"overall": 10.0 * (i.key[0] // 6)}} for i in items}
    assert (cell(items, rows, "overall").low, cell(items, rows, "overall").high) == (0.0, 10.0)
    apart = [replace(i, cluster="") for i in items]
    assert (cell(apart, rows, "overall").low or 0) > 0  # as though there were twelve pictures


def test_metrics_go_by_the_benchmarks_own_mean_and_count_edits_without_a_picture(tmp_path: Path) -> None:
    """Two sessions of two turns; in session 1 turn 1 has no picture. l1 of the others: 1, 3 in session 0, 5 in session 1."""
    for mean, value, n in (("micro", 3.0, 3), ("final", 3.0, 1), ("macro", 3.5, 3)):  # macro: ((1 + 3) / 2 + 5) / 2
        benchmark = Little(2, 2, replace(CARD, mean=mean))
        out = tmp_path / mean
        layout = set_up(out, benchmark, ("editor",), {"grader": 0.2})
        edited(layout, "editor", benchmark, Brighter(10, fails=frozenset({"item-1-1"})))
        values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0}
        with RowFile(layout.metrics("editor") / "0-of-1.jsonl") as file:
            names = ["l1", "bg_l1"]
            file.append(
                {"unit": u, "turn": t, "id": "", "names": names, "values": {"l1": v, "bg_l1": None}}
                for (u, t), v in values.items()
            )
        result = scores(load(out))["metrics"]["little"]
        cells = result["arms"]["editor"]
        assert result["mean"] == mean and (cells["l1"]["value"], cells["l1"]["n"], cells["l1"]["invalid"]) == (
            value,
            n,
            1,
        )
        assert (cells["bg_l1"]["value"], cells["bg_l1"]["n"], cells["bg_l1"]["invalid"]) == (
            None,
            0,
            0,
        )  # no item has it


def test_every_score_is_split_by_kind_turn_and_part_each_part_by_both_means(tmp_path: Path) -> None:
    """GEdit's table needs SC and PQ of en/full alone, MICE's the three scores by turn. Four items of two kinds, item 3 not in
    the part: kind a has 1 and 3, kind b has 8 (and 100)."""
    items = [replace(item(i, k), subsets=("all", "en") if i < 3 else ("all",)) for i, k in enumerate("aabb")]
    rows = {
        (i, 0): {"valid": True, "scores": {"overall": v, "sc": v / 2}} for i, v in enumerate([1.0, 3.0, 8.0, 100.0])
    }
    listing = Listing(replace(CARD, mean="macro"), tuple(items), {})
    column = Column("grader", {}, {"editor": rows}, {})
    section = Section(Layout(tmp_path, "little"), listing, ("editor",), {}, {"editor": {}}, (column,), {})
    result = column_scores(section, column)["arms"]["editor"]
    assert result["subsets"]["en"]["value"] == 5.0  # ((1 + 3) / 2 + 8) / 2
    assert result["subsets_micro"]["en"]["value"] == 4.0  # (1 + 3 + 8) / 3
    assert result["aspects_by"]["sc"]["subsets"]["en"]["value"] == 2.5
    assert [result["aspects_by"]["sc"]["by_kind"][k]["value"] for k in "ab"] == [
        1.0,
        27.0,
    ]  # (0.5 + 1.5) / 2, (4 + 50) / 2
