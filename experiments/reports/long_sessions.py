"""Sessions of many turns as one figure and a table of means, whose intervals are among the numbers that are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from rich import box
from rich.table import Table

from common.cells import Cell
from experiments.evaluation.long_sessions import MEASURES, WAYS, ByTurn, LongSession
from experiments.reports.plots import COLOURS, STYLE
from experiments.reports.screen import show_table

TITLES = {"psnr": "PSNR, dB", "sharpness": "sharpness", "exact": "pixels kept exactly"}
WORDS = {"plain": "on the previous result", "anchored": "re-anchored"}
LINES = {"plain": "-", "anchored": "--"}
SHOWN = (1, 2, 5, 10, 15)  # turns in the table and the strip, besides the last one


@dataclass(frozen=True)
class Decayed:
    """Of one editor: the measures by turn of each way, and the change of each pass of the identity request."""

    by_turn: Mapping[str, ByTurn]
    identity: Sequence[Cell]


def as_dict(decayed: Decayed) -> dict[str, Any]:
    return {
        **{
            way: [{name: c.as_dict() for name, c in turn.items()} for turn in turns]
            for way, turns in decayed.by_turn.items()
        },
        "identity_change": [cell.as_dict() for cell in decayed.identity],
    }


def print_table(results: Mapping[str, Decayed]) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="What no turn touched, against the source: means over sessions")
    for name in ("editor", "turns played", "turn", *TITLES.values()):
        table.add_column(name, justify="left" if name in ("editor", "turns played") else "right")
    for editor, decayed in results.items():
        for way in WAYS:
            turns = decayed.by_turn[way]
            for k in _shown(len(turns)):
                table.add_row(editor, WORDS[way], str(k), *(_number(turns[k - 1][name]) for name in MEASURES))
    show_table(table)


def draw(results: Mapping[str, Decayed], path: Path) -> None:
    """Four panels: the three measures by turn, and the change of each pass of the identity request. Raises OSError."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 6.0), layout="constrained")
        panels = figure.subplots(2, 2).ravel()
        for axes, name in zip(panels, MEASURES, strict=False):
            for (editor, decayed), colour in zip(results.items(), COLOURS, strict=False):
                for way in WAYS:
                    cells = [turn[name] for turn in decayed.by_turn[way]]
                    _line(axes, cells, colour, LINES[way], f"{editor}, {WORDS[way]}")
            axes.set_title(f"untouched parts: {TITLES[name]}")
            axes.set_xlabel("turn")
        for (_, decayed), colour in zip(results.items(), COLOURS, strict=False):
            _line(panels[3], decayed.identity, colour, "-", "")
        panels[3].set_title("identity request: change of a pixel, of 255")
        panels[3].set_xlabel("pass")
        panels[3].set_ylim(bottom=0)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.savefig(path, dpi=150)


def _line(axes: Axes, cells: Sequence[Cell], colour: str, style: str, label: str) -> None:
    x = np.arange(1, len(cells) + 1)
    values = np.array([np.nan if c.value is None else c.value for c in cells], dtype=np.float64)
    axes.plot(x, values, style, color=colour, linewidth=1.6, marker="o", markersize=2.5, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _number(cell: Cell) -> str:
    return "" if cell.value is None else f"{cell.value:.2f}"


def _shown(turns: int) -> list[int]:
    return [*(k for k in SHOWN if k < turns), turns]


def strip(sessions: Sequence[LongSession], shown: Mapping[str, Sequence[Sequence[Image.Image]]]) -> Image.Image:
    """One row for each session and way: the source and the pictures after some turns."""
    turns = _shown(len(shown[WAYS[0]]))
    rows = [
        [session.source, *(shown[way][k - 1][i] for k in turns)] for i, session in enumerate(sessions) for way in WAYS
    ]
    side = 128
    sheet = Image.new("RGB", (len(rows[0]) * (side + 4), len(rows) * (side + 4)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture.resize((side, side), Image.Resampling.NEAREST), (x * (side + 4), y * (side + 4)))
    return sheet


__all__ = ["Decayed", "as_dict", "draw", "print_table", "strip"]
