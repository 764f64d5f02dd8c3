"""The paper's table, for the terminal and as files to paste: table.csv, table.md, table.tex."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from common.files import write_text
from common.progress import console
from common.statistics import Cell

AVERAGE = "average"
NOTE = (
    "Overall 0–10: mean [95 % interval], bootstrap over items (over sessions where there are turns). The average is over all "
    "columns, and only there where each of them is complete."
)
FIELDS = ("arm", "name", "benchmark", "judge", "mean", "value", "low", "high", "n", "invalid", "missing", "state")


def cell_of(found: Mapping[str, Any]) -> Cell:
    known = ("value", "low", "high", "n", "invalid", "missing", "note")
    return Cell(**{k: found[k] for k in known if k in found})


def state(found: Mapping[str, Any]) -> str:
    """complete | partial | absent | too many invalid | no value: only the first may be cited."""
    if found.get("absent"):
        return "absent"
    if found.get("partial"):
        return "partial"
    if found.get("too_many_invalid"):
        return "too many invalid"
    return "complete" if found["value"] is not None else "no value"


def shown(found: Mapping[str, Any], digits: int = 2, n: bool = False) -> str:
    """A cell in words; no number where there is none that may be cited. With `n` its number of items too."""
    match state(found):
        case "absent":
            return "–"
        case "too many invalid":
            return f"invalid ({found['invalid']} of {found['invalid'] + found['n']})"
    text = cell_of(found).text(digits)
    if state(found) != "complete":
        return text
    counts = [f"n {found['n']}"] if n else []
    counts += [f"{found['invalid']} invalid"] if found.get("invalid") else []
    return text + (f" ({', '.join(counts)})" if counts else "")


def headers(table: Mapping[str, Any]) -> list[str]:
    return ["arm", *(f"{c['benchmark']}, {c['title']}" for c in table["columns"]), AVERAGE]


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
    for name, make in (("table.csv", as_csv), ("table.md", as_markdown), ("table.tex", as_latex)):
        write_text(out / name, make(values["table"]))


def as_csv(table: Mapping[str, Any]) -> str:
    """A line for each number, with everything that belongs to it."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in table["rows"]:
        for column, found in zip(table["columns"], row["cells"], strict=True):
            whole = state(found) == "complete"
            writer.writerow(
                {"arm": row["arm"], "name": row["name"], "state": state(found)}
                | {k: column[k] for k in ("benchmark", "judge", "mean")}
                | {k: found[k] if whole and found[k] is not None else "" for k in ("value", "low", "high")}
                | {k: found[k] for k in ("n", "invalid", "missing")}
            )
        if row[AVERAGE] is not None:
            fields = {"arm": row["arm"], "name": row["name"], "benchmark": AVERAGE, "value": row[AVERAGE]}
            writer.writerow(fields | {"state": "complete"})
    return buffer.getvalue()


def as_markdown(table: Mapping[str, Any]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    head = headers(table)
    rule = "|---|" + "--:|" * (len(head) - 1)
    return "\n".join([line(head), rule, *(line(cells) for cells in lines(table)), "", NOTE, ""])


def as_latex(table: Mapping[str, Any]) -> str:
    """A booktabs table: benchmarks over judges, arms below, intervals small."""
    columns = table["columns"]
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column["benchmark"]:
            groups[-1] = (column["benchmark"], groups[-1][1] + 1)
        else:
            groups.append((column["benchmark"], 1))
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
            f"% {latex(NOTE)}",
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


def _latex_cell(found: Mapping[str, Any]) -> str:
    value, bracket, rest = shown(found, n=True).partition(" [")
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


def print_table(values: Mapping[str, Any]) -> None:
    """One block for each benchmark, so that it fits into a terminal."""
    table = values["table"]
    names = list(dict.fromkeys(c["benchmark"] for c in table["columns"]))
    for name in names:
        found = [(i, c) for i, c in enumerate(table["columns"]) if c["benchmark"] == name]
        console.print(f"\n[bold]{name}[/]: overall 0–10, {found[0][1]['mean']} mean and 95 % interval")
        shape = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        shape.add_column("arm")
        for _, column in found:
            shape.add_column(column["title"], justify="right")
        shape.add_column("items", justify="right")
        for row in table["rows"]:
            cells = [row["cells"][i] for i, _ in found]
            if all(c.get("absent") for c in cells):
                continue
            shape.add_row(row["name"], *(shown(c) for c in cells), str(max(c["n"] for c in cells)))
        console.print(shape)
    for name, measured in values["metrics"].items():
        if name not in names:  # nobody judged: what was measured is all there is to show
            print_metrics(name, measured["arms"])
    for row in table["rows"]:
        if row[AVERAGE] is not None and len(table["columns"]) > 1:
            console.print(f"  {row['name']}: {row[AVERAGE]:.2f} on average over {len(table['columns'])} columns")
    for name in names:
        for column in values["judges"][name].values():
            for gap in column["differences"]:
                if state(gap) == "complete":
                    console.print(f"  {name}, {column['title']}: {difference(gap)}")
    if values["partial"]:
        console.print("[bold]partial[/]: not everything is there yet; the same command goes on")


def print_metrics(name: str, arms: Mapping[str, Any]) -> None:
    """A line for each metric that some arm has values of."""
    from experiments.evaluation.names import arm_name

    keys = [
        k for k in dict.fromkeys(k for cells in arms.values() for k in cells) if any(_n(c, k) for c in arms.values())
    ]
    if not keys:
        return
    console.print(f"\n[bold]{name}[/]: metrics without a judge, mean and 95 % interval")
    shape = Table("metric", box=box.SIMPLE_HEAD, padding=(0, 1))
    for arm in arms:
        shape.add_column(arm_name(arm), justify="right")
    shape.add_column("items", justify="right")
    for key in keys:
        cells = [cell_of(c[key]).text(3) if _n(c, key) else "–" for c in arms.values()]
        shape.add_row(key, *cells, str(max(_n(c, key) for c in arms.values())))
    console.print(shape)


def _n(cells: Mapping[str, Any], key: str) -> int:
    return int(cells[key]["n"]) if key in cells else 0


def difference(gap: Mapping[str, Any]) -> str:
    """'team before RL − editor alone: +0.61 [+0.39, +0.99], p 0.001'."""
    from experiments.evaluation.names import arm_name

    p = "" if gap["p_holm"] is None else f", p {gap['p_holm']:.2g} (Holm)"
    return f"{arm_name(gap['second'])} − {arm_name(gap['first'])}: {cell_of(gap).text(sign=True)}{p}"


__all__ = ["AVERAGE", "FIELDS", "as_csv", "as_latex", "as_markdown", "cell_of", "difference", "headers", "lines"]
__all__ += ["print_table", "shown", "state", "write_tables"]
