"""Scores of explicit single edits as tables, and a sheet with one picture per action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from rich import box
from rich.table import Table

from benchmarks.sandbox.generate import SandboxSample
from common.cells import remarks
from experiments.evaluation.single_edits import ByAction
from experiments.reports.screen import print_line, show_table

ZOOM, GAP, TEXT = 2, 6, 14  # of the sheet, in pixels


def print_table(table: ByAction, editors: Sequence[str]) -> None:
    shown = Table(
        box=box.SIMPLE_HEAD,
        title="Explicit single edits of the sandbox, held out: overall 0–10 by judge sandbox, mean and 95 % interval",
    )
    for name in ("action", "n", *editors):
        shown.add_column(name, justify="left" if name == "action" else "right")
    for action, row in table.items():
        cells = [row[e]["overall"].text() for e in editors]
        shown.add_row(action, str(row[editors[0]]["overall"].n), *cells)
    show_table(shown)
    for line in remarks(row[e]["overall"] for row in table.values() for e in editors):
        print_line(line)


def markdown(table: ByAction, editors: Sequence[str]) -> str:
    """Overall per action, and the aspects over all."""
    lines = [f"| explicit single edits | n | {' | '.join(editors)} |", f"|---|---|{'---|' * len(editors)}"]
    for action, row in table.items():
        if action == "all":
            for aspect in row[editors[0]]:
                cells = [row[e][aspect].text() for e in editors]
                lines.append(f"| all: {aspect.replace('_', ' ')} | {row[editors[0]][aspect].n} | {' | '.join(cells)} |")
        else:
            cells = [row[e]["overall"].parts()[0].rstrip("*") for e in editors]  # no interval, so nothing to remark on
            lines.append(f"| {action} | {row[editors[0]]['overall'].n} | {' | '.join(cells)} |")
    starred = remarks(cell for e in editors for cell in table["all"][e].values())
    return "\n".join([*lines, *(x for line in starred for x in ("", line.replace("* ", "\\* ", 1)))]) + "\n"


def sheet(
    samples: Sequence[SandboxSample], pictures: Mapping[str, Sequence[Image.Image]], chosen: Sequence[int]
) -> Image.Image:
    """Two samples a row: the source, what each editor made of it, and what was wanted; the instruction above."""
    side, names = 64 * ZOOM, ["source", *pictures, "wanted"]
    width, height = len(names) * (side + GAP) + 3 * GAP, side + 2 * TEXT + 2 * GAP
    canvas = Image.new("RGB", (2 * width, (len(chosen) + 1) // 2 * height + GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for position, i in enumerate(chosen):
        left, top = position % 2 * width + GAP, position // 2 * height + GAP
        draw.text((left, top), samples[i].request, "black", font)
        shown = [samples[i].image, *(made[i] for made in pictures.values()), samples[i].target]
        for k, (name, picture) in enumerate(zip(names, shown, strict=True)):
            x = left + k * (side + GAP)
            canvas.paste(picture.resize((side, side), Image.Resampling.NEAREST), (x, top + TEXT + 2))
            draw.text((x, top + TEXT + 2 + side), name, "gray", font)
    return canvas


__all__ = ["markdown", "print_table", "sheet"]
