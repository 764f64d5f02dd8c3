"""The main table of an evaluation: arms by benchmarks and judges, and a plot of the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from experiments.reports.evaluation.cells import AVERAGE, big, cell_of, starred, state
from experiments.reports.html import boxed
from experiments.reports.looks import ARM_COLOURS, COLOURS
from experiments.reports.plots import whiskers

AVERAGED = " The average is over all columns, and only there where each of them is complete."
EXPORTS = ("table.csv", "table.md", "table.tex", "results.json")


def main_table(values: Mapping[str, Any]) -> list[str]:
    table = values["table"]
    if not table["columns"]:
        return []
    spans: list[tuple[str, int]] = []
    for column in table["columns"]:
        name = f"benchmark {column['shown']} · {column['mean']} mean"
        spans = [*spans[:-1], (name, spans[-1][1] + 1)] if spans and spans[-1][0] == name else [*spans, (name, 1)]
    top = "".join(f'<th class="group" colspan="{n}">{escape(name)}</th>' for name, n in spans)
    several = len(table["columns"]) > 1
    heads = "".join(f"<th>judge {escape(c['title'])}</th>" for c in table["columns"])
    lines = []
    for row in table["rows"]:
        cells = "".join(f"<td>{big(c)}</td>" for c in row["cells"])
        mean = "–" if row[AVERAGE] is None else f"{row[AVERAGE]:.2f}"
        lines.append(f"<tr><td>{escape(row['name'])}</td>{cells}{f'<td>{mean}</td>' if several else ''}</tr>")
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in EXPORTS)
    return [
        "<h2>Results</h2>",
        f'<p class="muted">Overall, 0–10.{AVERAGED if several else ""}</p>',
        boxed(
            f'<table class="{"stacked" if several else "narrow"}"><thead><tr><th></th>{top}{"<th></th>" if several else ""}</tr>'
            f"<tr><th>arm</th>{heads}{'<th>average</th>' if several else ''}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        ),
        starred(c for row in table["rows"] for c in row["cells"] if state(c) == "complete"),
        f'<p class="muted">The same table as {links}.</p>',
        *plot(values),
    ]


def plot(values: Mapping[str, Any]) -> list[str]:
    table = values["table"]
    rows = table["rows"]
    colours = {r["arm"]: colour_of(r["arm"], i) for i, r in enumerate(rows)}
    points = []
    for i, column in enumerate(table["columns"]):
        marks = [
            (r["name"], cell_of(r["cells"][i]), colours[r["arm"]]) for r in rows if state(r["cells"][i]) == "complete"
        ]
        if marks:
            points.append((f"{column['shown']}\njudge {column['title']}", marks))
    if not points:
        return []
    drawn = whiskers(points, "Overall by benchmark and judge (0–10)", (0.0, 10.0))
    return [f"<figure>{drawn}</figure>"]


def colour_of(arm: str, number: int) -> str:
    return ARM_COLOURS.get(arm, COLOURS[number % len(COLOURS)])


__all__ = ["EXPORTS", "main_table"]
