"""Decompositions of the test samples before and after RL: F1 by component, and F1 and exact answers by kind of request, beside
what the start finds by luck; then the same of the complex requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from common.cells import Cell
from common.statistics import mean
from experiments.evaluation.kinds import row_pass
from experiments.evaluation.names import COMPONENTS, EXACT, WHEN
from experiments.reports.html import card, interval, starred, table
from experiments.reports.kinds import COMPLEX_NOTE, COMPLEX_TITLE, kinds_section
from experiments.reports.looks import GREYS, WHEN_COLOURS
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import whiskers
from experiments.reports.run.numbers import decomposition_rows, f1_cells, f1_change, mean_f1
from experiments.reports.words import p_text
from experiments.runs.results import Evaluation, Row

READING = (
    "F1 before → after RL, and under it the paired difference with its interval. A guessed subject leaves the F1 of actions and "
    "goals as it is; linked F1 and exact answers show it. pass@k is whether one of k answers drawn from the start is exact, so "
    "that RL is judged against what the start could find by luck."
)
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
        f'<p class="muted">F1 on {n} {run.evaluation.what} of benchmark={escape(run.config.benchmark.name)}, 0 to 1.</p>',
        table(["", "mean F1", *COMPONENTS], lines),
        starred(c for _, cells in means for c in cells),
        *change,
        f'<div class="two"><figure>{plot_by_component(rows)}</figure><figure>{plot_by_kind(rows)}</figure></div>',
        "<h3>By kind of request</h3>",
        f'<p class="muted">{READING}</p>',
        *by_kind(run.evaluation),
        *complex_part(run.evaluation),
    ]


def by_kind(evaluation: Evaluation) -> list[str]:
    """Tables of F1 and exact answers by kind, and their plots."""
    linked, exact = plot_linked(evaluation.decompositions), plot_exact(evaluation)
    plots = f'<div class="two"><figure>{linked}</figure>{f"<figure>{exact}</figure>" if exact else ""}</div>'
    return [*kinds_section(evaluation.decomposition()), plots]


def complex_part(evaluation: Evaluation) -> list[str]:
    if evaluation.complex is None or not decomposition_rows(evaluation.complex.decompositions):
        return []
    return [f"<h3>{COMPLEX_TITLE}</h3>", f'<p class="muted">{COMPLEX_NOTE}</p>', *by_kind(evaluation.complex)]


def plot_by_component(rows: Mapping[str, Sequence[Row]]) -> str:
    def point(when: str, component: str) -> tuple[str, Cell, str]:
        return f"{when} RL", mean([r["scores"][component] for r in rows[when]]), WHEN_COLOURS[when]

    return whiskers([(c, [point(w, c) for w in WHEN]) for c in COMPONENTS], "F1 by component", scale=ONE)


def plot_by_kind(rows: Mapping[str, Sequence[Row]]) -> str:
    def point(when: str, kind: str) -> tuple[str, Cell, str]:
        return f"{when} RL", mean(mean_f1([r for r in rows[when] if r["kind"] == kind])), WHEN_COLOURS[when]

    points = [(k.replace("_", " "), [point(w, k) for w in WHEN]) for k in kinds_of(rows)]
    return whiskers(points, "Mean F1 by kind of request", scale=ONE)


def plot_linked(rows: Mapping[str, Sequence[Row]]) -> str:
    def values(when: str, kind: str) -> list[float]:
        return [r["scores"]["linked"] for r in rows[when] if r["kind"] == kind]

    points = [
        (k.replace("_", " "), [(f"{w} RL", mean(values(w, k), shares=True), WHEN_COLOURS[w]) for w in WHEN])
        for k in kinds_of(rows)
    ]
    return whiskers(points, "Linked F1 by kind of request", scale=ONE)


def plot_exact(evaluation: Evaluation) -> str:
    """Greedy and pass@k of the start, and greedy after RL; "" where exact answers were not counted."""
    rows, k = evaluation.decompositions, evaluation.pass_at
    if any(EXACT not in r["scores"] for when in WHEN for r in rows[when]):
        return ""

    def greedy(when: str, kind: str) -> Cell:
        return mean([r["scores"][EXACT] for r in rows[when] if r["kind"] == kind], shares=True)

    def lucky(kind: str) -> Cell:
        return mean([row_pass(r, k) for r in evaluation.drawn if r["kind"] == kind], shares=True)

    points = []
    for kind in kinds_of(rows):
        marks = [("before RL, greedy", greedy("before", kind), WHEN_COLOURS["before"])]
        marks += [(f"before RL, pass@{k}", lucky(kind), GREYS[1])] if evaluation.drawn else []
        points.append(
            (kind.replace("_", " "), [*marks, ("after RL, greedy", greedy("after", kind), WHEN_COLOURS["after"])])
        )
    return whiskers(points, "Exact answers by kind of request", scale=ONE)


def kinds_of(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    return sorted({r["kind"] for w in WHEN for r in rows[w]})


CARDS = Panel("", 10, cards=cards)
PANEL = Panel("Decomposition", 40, section)

__all__ = ["CARDS", "PANEL"]
