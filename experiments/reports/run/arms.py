"""The arms of a run: scores by aspect and by kind of request, and paired differences."""

from __future__ import annotations

from html import escape

from common.cells import Cell
from experiments.evaluation.names import ARM_NAMES, ARMS, SHOWN
from experiments.reports.html import card, interval, starred, table
from experiments.reports.kinds import COMPLEX_TITLE
from experiments.reports.looks import ARM_COLOURS
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import whiskers
from experiments.reports.run.numbers import aspects, calls_note, differences, mean_of
from experiments.reports.words import p_text
from experiments.runs.results import Evaluation

TEN = (0.0, 10.0)  # what a judge's scores can be
BOLD = "Bold: significant after Holm’s correction over the differences of this table (p (Holm) at most 0.05)."


def cards(run: FinishedRun) -> list[str]:
    arms = run.evaluation.arms
    return [
        card(
            mean_of(arms[arm], "overall").parts()[0], f"{ARM_NAMES[arm]}: overall of 10, judge {run.config.judge.name}"
        )
        for arm in ARMS
        if arms[arm]
    ]


def section(run: FinishedRun) -> list[str]:
    """The arms on the test samples, then on the complex requests."""
    out: list[str] = []
    for split, evaluation in run.evaluation.splits:
        piece = split_section(run, evaluation)
        title = f"<h3>{COMPLEX_TITLE}</h3>" if split and piece else ""
        out += [title, *piece]
    return list(filter(None, out))


def split_section(run: FinishedRun, evaluation: Evaluation) -> list[str]:
    arms = evaluation.arms
    names = [a for a in SHOWN if arms.get(a)]
    if not names:
        return []
    scored = aspects(arms[names[0]])
    means = {arm: [mean_of(arms[arm], aspect) for aspect in scored] for arm in names}
    invalid = {arm: sum(not r["valid"] for r in arms[arm]) for arm in names}
    some = any(invalid.values())
    rows = [
        ([ARM_NAMES[arm], *map(interval, means[arm]), *([str(invalid[arm])] if some else [])], False) for arm in names
    ]
    gaps = differences(evaluation)
    compared = [
        (
            [f"{ARM_NAMES[a]} − {ARM_NAMES[b]}", interval(d.cell, sign=True), p_text(d.p), p_text(d.adjusted)],
            d.significant,
        )
        for a, b, d in gaps
    ]
    note = calls_note(evaluation)
    config = run.config
    return [
        f'<p class="muted">The same {len(arms[names[0]])} {evaluation.what} of '
        f"benchmark={escape(config.benchmark.name)} in every arm; "
        f"scores from 0 to 10 by judge={escape(config.judge.name)}{'' if some else '; no verdict was invalid'}.</p>",
        f"<p><b>Approximate pictures:</b> {escape(', '.join(evaluation.approximate))}.</p>"
        if evaluation.approximate
        else "",
        table(["arm", *(a.replace("_", " ") for a in scored), *(["invalid"] if some else [])], rows),
        starred(c for cells in means.values() for c in cells),
        f'<p class="muted">{escape(note[0].upper() + note[1:])}.</p>' if note else "",
        f'<div class="two"><figure>{plot_by_aspect(evaluation, names, scored)}</figure>'
        f"<figure>{plot_by_kind(evaluation, names)}</figure></div>",
        table(["paired difference in overall", "mean", "p", "p (Holm)"], compared, "narrow") if compared else "",
        starred(d.cell for _, _, d in gaps),
        f'<p class="muted">{BOLD}</p>' if compared else "",
    ]


def plot_by_aspect(evaluation: Evaluation, arms: list[str], scored: list[str]) -> str:
    points = [
        (aspect.replace("_", " "), [(ARM_NAMES[a], mean_of(evaluation.arms[a], aspect), ARM_COLOURS[a]) for a in arms])
        for aspect in scored
    ]
    return whiskers(points, "Arms by aspect (0–10)", scale=TEN)


def plot_by_kind(evaluation: Evaluation, arms: list[str]) -> str:
    def overall(arm: str, kind: str) -> tuple[str, Cell, str]:
        rows = [r for r in evaluation.arms[arm] if r["kind"] == kind]
        return ARM_NAMES[arm], mean_of(rows, "overall"), ARM_COLOURS[arm]

    kinds = sorted({r["kind"] for a in arms for r in evaluation.arms[a]})
    points = [(k.replace("_", " "), [overall(a, k) for a in arms]) for k in kinds]
    return whiskers(points, "Overall by kind of request (0–10)", scale=TEN)


CARDS = Panel("", 20, cards=cards)
PANEL = Panel("The arms", 30, section)

__all__ = ["CARDS", "PANEL"]
