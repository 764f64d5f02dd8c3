"""What an evaluation says of the decomposer: F1 by component, before and after RL."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from rich import box
from rich.table import Table

from common.progress import console
from experiments.evaluation.names import COMPONENTS, WHEN
from experiments.reports.html import table


def lines(values: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(label, one number for each component); categories below, where there are any."""
    scores = values.get("decomposition", {})
    parts = [(f"{when} RL", scores[when]) for when in WHEN if scores.get(when)]
    for when, key in zip(WHEN, ("by_category_before", "by_category"), strict=True):
        parts += [(f"{when} RL, {kind}", means) for kind, means in scores.get(key, {}).items()]
    return [(label, [f"{means[c]:.3f}" for c in COMPONENTS]) for label, means in parts]


def decomposition_part(values: Mapping[str, Any]) -> list[str]:
    rows = [([escape(label), *cells], label == "after RL") for label, cells in lines(values)]
    if not rows:
        return []
    note = f"F1 on {values['n']:,} items; {100 * values['unreadable']:.1f} % of the last decompositions cannot be read."
    return ["<h2>Decomposition</h2>", table(["", *COMPONENTS], rows), f'<p class="muted">{escape(note)}</p>']


def print_decompositions(values: Mapping[str, Any]) -> None:
    if not (rows := lines(values)):
        return
    shape = Table(
        *("", *COMPONENTS), box=box.SIMPLE_HEAD, padding=(0, 1), title_justify="left",
        title=f"Decomposition on {values['n']:,} items: F1",
    )  # fmt: skip
    for label, cells in rows:
        shape.add_row(label, *cells)
    console.print(shape)


__all__ = ["decomposition_part", "print_decompositions"]
