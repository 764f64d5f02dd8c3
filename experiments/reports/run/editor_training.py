"""An editor trained by its pictures: scores before and after, pictures side by side, and the curves of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rich import box
from rich.table import Table

from common.cells import Cell, remarks
from common.jsonl import read_jsonl
from experiments.evaluation.edit_scores import FILE, WHEN, cell, change, measures
from experiments.reports.html import card, interval, starred, table
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import Chart, curves
from experiments.reports.run.strips import picture
from experiments.reports.screen import print_line, show_table
from experiments.reports.words import p_text

TITLES = {
    "overall": "exact judge: overall",
    "request_fulfilled": "request fulfilled",
    "content_preserved": "content preserved",
    "image_quality": "image quality",
    "rrm": "reward model",
}
ONE = (0.0, 1.0)
CHARTS = (
    Chart(
        "Reward and exact score",
        (("reward/mean", "reward"), ("watch/score/mean", "exact judge"), ("watch/reward/mean", "reward of the judged")),
        "Mean of each step’s edits, 0 to 1. A reward that rises while the exact score falls is being gamed.",
        ONE,
    ),
    Chart(
        "Ratios",
        (("trained/ratio_first", "first update"), ("trained/ratio_last", "last update")),
        "Greatest distance of a probability ratio to 1 in the first and in the last pass over a batch. The first is 0 by design.",
    ),
    Chart(
        "Shares",
        (
            ("groups/no_spread", "groups without spread"),
            ("trained/clip_high/mean", "clipped high"),
            ("trained/clip_low/mean", "clipped low"),
        ),
        "Groups without spread: all edits of a request have one reward. Clipped: steps whose ratio left the allowed range.",
        ONE,
    ),
    Chart("KL to the start", (("kl/mean", "KL"),), "Mean over the trained steps."),
    Chart(
        "Pictures",
        (
            ("watch/saturation/mean", "saturation"),
            ("watch/contrast/mean", "contrast"),
            ("watch/sharpness/mean", "sharpness"),
            ("watch/unchanged/mean", "unchanged pixels"),
        ),
        "What reward hacking shows in first: mean statistics of each step’s edits.",
    ),
    Chart("Gradient norm", (("grad_norm", "before clipping"),), "Length of the gradient of each update."),
    Chart(
        "Speed (pictures per second)",
        (("images_per_s", "whole step"), ("images_per_s/rollout", "sampling")),
        "Edits a second.",
    ),
)


def rows_of(run: FinishedRun) -> list[dict[str, Any]]:
    path = run.folder / FILE
    return read_jsonl(path) if path.is_file() else []


def cards(run: FinishedRun) -> list[str]:
    rows = rows_of(run)
    if {r["when"] for r in rows} != set(WHEN):
        return []
    return [
        card(
            change(rows, "overall").cell.parts(2, sign=True)[0],
            f"{run.config.editor.name} after RL − before, exact overall",
        )
    ]


def section(run: FinishedRun) -> list[str]:
    rows = rows_of(run)
    if {r["when"] for r in rows} != set(WHEN):
        return []
    lines, cells = [], []
    for what in measures(rows):
        before, after, gap = cell(rows, "before", what), cell(rows, "after", what), change(rows, what)
        cells += [before, after, gap.cell]
        shown = [escape(TITLES[what]), interval(before), interval(after), interval(gap.cell, sign=True), p_text(gap.p)]
        lines.append((shown, False))
    n = sum(r["when"] == "after" for r in rows)
    return [
        f'<p class="muted">{n} held-out requests, scores from 0 to 10; differences are paired.</p>',
        table(["", "the editor before RL", "the editor after RL", "after − before", "p"], lines, "narrow"),
        starred(cells),
        *strips(run, rows),
    ]


def strips(run: FinishedRun, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was given, the editor's picture before and after RL, and in the sandbox the exact answer, of the first requests."""
    out = []
    by = {(r["when"], r["i"]): r for r in rows}
    folder = run.folder / "editor-pictures"
    for i in range(run.config.scale.strips):
        if not all((folder / f"{i:03d}-{when}.png").is_file() for when in WHEN):
            break
        row = by["after", i]
        pictures = [picture(folder / f"{i:03d}-given.png", "given", "", "", "")]
        for when in WHEN:
            score = by[when, i]["scores"].get("overall")
            said = "invalid" if score is None else f"{score:.1f}"
            pictures.append(picture(folder / f"{i:03d}-{when}.png", f"{when} RL", said, "", ""))
        if (target := folder / f"{i:03d}-target.png").is_file():
            pictures.append(picture(target, "exact answer", "", "", ""))
        out.append(
            f'<div class="strip"><div class="kind"><b>{escape(row["kind"].replace("_", " "))}</b> · {escape(row["id"])}</div>'
            f'<div class="ask">“{escape(row["request"])}”</div><div class="pics">{"".join(pictures)}</div></div>'
        )
    return out


def training(run: FinishedRun) -> list[str]:
    figures = curves(run.metrics, CHARTS) if run.metrics else []
    return [f'<div class="grid">{"".join(f"<figure>{svg}</figure>" for svg in figures)}</div>'] if figures else []


def print_editor(results: Mapping[str, Any]) -> None:
    """The same in the terminal, from results.json."""
    part = results.get("editor_rl")
    if not part or not part["change"]:
        return
    shown = Table(
        box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1), pad_edge=False,
        title=f"The editor on {part['n']['after']} held-out requests: 0–10, mean and 95 % interval",
    )  # fmt: skip
    for name in ("", "before RL", "after RL", "after − before"):
        shown.add_column(name, justify="right" if name else "left")
    cells = []
    for what, both in part["cells"].items():
        gap = {k: v for k, v in part["change"][what].items() if k not in ("p", "p_holm", "test")}
        own = [Cell.from_dict(both[w]) for w in WHEN] + [Cell.from_dict(gap)]
        cells += own
        shown.add_row(TITLES[what], own[0].text(), own[1].text(), own[2].text(sign=True))
    show_table(shown)
    for line in remarks(cells):
        print_line(line)


CARDS = Panel("", 21, cards=cards)
SCORES = Panel("The editor before and after RL", 31, section)
PANEL = Panel("Training of the editor", 51, training)

__all__ = ["CARDS", "PANEL", "SCORES", "print_editor"]
