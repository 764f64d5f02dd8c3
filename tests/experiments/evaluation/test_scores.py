"""Numbers of a table against means worked by hand; what is not complete is never a result."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.base import EditSample
from experiments.evaluation.gallery import BEST, DISPUTED, WORST, groups
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import Listed, Listing
from experiments.evaluation.load import Column, Section, load, made_from
from experiments.evaluation.means import cell
from experiments.evaluation.rows import RowFile
from experiments.evaluation.scores import column_scores, scores
from experiments.evaluation.sources import keep_sources
from experiments.reports.evaluation import tables
from experiments.reports.evaluation.page import (
    aspect_name,
    drift_part,
    metric_notes,
    split_part,
    split_parts,
    write_page,
)
from experiments.reports.evaluation.tables import as_csv, as_latex, as_markdown, shown, state
from judges.rubrics import make_rubric
from tests.experiments.evaluation.little import CARD, Brighter, Grader, Little, edited, judged, set_up

ARMS = ("editor", "agents")


def evaluated(out: Path, judges: tuple[str, ...] = ("grader",), budget: int | None = None, most: float = 0.2) -> Layout:
    """Six items; the editor adds 10, the team 20 and has no picture of item 2. With a budget some verdicts are missing."""
    benchmark = Little(6)
    layout = set_up(out, benchmark, ARMS, dict.fromkeys(judges, most))
    edited(layout, "editor", benchmark, Brighter(10))
    edited(layout, "agents", benchmark, Brighter(20, fails=frozenset({"item-2-0"})))
    for label in judges:
        judged(layout, label, benchmark, Grader(1, invalid=frozenset({"item-5-0"}), budget=budget), ARMS)
    keep_sources(benchmark, load(out), layout, 2)
    return layout


def test_means_by_hand(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.5)
    found = scores(load(tmp_path))
    # editor: 1.0 on five items, item 5 invalid. team: 2.0 on items 0, 1, 3, 4; item 2 has no picture, item 5 is invalid
    editor, team = found["arms"]["editor"]["little"], found["arms"]["agents"]["little"]
    assert editor == {"overall": 1.0, "kept": 5.0, "n": 6, "invalid": 1, "judges": ["grader"]}
    assert team == {"overall": 2.0, "kept": 5.0, "n": 6, "invalid": 2, "judges": ["grader"]}
    (gap,) = found["judges"]["little"]["grader"]["differences"]
    assert (gap["first"], gap["second"], gap["value"], gap["n"]) == ("editor", "agents", 1.0, 4)
    assert gap["p"] == pytest.approx(2 / 2**4)  # all 16 patterns of signs: +1 on each of four items is one end of two
    kinds = found["judges"]["little"]["grader"]["arms"]["agents"]["by_kind"]
    assert [kinds[k]["n"] for k in ("kind0", "kind1")] == [2, 2]
    assert found["benchmarks"]["little"]["ids"] == [f"item-{i}-0" for i in range(6)]
    assert found["table"]["rows"][0]["average"] == 1.0 and not found["partial"]


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
    found = cell(turns, rows, "overall", "final")
    assert (found.n, found.missing) == (1, 1) and found.partial  # an earlier turn does not stand in for the last one


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


def test_partial_results_say_so_everywhere(tmp_path: Path) -> None:
    evaluated(tmp_path, budget=5)  # of eleven verdicts
    found = scores(load(tmp_path))
    assert found["partial"] and found["arms"] == {"editor": {}, "agents": {}}
    cells = [row["cells"][0] for row in found["table"]["rows"]]
    assert [state(c) for c in cells] == ["partial", "partial"] and [r["average"] for r in found["table"]["rows"]] == [
        None
    ] * 2
    # judged so far: units first, arms within them, so items 0, 1, 2 of the editor and 0, 1 of the team, which has no picture
    # of item 2 (invalid, and known)
    assert [(c["n"], c["invalid"], c["missing"]) for c in cells] == [(3, 0, 3), (2, 1, 3)]
    for text in (as_markdown(found["table"]), as_latex(found["table"])):
        assert "partial (3 of 6)" in text and "1.00" not in text and "2.00" not in text
    assert {line["value"] for line in csv.DictReader(io.StringIO(as_csv(found["table"])))} == {""}
    page = write_page(tmp_path, found, load(tmp_path), 2).read_text(encoding="utf-8")
    assert "<b>Partial.</b>" in page and "average, " not in page


def test_a_second_judge_is_a_column_and_the_average_is_over_both(tmp_path: Path) -> None:
    layout = evaluated(tmp_path, ("grader", "other"), most=0.5)
    found = scores(load(tmp_path))
    page = write_page(tmp_path, found, load(tmp_path), 2).read_text(encoding="utf-8")
    assert 'other (paper) <span class="score">1.0</span>' in page and "&lt;" not in page
    assert [c["judge"] for c in found["table"]["columns"]] == ["grader", "other"]
    assert [r["average"] for r in found["table"]["rows"]] == [1.0, 2.0]
    next(layout.verdicts("other", "agents").glob("*.jsonl")).unlink()
    again = scores(load(tmp_path))
    assert [r["average"] for r in again["table"]["rows"]] == [1.0, None]  # never over other columns than the row above
    assert again["arms"]["agents"]["little"]["judges"] == ["grader"]


def test_too_many_invalid_verdicts_are_no_result(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.2)  # allowed 1.2 of 6: the editor has one, the team two
    rows = scores(load(tmp_path))["table"]["rows"]
    assert [state(r["cells"][0]) for r in rows] == ["complete", "too many invalid"]
    assert [r["average"] for r in rows] == [1.0, None]
    assert "invalid (2 of 6)" in as_markdown(scores(load(tmp_path))["table"])


def test_exports_say_the_same_numbers(tmp_path: Path) -> None:
    evaluated(tmp_path, ("grader", "other_one"), most=0.5)
    found = scores(load(tmp_path))
    lines = list(csv.DictReader(io.StringIO(as_csv(found["table"]))))
    by_arm: dict[str, list[float]] = {}
    for line in lines:
        assert line["state"] == "complete"
        by_arm.setdefault(line["name"], []).append(float(line["value"]))
    for text, split in ((as_markdown(found["table"]), " | "), (as_latex(found["table"]), " & ")):
        for name, numbers in by_arm.items():
            (row,) = [r for r in text.splitlines() if name in r]
            shown = [float(re.findall(r"\d+\.\d\d", c)[0]) for c in row.strip("| ").split(split)[1:]]
            assert shown == [round(n, 2) for n in numbers]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    tex = as_latex(found["table"])
    assert r"other\_one" in tex and tex.count(r"\toprule") == 1 == tex.count(r"\bottomrule")
    assert r"\multicolumn{2}{c}{little}" in tex and r"\cmidrule(lr){2-3}" in tex


def test_the_gallery_shows_best_worst_and_disputed_once_each(tmp_path: Path) -> None:
    layout = evaluated(tmp_path, most=0.5)
    (section,) = load(tmp_path)
    found = groups(section, 1)
    # arms differ by 1.0 on items 0, 1, 3, 4 (the first is shown); item 2 has the editor's 1.0 alone, so the lowest mean
    assert [s.key for s in found[DISPUTED]] == [(0, 0)] and [s.key for s in found[WORST]] == [(2, 0)]
    assert [s.key for s in found[BEST]] == [(1, 0)]
    page = write_page(tmp_path, scores([section]), [section], 1).read_text(encoding="utf-8")
    assert page.count('class="strip"') == 3 and "no picture: refused" in page and "about item-0-0" in page
    assert layout.source((0, 0)).is_file() and not re.search(r'(src|href)="(https?:)?//', page)


def test_what_is_new_is_noticed(tmp_path: Path) -> None:
    layout = evaluated(tmp_path, budget=3)
    before = made_from(tmp_path)
    assert made_from(tmp_path) == before
    judged(layout, "grader", Little(6), Grader(), ARMS)
    assert made_from(tmp_path) != before


def test_too_many_invalid_verdicts_give_no_mean_and_no_difference_anywhere(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.2)
    found = scores(load(tmp_path))
    assert "little" in found["arms"]["editor"] and found["arms"]["agents"] == {}
    (gap,) = found["judges"]["little"]["grader"]["differences"]
    assert gap["too_many_invalid"] and state(gap) == "too many invalid"
    page = write_page(tmp_path, found, load(tmp_path), 2).read_text(encoding="utf-8")
    assert "– (too many invalid verdicts)" in page and "max_invalid_share allows" in page


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
    found = cell(items, rows, "cc")
    assert (found.value, found.n, found.invalid) == (9.0, 1, 1)  # item 0 has no such score, item 1 has no verdict


def test_requests_on_one_picture_are_drawn_together() -> None:
    """Eight values of two pictures: 0 four times, 10 four times. The mean of two drawn pictures is 0, 5 or 10."""
    items = [replace(item(i, "a"), cluster=f"picture {i // 4}") for i in range(8)]
    rows = {i.key: {"valid": True, "scores": {"overall": 10.0 * (i.key[0] // 4)}} for i in items}
    assert (cell(items, rows, "overall").low, cell(items, rows, "overall").high) == (0.0, 10.0)
    apart = [replace(i, cluster="") for i in items]
    assert (cell(apart, rows, "overall").low or 0) > 0  # as though there were eight pictures


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
        found = scores(load(out))["metrics"]["little"]
        cells = found["arms"]["editor"]
        assert found["mean"] == mean and (cells["l1"]["value"], cells["l1"]["n"], cells["l1"]["invalid"]) == (
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
    found = column_scores(section, column)["arms"]["editor"]
    assert found["subsets"]["en"]["value"] == 5.0  # ((1 + 3) / 2 + 8) / 2
    assert found["subsets_micro"]["en"]["value"] == 4.0  # (1 + 3 + 8) / 3
    assert found["aspects_by"]["sc"]["subsets"]["en"]["value"] == 2.5
    assert [found["aspects_by"]["sc"]["by_kind"][k]["value"] for k in "ab"] == [
        1.0,
        27.0,
    ]  # (0.5 + 1.5) / 2, (4 + 50) / 2


def test_every_cell_of_the_exports_says_how_many_items_it_has(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.5)
    found = scores(load(tmp_path))["table"]
    # as in the means by hand: five items of the editor and four of the team, one and two verdicts invalid
    for text in (as_markdown(found), as_latex(found)):
        assert "(n 5, 1 invalid)" in text and "(n 4, 2 invalid)" in text
    assert [shown(r["cells"][0]) for r in found["rows"]] == [
        "1.00 [1.00, 1.00] (1 invalid)",
        "2.00 [2.00, 2.00] (2 invalid)",
    ]


def test_without_a_judge_the_terminal_shows_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = Little(2)
    layout = set_up(tmp_path, benchmark, ARMS, {})
    edited(layout, "editor", benchmark, Brighter(10))
    rows = RowFile(layout.metrics("editor") / "0-of-1.jsonl")
    rows.append({"unit": u, "turn": 0, "values": {"l1": 0.25 * (u + 1), "bg_l1": None}} for u in range(2))
    rows.close()
    (layout.folder / "metrics" / "claim.json").touch()
    said = io.StringIO()
    monkeypatch.setattr(tables, "console", Console(file=said, width=100))
    tables.print_table(scores(load(tmp_path)))
    (line,) = [x for x in said.getvalue().splitlines() if "l1" in x]
    assert line.split()[:2] == ["l1", "0.375"]  # (0.25 + 0.5) / 2; what no item has is left out


def test_wide_tables_scroll_by_themselves_and_sizes_are_in_words(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.5)
    page = write_page(tmp_path, scores(load(tmp_path)), load(tmp_path), 2).read_text(encoding="utf-8")
    assert "6 items: all of it." in page and "Overall by kind" in page
    before = [page[: m.start()] for m in re.finditer("<table", page)]
    assert before and all(text.endswith('<div class="wide">') for text in before)


def test_drift_that_could_not_be_told_is_a_sentence_and_no_empty_table() -> None:
    lost = {"n": 3, "measured": 0} | dict.fromkeys(
        ("drifted", "shifted", "zoomed", "turned", "median_px", "largest_px")
    )
    (text,) = drift_part({"editor": lost})
    assert "<table" not in text and "could be told for no edit" in text
    shares = {"drifted": 0.5, "shifted": 0.5, "zoomed": 0.0, "turned": 0.0}
    told = {"n": 3, "measured": 2, "median_px": 1.25, "largest_px": 2.5} | shares
    text = "".join(drift_part({"editor": told, "agents": lost}))
    assert "2 of 3" in text and "50 %" in text and "shifted by more than 1 px" in text


def test_metrics_say_what_they_are_compared_with() -> None:
    said = metric_notes(["l1", "l1@source", "clip_t", "something"])
    assert said.startswith("l1: mean absolute difference (against the target), of 0..1, better lower; l1@source: ")
    assert "(against the given picture)" in said and "something" not in said


def test_a_star_in_a_table_has_its_note_below_it() -> None:
    noted = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 2, "invalid": 0, "missing": 0, "note": "one item of each kind"}
    (text,) = split_part("Overall by part", {"editor": {"cn": noted}}, "part")
    assert "1.00*" in text and text.count("* one item of each kind") == 1
    same = {"editor": {"by_kind": {"cm": noted}, "by_turn": {}, "subsets": {"cm": noted}, "subsets_micro": {}}}
    (once,) = split_parts(["overall"], same, "micro")  # not the same table twice
    assert "Overall by kind" in once
    assert [aspect_name(n) for n in ("sc", "pq", "image_quality")] == ["SC", "PQ", "image quality"]
