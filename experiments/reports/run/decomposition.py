"""Decompositions of the test samples before and after RL: F1 by component and by kind of request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.statistics import Mean, mean, mean_difference
from experiments.evaluation.names import COMPONENTS, WHEN
from experiments.reports.html import card, interval, table
from experiments.reports.looks import WHEN_COLOURS
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import whiskers
from experiments.reports.run.numbers import decomposition_rows, mean_f1
from experiments.runs.results import Row


def cards(run: FinishedRun) -> list[str]:
    before, after = (mean(mean_f1(run.evaluation.decompositions[w])) for w in WHEN)
    if not after.n:
        return []
    return [card(f"{before.value:.3f} → {after.value:.3f}", "mean F1 of action, subject, goal; before → after RL")]


def section(run: FinishedRun) -> list[str]:
    rows = run.evaluation.decompositions
    labelled = decomposition_rows(rows)
    if not labelled:
        return []
    lines: list[tuple[list[str], bool]] = []
    for label, part in labelled:
        means = [mean([r["scores"][c] for r in part]) for c in COMPONENTS]
        cells = [label, interval(mean(mean_f1(part)), ".3f"), *(interval(m, ".3f") for m in means)]
        lines.append((cells, label.startswith("after")))
    change = ""
    if rows["before"] and rows["after"]:
        difference = mean_difference(mean_f1(rows["before"]), mean_f1(rows["after"]))
        change = f"<p>Change of the mean F1, paired: <b>{interval(difference, '+.3f')}</b></p>"
    return [
        table(["", "mean F1", *COMPONENTS], lines),
        change,
        f'<div class="two"><figure>{plot_by_component(rows)}</figure><figure>{plot_by_kind(rows)}</figure></div>',
    ]


def plot_by_component(rows: Mapping[str, Sequence[Row]]) -> str:
    def point(when: str, component: str) -> tuple[str, Mean, str]:
        return f"{when} RL", mean([r["scores"][component] for r in rows[when]]), WHEN_COLOURS[when]

    return whiskers([(c, [point(w, c) for w in WHEN]) for c in COMPONENTS], "By component")


def plot_by_kind(rows: Mapping[str, Sequence[Row]]) -> str:
    def point(when: str, kind: str) -> tuple[str, Mean, str]:
        return f"{when} RL", mean(mean_f1([r for r in rows[when] if r["kind"] == kind])), WHEN_COLOURS[when]

    kinds = sorted({r["kind"] for r in rows["after"]})
    return whiskers([(k.replace("_", " "), [point(w, k) for w in WHEN]) for k in kinds], "Mean F1 by kind of request")


CARDS = Panel("", 10, cards=cards)
PANEL = Panel("Decomposition", 40, section)

__all__ = ["CARDS", "PANEL"]
