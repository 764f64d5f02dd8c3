"""What an evaluation says of the decomposer: F1 by component, before and after RL."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from rich import box
from rich.table import Table

from common.cells import remarks
from common.statistics import significant
from experiments.evaluation.names import COMPLEX, COMPONENTS, MEAN_OF, WHEN
from experiments.reports.evaluation.cells import cell_of, interval, starred
from experiments.reports.html import table
from experiments.reports.kinds import COMPLEX_NOTE, COMPLEX_TITLE, kinds_section, print_both
from experiments.reports.screen import print_line, show_table
from experiments.reports.words import p_text


def lines(values: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(label, one number for each component); categories below, where there are any."""
    scores = values.get("decomposition", {})
    parts = [(f"{when} RL", scores[when]) for when in WHEN if scores.get(when)]
    for when, key in zip(WHEN, ("by_category_before", "by_category"), strict=True):
        parts += [(f"{when} RL, {kind}", means) for kind, means in scores.get(key, {}).items()]
    return [(label, [f"{mean(means):.3f}", *(f"{means[c]:.3f}" for c in COMPONENTS)]) for label, means in parts]


def mean(means: Mapping[str, float]) -> float:
    """The mean F1, which is the headline number."""
    return sum(means[c] for c in MEAN_OF) / len(MEAN_OF)


def decomposition_part(values: Mapping[str, Any]) -> list[str]:
    rows = [([escape(label), *cells], False) for label, cells in lines(values)]
    if not rows:
        return []
    on = f" of benchmark={values['decomposed']}" if "decomposed" in values else ""
    note = f"F1 on {values['n']:,} items{on}; {100 * values['unreadable']:.1f} % of the last decompositions cannot be read."
    changes = values.get("f1_change", {})
    compared = [
        ([change_name(kind), interval(d, 3, True), p_text(d["p_holm"])], significant(d["p_holm"]))
        for kind, d in changes.items()
    ]
    return [
        "<h2>Decomposition</h2>",
        table(["", "mean F1", *COMPONENTS], rows),
        f'<p class="muted">{escape(note)}</p>',
        table(["paired difference in mean F1", "mean", "p (Holm)"], compared, "narrow") if changes else "",
        starred(changes.values()),
        *kind_parts(values["decomposition"]),
    ]


def kind_parts(scores: Mapping[str, Any]) -> list[str]:
    """F1 and exact answers by kind; then the same of the complex requests, where these were evaluated too."""
    beside = kinds_section(scores.get(COMPLEX, {}))
    own = kinds_section(scores)
    return [
        *(["<h3>By kind of request</h3>", *own] if own else []),
        *([f"<h3>{COMPLEX_TITLE}</h3>", f'<p class="muted">{COMPLEX_NOTE}</p>', *beside] if beside else []),
    ]


def change_name(kind: str) -> str:
    return "after − before RL" + (f", {kind}" if kind else "")


def print_decompositions(values: Mapping[str, Any]) -> None:
    if not (rows := lines(values)):
        return
    shape = Table(
        *("", "mean F1", *COMPONENTS), box=box.SIMPLE_HEAD, padding=(0, 1), title_justify="left",
        title=f"Decomposition on {values['n']:,} items{f' of benchmark {name}' if (name := values.get('decomposed')) else ''}: F1",
    )  # fmt: skip
    for label, cells in rows:
        shape.add_row(label, *cells)
    show_table(shape)
    for kind, d in values.get("f1_change", {}).items():
        p = (
            ""
            if d["p_holm"] is None
            else f", p {d['p_holm']:.2g}" + (" (Holm)" if len(values["f1_change"]) > 1 else "")
        )
        text = f"{change_name(kind)}: {cell_of(d).text(3, sign=True)} mean F1, paired{p}"
        print_line(text, style="bold" if significant(d["p_holm"]) else "")
    for line in remarks(map(cell_of, values.get("f1_change", {}).values())):
        print_line(line)
    print_both(values["decomposition"], "items")


__all__ = ["decomposition_part", "print_decompositions"]
