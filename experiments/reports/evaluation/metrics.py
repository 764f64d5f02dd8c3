"""Metrics that need no judge, and how far edits moved the whole picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from common.statistics import Cell
from experiments.evaluation.names import arm_name
from experiments.reports.evaluation.cells import interval, starred
from experiments.reports.evaluation.words import sentence
from experiments.reports.html import table, without_empty
from judges.metrics.names import TABLE, rewards
from judges.metrics.summary import DEGREES, PIXELS, ZOOM


def metrics_part(measured: Mapping[str, Any]) -> list[str]:
    """Without a judge; drift is how far the whole picture moved."""
    arms = measured.get("arms", {})
    names = list(dict.fromkeys(n for cells in arms.values() for n in cells))
    if not names and not measured.get("drift"):
        return []
    rows, absent = [], []
    for name in names:
        cells = [c.get(name, Cell.empty().as_dict()) for c in arms.values()]
        if any(c["n"] for c in cells):
            rows.append(([escape(name), str(max(c["n"] for c in cells)), *(interval(c, 3) for c in cells)], False))
        else:
            absent.append(name)
    said = metric_notes([n for n in names if n not in absent]).split(". ")
    notes = [*filter(None, said)]
    notes += [f"No item has what these need, a target or a mask: {', '.join(absent)}"] if absent else []
    lines = "".join(f"<li>{escape(note)}.</li>" for note in notes)
    return [
        "<h3>Metrics without a judge</h3>",
        f'<p class="muted">{escape(sentence(measured["mean"]))[:-1]} mean; an edit without a picture is invalid.</p>'
        if rows
        else "",
        table(["metric", "n", *(arm_name(a) for a in arms)], rows) if rows else "",
        starred(cells[n] for cells in arms.values() for n in names if n in cells),
        f'<ul class="muted">{lines}</ul>' if lines else "",
        *drift_part(measured.get("drift", {})),
    ]


def drift_part(drift: Mapping[str, Any]) -> list[str]:
    def share(x: float | None) -> str:
        return "–" if x is None else f"{100 * x:.0f} %"

    def pixels(x: float | None) -> str:
        return "–" if x is None else f"{x:.2f}"

    rows = [
        (
            [
                escape(arm_name(arm)),
                f"{d['measured']} of {d['n']}",
                *(share(d[k]) for k in ("drifted", "shifted", "zoomed", "turned")),
                *(pixels(d[k]) for k in ("median_px", "largest_px")),
            ],
            False,
        )
        for arm, d in drift.items()
    ]
    head = ["drift of the whole picture", "measured", "any", "shifted", "zoomed", "turned", "median px", "largest px"]
    if not rows:
        return []
    if not any(d["measured"] for d in drift.values()):
        return [
            '<p class="muted">Drift of the whole picture could be told for no edit: too much of each picture changed.</p>'
        ]
    note = (
        "How far an edit moved the whole picture, in pixels of the source; measured where enough of it stayed the same. Shares "
        f"are of those: shifted by more than {PIXELS:g} px, zoomed by more than {100 * ZOOM:g} %, turned by more than {DEGREES:g}°."
    )
    head, rows = without_empty(head, rows, head[2:])
    return [table(head, rows), f'<p class="muted">{escape(note)} Columns of zeros are left out.</p>']


def metric_notes(names: Sequence[str]) -> str:
    """What is compared with what, and what each metric rewards; metrics that reward the same share a sentence."""
    to = {"source": " (against the given picture)", "reference": " (against the target)", "captions": ""}
    groups: dict[str, list[str]] = {}
    for name in names:
        base, _, at = name.partition("@")
        if base in TABLE:
            against = at or TABLE[base].against
            text = f"{name}: {TABLE[base].what}{to[against]}, {TABLE[base].unit}{direction(base, against)}"
            groups.setdefault(rewards(base, against), []).append(text)
    return ". ".join(f"{'; '.join(several)}: {what}" for what, several in groups.items())


def direction(base: str, against: str) -> str:
    """Lower is better only where the target is compared; nearer to the given picture is not better."""
    better = TABLE[base].better
    if against == "source":
        return "" if better == "zero" else f", {better} is nearer to the given picture, not better"
    return f", {better} is better"


__all__ = ["drift_part", "metric_notes", "metrics_part"]
