"""Tables of a sweep for a paper: LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.reports.sweep.effects import Effect
from experiments.reports.sweep.pivot import MARK, Pivot
from experiments.reports.sweep.summary import Sweep
from experiments.reports.words import p_text

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "−": "$-$", "→": r"$\to$", "<": "$<$", ">": "$>$",
    MARK: r"$^\dagger$",
}  # fmt: skip
PACKAGES = "% needs \\usepackage{booktabs}"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(c, c) for c in " ".join(text.split()))


def latex(sweep: Sweep, table: Pivot | None, effects: Sequence[Effect]) -> str:
    """The means of each configuration, then the table by rows and columns, then the main effects."""
    parts = [PACKAGES, means_table(sweep)]
    if table is not None:
        parts.append(pivot_table(table))
    if effects:
        parts.append(effects_table(effects))
    return "\n\n".join(parts) + "\n"


def means_table(sweep: Sweep) -> str:
    heads = [*(sweep.keys or ["configuration"]), "seeds", *(m.heading for m in sweep.measures)]
    rows = [
        [
            *(key or ("as configured",)),
            str(len(members)),
            *(sweep.means[key][m.name].text(m.unit.digits) for m in sweep.measures),
        ]
        for key, members in sweep.groups.items()
    ]
    return tabular(heads, rows, max(1, len(sweep.keys)))


def pivot_table(table: Pivot) -> str:
    heads = [", ".join(table.row_keys), *map(table.label, table.cols)]
    rows = [[table.label(r), *(" ".join(filter(None, table.text(r, c))) for c in table.cols)] for r in table.rows]
    return f"% {table.title}. {table.note}\n{tabular(heads, rows, 1)}"


def effects_table(effects: Sequence[Effect]) -> str:
    rows = []
    for e in effects:
        d = e.comparison.difference
        if d is not None:
            digits = e.comparison.digits
            rows.append([e.key, e.comparison.question, d.both.text(digits, sign=True), p_text(d.adjusted)])
    return tabular(["key", "change", "main effect", "p (Holm)"], rows, 2)


def tabular(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """The first `left` columns are aligned to the left."""
    columns = "l" * left + "r" * (len(heads) - left)
    lines = [" & ".join(map(escaped, cells)) + r" \\" for cells in (heads, *rows)]
    body = "\n".join(lines[1:])
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}"


__all__ = ["escaped", "latex", "tabular"]
