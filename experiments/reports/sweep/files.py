"""Files to paste: the tables of a sweep as Markdown, its comparisons as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from experiments.catalogue.scores import numbers
from experiments.reports.sweep.comparisons import Comparison
from experiments.reports.sweep.effects import COVERS as MAIN_EFFECTS
from experiments.reports.sweep.effects import Effect
from experiments.reports.sweep.pivot import Pivot
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.words import COVERS, HEADS, each_seed, listed
from experiments.reports.words import p_text


def markdown(sweep: Sweep, table: Pivot | None = None, effects: Sequence[Effect] = ()) -> str:
    """GitHub-flavoured tables: arms by configuration, the table by rows and columns, main effects, then the comparisons."""
    heads = sweep.keys or ["configuration"]
    means = [
        [
            *(key or ("as configured",)),
            listed(r.seed for r in members),
            *(sweep.means[key][m.name].text(m.unit.digits) for m in sweep.measures),
        ]
        for key, members in sweep.groups.items()
    ]
    lines = [
        f"{len(sweep.runs)} runs{sweep.judged}. {_sentence(sweep.title)}",
        "",
        *_markdown_table([*heads, "seeds", *(m.heading for m in sweep.measures)], means, len(heads) + 1),
    ]
    if table is not None:
        cells = [[table.label(r), *(" ".join(table.text(r, c)).strip() for c in table.cols)] for r in table.rows]
        head = [", ".join(table.row_keys), *map(table.label, table.cols)]
        lines += ["", f"{table.title}. {_cell(table.note)}", "", *_markdown_table(head, cells, 1)]
    if effects:
        cells = [
            [e.key, e.comparison.question, d.both.text(e.comparison.digits, sign=True), p_text(d.adjusted)]
            for e in effects
            if (d := e.comparison.difference) is not None
        ]
        lines += ["", MAIN_EFFECTS, "", *_markdown_table(["key", "change", "main effect", "p (Holm)"], cells, 2)]
    if sweep.answered:
        rows = [
            [
                c.where,
                c.question + (f" ({d.left_out} left out)" if d.left_out else ""),
                d.samples.text(c.digits, sign=True),
                p_text(d.adjusted),
                d.both.text(c.digits, sign=True) if len(d.seeds) > 1 else "–",
                " · ".join(f"{x} ({seed})" for seed, x in each_seed(c, d).items()),
                str(d.samples.n),
            ]
            for c, d in sweep.answered
        ]
        lines += ["", f"Differences: {COVERS}", "", *_markdown_table(HEADS, rows, 2)]
    lines += [x for note in [*sweep.notes, *sweep.remarks, *sweep.equal] for x in ("", _cell(note))]
    lines += [x for line in sweep.absent for x in ("", f"In no table: {_cell(line)}")]
    refused = sweep.refused
    return "\n".join([*lines, *([""] if refused else []), *(f"- not compared: {_cell(t)}" for t in refused)]) + "\n"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _cell(text: str) -> str:
    """Text that cannot end its cell or its row."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """The first `left` columns are aligned to the left, the others to the right."""
    rule = [":--" if n < left else "--:" for n in range(len(head))]
    return [f"| {' | '.join(map(_cell, cells))} |" for cells in (head, rule, *rows)]


def comparisons_csv(comparisons: Sequence[Comparison]) -> str:
    """One row per comparison; empty cells where there is no number, and then the reason."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ("where", "question", "kind", "unit", "difference", "low", "high", "both_low", "both_high", "each_seed", "samples",
         "left_out", "p", "p_holm", "note", "refused")
    )  # fmt: skip
    for c in comparisons:
        d = c.difference
        numbers: list[object] = [""] * 11
        if d is not None:
            means = (d.samples.value, d.samples.low, d.samples.high, d.both.low, d.both.high)
            each = " ".join(f"{seed}:{x:.6g}" for seed, x in d.seeds.items())
            ps = ("" if p is None else f"{p:.4g}" for p in (d.p, d.adjusted))
            numbers = [
                *("" if x is None else f"{x:.6g}" for x in means),
                each,
                d.samples.n,
                d.left_out,
                *ps,
                d.samples.note,
            ]
        writer.writerow((c.where, c.question, c.kind, c.unit.name, *numbers, c.refused))
    return buffer.getvalue()


def runs_csv(sweep: Sweep) -> str:
    """One row per run: its folder, seed, the keys that differ, every measure and every other number of results.json."""
    names = [m.name for m in sweep.measures]
    found = [numbers(run.results) for run in sweep.runs]
    others = list(dict.fromkeys(key for values in found for key in values if key != "seed" and key not in names))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("run", "seed", *sweep.keys, *names, *others))
    for run, values in zip(sweep.runs, found, strict=True):
        measured = [f"{run.measures[n]:.6g}" if n in run.measures else "" for n in names]
        rest = [f"{values[k]:.6g}" if k in values else "" for k in others]
        writer.writerow((run.folder, run.seed, *(run.choices.get(k, "") for k in sweep.keys), *measured, *rest))
    return buffer.getvalue()
