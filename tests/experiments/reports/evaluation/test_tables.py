"""The table of an evaluation as files and on the terminal: the same numbers everywhere, each with what belongs to it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from experiments.evaluation.load import load
from experiments.evaluation.rows import RowFile
from experiments.evaluation.scores import scores
from experiments.reports import screen
from experiments.reports.evaluation import terminal
from experiments.reports.evaluation.cells import shown, state
from experiments.reports.evaluation.files import as_csv, as_latex, as_markdown
from experiments.reports.evaluation.page import write_page
from tests.experiments.evaluation.little import ARMS, Brighter, Little, edited, evaluated, set_up


def test_partial_results_say_so_everywhere(tmp_path: Path) -> None:
    evaluated(tmp_path, budget=5)  # of eleven verdicts
    result = scores(load(tmp_path))
    assert result["partial"] and result["arms"] == {"editor": {}, "agents": {}}
    cells = [row["cells"][0] for row in result["table"]["rows"]]
    assert [state(c) for c in cells] == ["partial", "partial"] and [r["average"] for r in result["table"]["rows"]] == [
        None
    ] * 2
    # judged so far: units first, arms within them, so items 0, 1, 2 of the editor and 0, 1 of the team, which has no picture
    # of item 2 (invalid, and known)
    assert [(c["n"], c["invalid"], c["missing"]) for c in cells] == [(3, 0, 3), (2, 1, 3)]
    for text in (as_markdown(result["table"]), as_latex(result["table"])):
        assert "partial (3 of 6)" in text and "1.00" not in text and "2.00" not in text
    assert {line["value"] for line in csv.DictReader(io.StringIO(as_csv(result["table"])))} == {""}
    page = write_page(tmp_path, result, load(tmp_path), 2).read_text(encoding="utf-8")
    assert "<b>Partial.</b>" in page and "average, " not in page


def test_too_many_invalid_verdicts_are_no_result(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.2)  # allowed 1.2 of 6: the editor has one, the team two
    rows = scores(load(tmp_path))["table"]["rows"]
    assert [state(r["cells"][0]) for r in rows] == ["complete", "too many invalid"]
    assert [r["average"] for r in rows] == [1.0, None]
    assert "invalid (2 of 6)" in as_markdown(scores(load(tmp_path))["table"])


def test_exports_say_the_same_numbers(tmp_path: Path) -> None:
    evaluated(tmp_path, ("grader", "other_one"), most=0.5)
    result = scores(load(tmp_path))
    lines = list(csv.DictReader(io.StringIO(as_csv(result["table"]))))
    by_arm: dict[str, list[float]] = {}
    for line in lines:
        assert line["state"] == "complete"
        by_arm.setdefault(line["name"], []).append(float(line["value"]))
    for text, split in ((as_markdown(result["table"]), " | "), (as_latex(result["table"]), " & ")):
        for name, numbers in by_arm.items():
            (row,) = [r for r in text.splitlines() if name in r]
            shown = [float(re.findall(r"\d+\.\d\d", c)[0]) for c in row.strip("| ").split(split)[1:]]
            assert shown == [round(n, 2) for n in numbers]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    tex = as_latex(result["table"])
    assert r"other\_one" in tex and tex.count(r"\toprule") == 1 == tex.count(r"\bottomrule")
    assert r"\multicolumn{2}{c}{little}" in tex and r"\cmidrule(lr){2-3}" in tex


def test_every_cell_of_the_exports_says_how_many_items_it_has(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.5)
    result = scores(load(tmp_path))["table"]
    # as in the means by hand: five items of the editor and four of the team, one and two verdicts invalid
    for text in (as_markdown(result), as_latex(result)):
        assert "(n 5, 1 invalid)" in text and "(n 4, 2 invalid)" in text
    assert [shown(r["cells"][0]) for r in result["rows"]] == [
        "1.00* (1 invalid)",
        "2.00* (2 invalid)",
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
    for module in (terminal, screen):
        monkeypatch.setattr(module, "console", Console(file=said, width=100))
    terminal.print_table(scores(load(tmp_path)))
    line, what = [x for x in said.getvalue().splitlines() if "l1" in x]
    assert "rewards coming near" in what
    assert line.split()[:2] == ["l1", "0.375*"]  # (0.25 + 0.5) / 2; what no item has is left out
    assert "* only 2 values: the interval is a rough one" in said.getvalue()
