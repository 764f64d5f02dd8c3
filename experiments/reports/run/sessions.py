"""Sessions in a run's report and in the terminal: how well every turn went, arm by arm; the pictures; the curves of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rich import box
from rich.table import Table

from common.cells import Cell, remarks
from common.jsonl import read_jsonl
from experiments.evaluation.sessions import FULL, TITLES, arms, cell, gains, lengths, session_rows
from experiments.reports.html import card, interval, starred, table
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import Chart, curves
from experiments.reports.run.strips import picture
from experiments.reports.screen import print_line, show_table
from experiments.reports.words import p_text
from judges.sessions.base import CC, GA, IF

NAMES = {IF: "instruction following", CC: "content consistency", GA: "global awareness"}
FOLDER, PICTURES = "sessions", "session-pictures"
ONE = (0.0, 1.0)
CHARTS = (
    Chart(
        "Reward and its parts",
        (
            ("reward/mean", "reward"),
            ("reward/if/mean", "following"),
            ("reward/cc/mean", "consistency"),
            ("reward/ga/mean", "awareness"),
        ),
        "Mean over all turns of each step’s sessions, 0 to 1.",
        ONE,
    ),
    Chart(
        "Global awareness by turn",
        (("turn_1/ga", "turn 1"), ("turn_2/ga", "turn 2"), ("turn_3/ga", "turn 3")),
        "Share of trajectories in which every turn so far is done as meant.",
        ONE,
    ),
    Chart(
        "Corrupted turns",
        (
            ("turns/corrupted", "of the later turns"),
            ("corrupted/edit_unfiltered", "of the advantages, without the filter"),
            ("corrupted/edit", "of the advantages that are trained"),
        ),
        "Turns that start from a picture in which an earlier turn had failed, and the share of |advantage| that they have.",
        ONE,
    ),
    Chart(
        "Intents",
        (("intents/fallback", "fallbacks"),),
        "Share of intents that could not be read, so that the user’s words were taken.",
        ONE,
    ),
    Chart("Gradient norms", (("text/grad_norm", "writer"), ("edit/grad_norm", "editor")), "Before clipping."),
    Chart(
        "Speed (turns per second)",
        (("turns_per_s", "whole step"), ("turns_per_s/rollout", "rollouts")),
        "Turns a second.",
    ),
)


def cards(run: FinishedRun) -> list[str]:
    rows = session_rows(run.folder)
    if not rows or FULL not in arms(rows):
        return []
    length = lengths(rows)[0]
    value = cell(rows, FULL, length, length, GA)
    return [card(value.parts(1)[0] + " %", f"global awareness at turn {length} after session RL")]


def section(run: FinishedRun) -> list[str]:
    rows = session_rows(run.folder)
    out: list[str] = []
    for length in lengths(rows):
        out += _table_of(rows, length)
    return [*out, *strips(run, rows)] if out else []


def _table_of(rows: Sequence[Mapping[str, Any]], length: int) -> list[str]:
    there = [arm for arm in arms(rows) if any(r["arm"] == arm and r["length"] == length for r in rows)]
    turns = range(1, length + 1)
    gap = gains(rows, length)
    lines, cells = [], []
    for arm in there:
        own = {s: [cell(rows, arm, length, t, s) for t in turns] for s in (IF, CC, GA)}
        cells += [c for several in own.values() for c in several]
        shown = [escape(TITLES.get(arm, arm))]
        shown += [" · ".join(c.parts(0)[0] for c in own[s]) for s in (IF, CC, GA)]
        shown.append(interval(own[GA][-1], digits=1))
        shown.append(f"{interval(gap[arm].cell, digits=1, sign=True)} {p_text(gap[arm].p)}" if arm in gap else "")
        lines.append((shown, arm == FULL))
    n = len({r["i"] for r in rows if r["length"] == length})
    head = ["", "following", "consistency", "awareness", f"awareness, turn {length}", f"{TITLES[FULL]} − this (p)"]
    return [
        f'<p class="muted">{n} held-out sessions of {length} turns, percent, turn by turn; the last '
        "column compares awareness at the last turn, paired over the sessions.</p>",
        table(head, lines),
        starred(cells),
    ]


def strips(run: FinishedRun, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The pictures of the first sessions, one line for each arm."""
    out = []
    for length in lengths(rows):
        for i in range(min(run.config.scale.strips, 6)):
            own = {(r["arm"], r["turn"]): r for r in rows if r["length"] == length and r["i"] == i}
            for arm in arms(rows):
                folder = run.folder / PICTURES / arm
                if (arm, 1) not in own or not (folder / f"{length}-{i:03d}-0.png").is_file():
                    continue
                pictures = [picture(folder / f"{length}-{i:03d}-0.png", "given", "", "", "")]
                for turn in range(1, length + 1):
                    row = own[arm, turn]
                    done = "done" if row["scores"].get(IF) else "not done"
                    said = (
                        f"{row['request']} → {row['instruction']}"
                        if row["instruction"] != row["request"]
                        else row["request"]
                    )
                    pictures.append(picture(folder / f"{length}-{i:03d}-{turn}.png", f"{turn}. {said}", done, "", ""))
                title = f"<b>{escape(TITLES.get(arm, arm))}</b> · {escape(own[arm, 1]['id'])}"
                out.append(
                    f'<div class="strip"><div class="kind">{title}</div>'
                    f'<div class="pics">{"".join(pictures)}</div></div>'
                )
    return out


def training(run: FinishedRun) -> list[str]:
    path = run.folder / FOLDER / FULL / "metrics.jsonl"
    figures = curves(read_jsonl(path), CHARTS) if path.is_file() else []
    return [f'<div class="grid">{"".join(f"<figure>{svg}</figure>" for svg in figures)}</div>'] if figures else []


def print_sessions(results: Mapping[str, Any]) -> None:
    """The tables in the terminal, from results.json."""
    part = results.get("sessions")
    if not part:
        return
    cells: list[Cell] = []
    for length, own in part["by_length"].items():
        n = max(own["n"].values())
        shown = Table(
            box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1), pad_edge=False,
            title=f"{n} held-out sessions of {length} turns: percent; awareness at the last turn with its 95 % interval",
        )  # fmt: skip
        columns = ("following", "consistency", "awareness", "last turn", f"{TITLES[FULL]} − this")
        shown.add_column("")
        for name in columns:
            shown.add_column(name, justify="right")
        for arm in own["ga_last_turn"]:
            by = {s: [Cell.from_dict(c) for c in own["cells"][s][arm]] for s in (IF, CC, GA)}
            last, gap = by[GA][-1], own["gain"].get(arm)
            cells.append(last)
            said = ""
            if gap:
                compared = Cell.from_dict({k: v for k, v in gap.items() if k not in ("p", "p_holm", "test")})
                cells.append(compared)
                said = compared.text(1, sign=True)
            turns = [" ".join(c.parts(0)[0] for c in by[s]) for s in (IF, CC, GA)]
            shown.add_row(TITLES.get(arm, arm), *turns, last.text(1), said)
        show_table(shown)
    for line in remarks(cells):
        print_line(line)


CARDS = Panel("", 22, cards=cards)
PANEL = Panel("Sessions of several turns", 32, section)
TRAINING = Panel("Training on sessions", 52, training)

__all__ = ["CARDS", "PANEL", "TRAINING", "print_sessions"]
