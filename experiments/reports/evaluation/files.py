"""The paper's table as files to paste: table.csv, table.md, table.tex."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.cells import remarks
from common.files import write_text
from experiments.evaluation.names import arm_name
from experiments.reports.evaluation.cells import AVERAGE, cell_of, shown, state
from experiments.reports.evaluation.metrics import metric_notes

NOTE = (
    "Overall 0–10: mean [95 % interval], bootstrap over items (over sessions where there are turns). The average is over all "
    "columns, and only there where each of them is complete."
)
EMPTY = "Nothing was judged or measured.\n"
FIELDS = (
    "arm",
    "name",
    "benchmark",
    "data",
    "judge",
    "mean",
    "value",
    "low",
    "high",
    "n",
    "invalid",
    "missing",
    "state",
    "note",
)


def headers(table: Mapping[str, Any]) -> list[str]:
    return ["arm", *(f"{c['shown']}, {c['title']}" for c in table["columns"]), AVERAGE]


def lines(table: Mapping[str, Any], digits: int = 2) -> list[list[str]]:
    return [
        [
            r["name"],
            *(shown(c, digits, n=True) for c in r["cells"]),
            "–" if r[AVERAGE] is None else f"{r[AVERAGE]:.{digits}f}",
        ]
        for r in table["rows"]
    ]


def write_tables(out: Path, values: Mapping[str, Any]) -> None:
    for name, make in (("table.csv", as_csv), ("table.tex", as_latex)):
        write_text(out / name, make(values["table"]))
    parts = [as_markdown(values["table"])] if values["table"]["columns"] else []
    write_text(out / "table.md", "\n".join([*parts, *metrics_as_markdown(values.get("metrics", {}))]) or EMPTY)


def metrics_as_markdown(measured: Mapping[str, Any]) -> list[str]:
    """A table of each benchmark's metrics, which need no judge: metrics by arms, mean with its interval."""
    parts = []
    for benchmark, section in measured.items():
        arms = section.get("arms", {})
        names = list(dict.fromkeys(name for cells in arms.values() for name in cells))
        rows = []
        for name in names:
            cells = [c.get(name) for c in arms.values()]
            n = max((c["n"] for c in cells if c), default=0)
            if n:
                rows.append([name, str(n), *(cell_of(c).text(3) if c else "–" for c in cells)])
        if rows:
            head = ["metric", "n", *(arm_name(a) for a in arms)]
            rule = "|---|" + "--:|" * (len(head) - 1)
            title = f"Metrics without a judge on {section.get('shown', benchmark)}, {section['mean']} mean:"
            notes = [
                star.replace("* ", "\\* ", 1)
                for star in remarks(cell_of(c) for cells in arms.values() for c in cells.values())
            ]
            below = [x for note in [metric_notes([row[0] for row in rows]), *notes] if note for x in (note, "")]
            parts.append("\n".join([title, "", _line(head), rule, *map(_line, rows), "", *below]))
    return parts


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def as_csv(table: Mapping[str, Any]) -> str:
    """A line for each number, with everything that belongs to it."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in table["rows"]:
        for column, cell in zip(table["columns"], row["cells"], strict=True):
            whole = state(cell) == "complete"
            writer.writerow(
                {"arm": row["arm"], "name": row["name"], "state": state(cell), "data": column["shown"]}
                | {"note": cell.get("note", "") if whole else ""}
                | {k: column[k] for k in ("benchmark", "judge", "mean")}
                | {k: cell[k] if whole and cell[k] is not None else "" for k in ("value", "low", "high")}
                | {k: cell[k] for k in ("n", "invalid", "missing")}
            )
        if row[AVERAGE] is not None:
            fields = {"arm": row["arm"], "name": row["name"], "benchmark": AVERAGE, "value": row[AVERAGE]}
            writer.writerow(fields | {"state": "complete"})
    return buffer.getvalue()


def as_markdown(table: Mapping[str, Any]) -> str:
    head = headers(table)
    rule = "|---|" + "--:|" * (len(head) - 1)
    stars = [line.replace("* ", "\\* ", 1) for line in remarks_of(table)]
    return "\n".join(
        [
            _line(head),
            rule,
            *(_line(cells) for cells in lines(table)),
            "",
            NOTE,
            *(x for s in stars for x in ("", s)),
            "",
        ]
    )


def remarks_of(table: Mapping[str, Any]) -> list[str]:
    """What the stars of the table's cells stand for."""
    return remarks(cell_of(c) for row in table["rows"] for c in row["cells"] if state(c) == "complete")


def as_latex(table: Mapping[str, Any]) -> str:
    """A booktabs table: benchmarks over judges, arms below, intervals small."""
    columns = table["columns"]
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column["shown"]:
            groups[-1] = (column["shown"], groups[-1][1] + 1)
        else:
            groups.append((column["shown"], 1))
    top = " & ".join(f"\\multicolumn{{{n}}}{{c}}{{{latex(name)}}}" for name, n in groups)
    rules, at = [], 2
    for _, n in groups:
        rules.append(f"\\cmidrule(lr){{{at}-{at + n - 1}}}")
        at += n
    body = []
    for row in table["rows"]:
        cells = [_latex_cell(c) for c in row["cells"]]
        mean = "--" if row[AVERAGE] is None else f"{row[AVERAGE]:.2f}"
        body.append(" & ".join([latex(row["name"]), *cells, mean]) + " \\\\")
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            *(f"% {latex(line)}" for line in (NOTE, *remarks_of(table))),
            f"\\begin{{tabular}}{{l{'r' * len(columns)}r}}",
            "\\toprule",
            f" & {top} & \\\\" if columns else "\\\\",
            "".join(rules),
            " & ".join(["", *(latex(c["title"]) for c in columns), "Average"]) + " \\\\",
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def _latex_cell(cell: Mapping[str, Any]) -> str:
    value, bracket, rest = shown(cell, n=True).partition(" [")
    text = latex(value.replace("–", "--"))
    return text + (f" {{\\scriptsize [{latex(rest)}}}" if bracket else "")


SPECIAL = {
    "\\": r"\textbackslash{}",
    **{c: "\\" + c for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
}


def latex(text: str) -> str:
    return "".join(SPECIAL.get(c, c) for c in text)


__all__ = ["as_csv", "as_latex", "as_markdown", "metrics_as_markdown", "write_tables"]
