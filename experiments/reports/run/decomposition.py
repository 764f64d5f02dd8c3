"""Decompositions of the test samples before and after RL: F1 by component and by kind of request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from common.cells import Cell
from common.statistics import mean
from experiments.evaluation.names import COMPONENTS, WHEN
from experiments.reports.html import card, interval, starred, table
from experiments.reports.looks import WHEN_COLOURS
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import whiskers
from experiments.reports.run.numbers import decomposition_rows, f1_cells, f1_change, mean_f1
from experiments.reports.words import p_text
from experiments.runs.results import Row

ONE = (0.0, 1.0)  # what an F1 can be


def cards(run: FinishedRun) -> list[str]:
    before, after = (mean(mean_f1(run.evaluation.decompositions[w])).parts(3)[0] for w in WHEN)
    if not run.evaluation.decompositions["after"]:
        return []
    return [card(f"{before} → {after}", "mean F1 of action, subject, goal; before → after RL")]


def section(run: FinishedRun) -> list[str]:
    rows = run.evaluation.decompositions
    labelled = decomposition_rows(rows)
    if not labelled:
        return []
    means = [(label, f1_cells(part)) for label, part in labelled]
    lines = [([label, *(interval(c, 3) for c in cells)], False) for label, cells in means]
    change = []
    if rows["before"] and rows["after"]:
        d = f1_change(rows["before"], rows["after"])
        line = ["after − before RL", interval(d.cell, 3, sign=True), p_text(d.p)]
        change = [
            table(["paired difference in mean F1", "mean", "p"], [(line, d.significant)], "narrow"),
            starred([d.cell]),
        ]
    n = len(rows["after"]) or len(rows["before"])
    return [
        f'<p class="muted">F1 on {n} test samples of benchmark={escape(run.config.benchmark.name)}, 0 to 1.</p>',
        table(["", "mean F1", *COMPONENTS], lines),
        starred(c for _, cells in means for c in cells),
        *change,
        f'<div class="two"><figure>{plot_by_component(rows)}</figure><figure>{plot_by_kind(rows)}</figure></div>',
    ]


def plot_by_component(rows: Mapping[str, Sequence[Row]]) -> str:
    def point(when: str, component: str) -> tuple[str, Cell, str]:
        return f"{when} RL", mean([r["scores"][component] for r in rows[when]]), WHEN_COLOURS[when]

    return whiskers([(c, [point(w, c) for w in WHEN]) for c in COMPONENTS], "F1 by component", scale=ONE)


def plot_by_kind(rows: Mapping[str, Sequence[Row]]) -> str:
    def point(when: str, kind: str) -> tuple[str, Cell, str]:
        return f"{when} RL", mean(mean_f1([r for r in rows[when] if r["kind"] == kind])), WHEN_COLOURS[when]

    kinds = sorted({r["kind"] for r in rows["after"]})
    points = [(k.replace("_", " "), [point(w, k) for w in WHEN]) for k in kinds]
    return whiskers(points, "Mean F1 by kind of request", scale=ONE)


CARDS = Panel("", 10, cards=cards)
PANEL = Panel("Decomposition", 40, section)

__all__ = ["CARDS", "PANEL"]
