"""What every page must keep: no picture without words, tables in boxes, colours that follow the reader's, honest axes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.cells import Cell
from common.jsonl import read_jsonl
from common.statistics import mean, micro
from experiments.reports import editors
from experiments.reports.html import CSS, image, interval, page, table, without_empty
from experiments.reports.plots import SMALL_SCREEN, VARIABLES, Chart, curves, robust_range, whiskers
from experiments.reports.run.page import write_report
from experiments.reports.run.setup import flat
from tests.made_up_runs import make_run
from tests.pages import faults

STYLE = CSS.read_text(encoding="utf-8")


def colours(svg: str) -> set[str]:
    return set(re.findall(r"#[0-9a-f]{6}\b", svg))


def test_the_page_of_a_run_is_dark_for_who_wants_it_and_every_picture_has_words(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "main", ("reward=f1", "scale.strips=2"), n=8, steps=20)
    text = write_report(folder).read_text(encoding="utf-8")
    assert faults(text) == []
    figures = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(figures) > 5 and all('role="img" aria-label="' in f for f in figures)
    assert all(colours(f) == set() for f in figures)  # every colour is a variable of the style
    pictures = re.findall(r"<img[^>]*>", text)
    assert pictures and all(re.search(r'alt="[^"]+"', p) for p in pictures)
    assert not any("lazy" in p for p in pictures)  # what is not on the screen is printed too
    assert all(text[: m.start()].endswith('<div class="wide" tabindex="0">') for m in re.finditer("<table", text))
    assert "-0.00" not in text and "judge=sandbox" in text and "benchmark=sandbox" in text
    assert "Truncated: answers that reached the longest allowed length" in text and "<td>reward</td><td>f1</td>" in text
    assert "<td>algo.lr</td>" not in text  # as by default, so not in the table


def test_every_variable_of_a_figure_is_a_colour_of_the_light_and_of_the_dark_page() -> None:
    light, dark = STYLE.split("@media screen and (prefers-color-scheme:dark)")
    for name in VARIABLES.values():
        assert f"--{name}:" in light and (f"--{name}:" in dark.split("}}")[0])
    assert "@media print" in STYLE and ".wide{overflow-x:auto" in STYLE and STYLE.count("var(--shade),transparent") == 2
    assert "@media screen and (max-width:760px)" in STYLE  # a printed page is narrow, but no telephone


def test_one_far_value_does_not_flatten_a_curve() -> None:
    rows = [{"step": i, "kl": 0.1 + 0.01 * (i % 5)} for i in range(40)] + [{"step": 40, "kl": 90.0}]
    (text,) = curves(rows, [Chart("KL", (("kl", "KL"),), "How far.")])
    assert "How far. 1 value lies beyond the axis (arrowhead): 90." in text
    assert "The axis does not start at 0." in text
    (plain,) = curves(rows[:-1], [Chart("KL", (("kl", "KL"),))])
    assert "beyond" not in plain


def test_the_axis_holds_everything_that_is_not_far() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=300), np.arange(50.0), np.full(9, 3.0), np.array([0.0, 1.0])):
        assert robust_range(values) == (values.min(), values.max())
    assert robust_range(np.array([*np.linspace(0, 1, 20), -50.0, 70.0])) == (0.0, 1.0)


def test_axes_do_not_go_beyond_the_scale_and_say_when_they_do_not_start_at_0() -> None:
    cells = [mean([1.0, 0.9, 1.0, 0.95, 1.0, 0.8]), mean([1.0] * 9)]
    svg = whiskers([(f"g{i}", [("x", c, "#2563a8")]) for i, c in enumerate(cells)], "F1", (0.0, 1.0))
    ticks = [float(t.replace("−", "-")) for t in re.findall(r">(−?[\d.]+)</text>", svg)]
    assert ticks and max(ticks) <= 1.0 and "The axis does not start at 0." in svg
    whole = whiskers([("g", [("x", Cell(5.0, 0.0, 10.0, 9), "#2563a8")])], "Score", (0.0, 10.0))
    assert "does not start" not in whole


def test_a_figure_that_a_telephone_cannot_show_scrolls_in_a_box_and_none_outgrows_its_type() -> None:
    cell = Cell(5.0, 4.0, 6.0, 9)
    few = whiskers([("g", [("editor alone, k calls, best by the judge", cell, "#2563a8")])], "Few", (0.0, 10.0))
    many = whiskers([(f"group number {i}", [("x", cell, "#2563a8")]) for i in range(12)], "Many", (0.0, 10.0))
    assert "min-width" not in few and not few.startswith("<div") and "max-width:" in few
    assert many.startswith('<div class="wide" tabindex="0"><svg')
    assert int(re.findall(r"min-width:(\d+)px", many)[0]) > 0.8 * SMALL_SCREEN
    assert "<metadata>" not in few + many


def test_columns_of_zeros_go_and_no_other_column_does() -> None:
    head, rows = ["arm", "score", "invalid", "missing"], [(["a", "0", "0", "0"], True), (["b", "0", "0", "2"], False)]
    kept = without_empty(head, rows, ("invalid", "missing"))
    assert kept == (["arm", "score", "missing"], [(["a", "0", "0"], True), (["b", "0", "2"], False)])


def test_metrics_that_are_always_0_are_named_and_not_drawn() -> None:
    rows = [{"step": i, "a": 0.0, "b": 0.5, "c": 0.0} for i in range(5)]
    both, none = curves(rows, [Chart("Shares", (("a", "cut"), ("b", "flat"))), Chart("Zero", (("c", "nothing"),))])
    assert "Always 0: cut." in both and ">cut</text>" not in both
    assert "<svg" not in none and "Zero: nothing: 0 at every step." in none


def test_bold_rows_are_the_significant_ones_and_no_number_is_a_negative_nothing() -> None:
    text = table(["invalid", "x"], [(["a", "1"], True), (["b", "2"], False)])
    assert text.count('class="significant"') == 1 and '<abbr title="verdicts without a score' in text
    assert "tr.significant td{font-weight:600" in STYLE
    assert interval(Cell(-0.001, -0.002, 0.001, 9), sign=True) == "+0.00 <small>[+0.00, +0.00]</small>"
    assert 'title="all 9 values' in interval(micro([5.0] * 9))


def test_a_pictures_words_are_escaped_and_a_lost_picture_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert 'alt="&quot;red&quot; &lt;star&gt;"' in image(tmp_path / "a.png", '"red" <star>')
    assert "no picture" in image(tmp_path / "b.png", "x") and "<title>a &amp; b</title>" in page("a & b", [])


def test_the_configuration_is_flat_text() -> None:
    values = {
        "reward": {"name": "f1", "_target_": "x", "weights": {"goal": 0.5}},
        "seed": 0,
        "stages": None,
        "ok": True,
    }
    assert flat(values) == {"reward": "f1", "reward.weights.goal": "0.5", "seed": "0", "stages": "null", "ok": "true"}


def test_the_page_of_an_editor_leaves_out_actions_without_an_edit(tmp_path: Path) -> None:
    scores = {"all": {"overall": 5.0, "n": 2}, "zoom": {"overall": 0.0, "n": 0}, "add": {"overall": -0.001, "n": 2}}
    text = editors.write_report(tmp_path / "x.html", "Editor", scores, []).read_text(encoding="utf-8")
    assert "F1 of" not in text and text.index("<td>all") < text.index("<td>add")  # an action is no score here
    assert (
        faults(text) == []
        and "zoom" not in text
        and "-0.00" not in text
        and "judge=sandbox" in text
        and "<b>" not in text
    )


def test_what_is_wrong_with_a_page_is_seen() -> None:
    for bad in ('<img src="x">', '<img alt="a" loading="lazy">', "<svg></svg>", "<table>", '<script></script>', "<td>-0.00</td>",
                '<svg role="img" aria-label="x"><path style="fill:#ffffff"/></svg>', '<a href="https://x">'):  # fmt: skip
        assert len(faults(bad)) == 1, bad
    assert faults('<div class="wide" tabindex="0"><table><td>-0.05 −0.5 -0</div>') == ["a minus before a zero"]


@pytest.mark.parametrize("outlier", [None, 1e6])
def test_a_runs_curves_survive_a_wild_step(tmp_path: Path, outlier: float | None) -> None:
    rows = read_jsonl(make_run(tmp_path / "main", n=8, steps=30) / "metrics.jsonl")
    if outlier:
        rows[10]["kl/mean"] = outlier
    (text,) = curves(rows, [Chart("KL", (("kl/mean", "KL"),))])
    assert ("beyond the axis" in text) is bool(outlier)
