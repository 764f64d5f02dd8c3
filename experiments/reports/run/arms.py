"""The arms of a run: scores by aspect and by kind of request, and paired differences."""

from __future__ import annotations

from html import escape

from common.statistics import Mean
from experiments.evaluation.names import ARM_NAMES, ARMS, SHOWN
from experiments.reports.html import card, interval, table
from experiments.reports.looks import ARM_COLOURS
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import whiskers
from experiments.reports.run.numbers import aspects, calls_note, differences, mean_of
from experiments.runs.results import Evaluation


def cards(run: FinishedRun) -> list[str]:
    arms = run.evaluation.arms
    return [
        card(f"{mean_of(arms[arm], 'overall').value:.2f}", f"overall of 10, {ARM_NAMES[arm]}")
        for arm in ARMS
        if arms[arm]
    ]


def section(run: FinishedRun) -> list[str]:
    arms = run.evaluation.arms
    names = [a for a in SHOWN if arms.get(a)]
    if not names:
        return []
    scored = aspects(arms[names[0]])
    rows: list[tuple[list[str], bool]] = []
    for arm in names:
        cells = [interval(mean_of(arms[arm], aspect)) for aspect in scored]
        invalid = sum(not r["valid"] for r in arms[arm])
        rows.append(([ARM_NAMES[arm], *cells, str(invalid)], arm == "agents_rl"))
    compared = [
        ([f"{ARM_NAMES[a]} − {ARM_NAMES[b]}", interval(d, "+.2f")], d.low > 0)
        for a, b, d in differences(run.evaluation)
    ]
    note = calls_note(run.evaluation)
    return [
        f'<p class="muted">The same {len(arms[names[0]])} test samples in every arm; 0–10 by the judge.</p>',
        table(["arm", *(a.replace("_", " ") for a in scored), "invalid"], rows),
        f'<p class="muted">{escape(note[0].upper() + note[1:])}.</p>' if note else "",
        f'<div class="two"><figure>{plot_by_aspect(run.evaluation, names, scored)}</figure>'
        f"<figure>{plot_by_kind(run.evaluation, names)}</figure></div>",
        table(["paired difference in overall", "mean"], compared, narrow=True) if compared else "",
    ]


def plot_by_aspect(evaluation: Evaluation, arms: list[str], scored: list[str]) -> str:
    points = [
        (aspect.replace("_", " "), [(ARM_NAMES[a], mean_of(evaluation.arms[a], aspect), ARM_COLOURS[a]) for a in arms])
        for aspect in scored
    ]
    return whiskers(points, "Arms by aspect (0–10)")


def plot_by_kind(evaluation: Evaluation, arms: list[str]) -> str:
    def overall(arm: str, kind: str) -> tuple[str, Mean, str]:
        rows = [r for r in evaluation.arms[arm] if r["kind"] == kind]
        return ARM_NAMES[arm], mean_of(rows, "overall"), ARM_COLOURS[arm]

    kinds = sorted({r["kind"] for a in arms for r in evaluation.arms[a]})
    return whiskers([(k.replace("_", " "), [overall(a, k) for a in arms]) for k in kinds], "Overall by kind of request")


CARDS = Panel("", 20, cards=cards)
PANEL = Panel("The arms", 30, section)

__all__ = ["CARDS", "PANEL"]
