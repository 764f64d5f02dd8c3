"""The reward models of a run: how many held-out pairs each orders right, what GCPO adds, and the curves of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rich import box
from rich.table import Table

from common.cells import Cell, remarks
from common.jsonl import read_jsonl
from experiments.evaluation.pairs import PairRow, accuracy, by_said, gains_of
from experiments.reports.html import card, interval, starred, table
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import Chart, curves
from experiments.reports.screen import print_line, show_table
from experiments.reports.words import p_text

TITLES = {
    "holistic": "score at once",
    "sft_think": "think, no points",
    "sft_verify": "points, no thought",
    "sft": "think and verify (SFT)",
    "gcpo": "think and verify, GCPO",
    "checkpoint": "the given checkpoint",
}
WORDS = (
    "The share of held-out pairs of edits in which the better one (by the exact judge) scores strictly higher; equal and "
    "unreadable scores are wrong. One greedy trace of each edit."
)
SAID = "The same by the score that the trace says; above, it is the mean over the probabilities of its digits."
BOLD = "Bold: significant after Holm’s correction over the differences of this table (p (Holm) at most 0.05)."
ONE = (0.0, 1.0)
CHARTS = (
    Chart(
        "Pairs in the right order",
        (("reward/mean", "share"),),
        "Of all pairs of traces that a step drew, one of each edit.",
        ONE,
    ),
    Chart("Score", (("reward/score/mean", "mean"), ("reward/score/std", "spread")), "What the traces say, 0 to 10."),
    Chart(
        "Shares",
        (
            ("groups/no_spread", "pairs without gradient"),
            ("reward/readable/mean", "readable traces"),
            ("tokens/truncated", "truncated"),
        ),
        "Pairs without gradient: all traces order them alike. Truncated: traces that reached the longest allowed length.",
        ONE,
    ),
    Chart("Length of a trace (tokens)", (("tokens/mean", "mean"), ("tokens/max", "longest")), "Tokens of a trace."),
)


def pair_rows(run: FinishedRun) -> dict[str, list[PairRow]]:
    path = run.folder / "rrm-scores.jsonl"
    rows: dict[str, list[PairRow]] = {}
    for row in read_jsonl(path) if path.is_file() else []:
        rows.setdefault(row["model"], []).append(PairRow(**row))
    return rows


def cards(run: FinishedRun) -> list[str]:
    rows = pair_rows(run)
    last = next((name for name in ("gcpo", "checkpoint") if name in rows), None)
    if last is None:
        return []
    return [card(accuracy(rows[last]).parts(1, percent=True)[0] + " %", f"held-out pairs in order, {TITLES[last]}")]


def section(run: FinishedRun) -> list[str]:
    rows = pair_rows(run)
    if not rows:
        return []
    said = {name: by_said(own) for name, own in rows.items()}
    journal = run.folder / "gcpo.jsonl"
    figures = curves(read_jsonl(journal), CHARTS) if journal.is_file() else []
    return [
        f'<p class="muted">{WORDS}</p>',
        *tables(rows),
        *([f'<p class="muted">{SAID}</p>', *tables(said)] if all(said.values()) else []),
        f'<div class="grid">{"".join(f"<figure>{svg}</figure>" for svg in figures)}</div>' if figures else "",
    ]


def tables(rows: Mapping[str, Sequence[PairRow]]) -> list[str]:
    """Every model, and what is compared of them."""
    cells = {name: accuracy(own) for name, own in rows.items()}
    lines = [
        (
            [
                escape(TITLES[name]),
                percent(cells[name]),
                str(len(own)),
                str(sum(r.tied for r in own)),
                str(unreadable(own)),
            ],
            False,
        )
        for name, own in rows.items()
    ]
    gaps = gains_of(rows)
    compared = [
        (
            [f"{escape(TITLES[a])} − {escape(TITLES[b])}", percent(d.cell, True), p_text(d.p), p_text(d.adjusted)],
            d.significant,
        )
        for (a, b), d in gaps.items()
    ]
    return [
        table(["reward model", "pairs in order, %", "pairs", "tied", "unreadable scores"], lines, "narrow"),
        starred(cells.values()),
        table(["paired difference, points", "mean", "p", "p (Holm)"], compared, "narrow") if compared else "",
        starred(d.cell for d in gaps.values()),
        f'<p class="muted">{BOLD}</p>' if compared else "",
    ]


def percent(cell: Cell, sign: bool = False) -> str:
    return interval(scaled(cell), 1, sign)


def scaled(cell: Cell) -> Cell:
    """In percent."""
    value, low, high = (None if x is None else 100 * x for x in (cell.value, cell.low, cell.high))
    return Cell(value, low, high, cell.n, cell.invalid, cell.missing, cell.note)


def unreadable(rows: Sequence[PairRow]) -> int:
    return sum((r.preferred is None) + (r.other is None) for r in rows)


def print_pairs(results: Mapping[str, Any]) -> None:
    """The same in the terminal, from results.json."""
    if part := results.get("rrm"):
        said = part.get("said")
        _print(part, ", by the expected score" if said else "")
        if said:
            _print(said, ", by the score that the trace says")


def _print(part: Mapping[str, Any], scored: str) -> None:
    cells = {name: scaled(Cell.from_dict(c)) for name, c in part["pair_accuracy_cells"].items()}
    shown = Table(
        box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1), pad_edge=False,
        title=f"Reward models: held-out pairs in the right order{scored}, % and 95 % interval",
    )  # fmt: skip
    for name in ("", "in order", "pairs", "tied", "unreadable"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, cell in cells.items():
        counts = [str(part[key][name]) for key in ("pairs", "tied", "unreadable")]
        shown.add_row(TITLES[name], cell.text(1), *counts)
    show_table(shown)
    for name, values in part["pair_gain"].items():
        a, _, b = name.partition("-")
        cell = scaled(Cell.from_dict({k: v for k, v in values.items() if k not in ("p", "p_holm", "test")}))
        print_line(
            f"{TITLES[a]} − {TITLES[b]}: {cell.text(1, sign=True)} points, paired, {p_text(values['p_holm'])} (Holm)"
        )
    for line in remarks(cells.values()):
        print_line(line)


CARDS = Panel("", 25, cards=cards)
PANEL = Panel("The reward model", 32, section)

__all__ = ["CARDS", "PANEL", "print_pairs"]
