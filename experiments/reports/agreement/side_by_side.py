"""compare.md, compare.html and the terminal's table of judges side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from common.cells import Cell, remarks
from common.files import write_text
from common.statistics import Difference
from experiments.evaluation.agreement.compare import Comparison
from experiments.reports.agreement.page import spaced
from experiments.reports.html import page, table
from experiments.reports.words import p_text
from judges.side_by_side import ComparedMeasure

Row = tuple[str, ...]


def write_comparison(out: Path, comparison: Comparison) -> list[Path]:
    title = f"{len(comparison.judges)} judges on {comparison.data['title']}"
    return [
        write_text(out / "compare.md", "\n".join(markdown(title, comparison)) + "\n"),
        write_text(out / "compare.html", page(title, html(title, comparison))),
    ]


def head(comparison: Comparison) -> Row:
    first = comparison.judges[0].name
    columns = [name for m in comparison.measures for name in (f"{m.title}, %", f"− {first}", "p (Holm)")]
    return ("judge", *columns)


def rows(comparison: Comparison, bold: tuple[str, str] = ("", "")) -> list[Row]:
    """One per judge; `bold` stands around the best value of a measure and around differences, where they are significant."""

    def marked(text: str, significant: bool) -> str:
        return f"{bold[0]}{text}{bold[1]}" if significant else text

    def of(measure: ComparedMeasure, k: int) -> Row:
        value = marked(_percent(measure.cells[k]), measure.best == k)
        if k == 0:
            return value, "–", "–"
        gap = measure.differences[k - 1]
        return value, marked(_percent(gap.cell, sign=True), gap.significant), p_text(gap.adjusted)

    return [
        (judge.name, *(cell for measure in comparison.measures for cell in of(measure, k)))
        for k, judge in enumerate(comparison.judges)
    ]


def sentences(comparison: Comparison) -> list[str]:
    """What must be known beside the numbers."""
    first = comparison.judges[0]
    out = [f"{judge.name}: {judge.judge} ({_counts(comparison, k)})." for k, judge in enumerate(comparison.judges)]
    out += [f"{m.title}: {m.how}." for m in comparison.measures]
    out.append(
        f"− {first.name}: the difference to {first.name} in percentage points, paired over the comparisons for which both have a "
        "valid verdict; comparisons of one request are drawn together. p is that of a sign-flip permutation test, corrected by "
        "Holm's method over all differences of this table. Bold differences are significant; a bold value is significantly "
        "better than that of every other judge here."
    )
    cells = [cell for m in comparison.measures for cell in (*m.cells, *(d.cell for d in m.differences))]
    return [*out, *remarks(cells), *comparison.data.get("notes", [])]


def markdown(title: str, comparison: Comparison) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    names = head(comparison)
    lines = [line(names), line(["---"] * len(names)), *map(line, rows(comparison, ("**", "**")))]
    return [
        f"# {title}",
        "",
        _about(comparison),
        "",
        *lines,
        "",
        "## Notes",
        "",
        *(f"- {s}" for s in sentences(comparison)),
    ]


def html(title: str, comparison: Comparison) -> list[str]:
    begin, end = "\ue000", "\ue001"  # so that cells can be escaped as a whole
    cells = [[escape(c) for c in row] for row in rows(comparison, (begin, end))]
    shown = [[spaced(c.replace(end, "")).replace(begin, "<b>") + "</b>" * (begin in c) for c in row] for row in cells]
    notes = "".join(f"<li>{escape(s)}</li>" for s in sentences(comparison))
    body = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(_about(comparison))}</p>']
    return [*body, table(head(comparison), [(row, False) for row in shown]), "<h2>Notes</h2>", f"<ul>{notes}</ul>"]


def terminal_lines(comparison: Comparison) -> list[str]:
    """Within 80 columns for judges of short names; a measure after the other."""
    width = max(len(j.name) for j in comparison.judges) + 2
    lines = [f"{len(comparison.judges)} judges on {comparison.data['title']}"]
    for m in comparison.measures:
        lines += ["", f"  {m.title}, % [95 %], and − {comparison.judges[0].name}"]
        for k, judge in enumerate(comparison.judges):
            gap = "" if k == 0 else f"   {_gap(m.differences[k - 1])}"
            lines.append(f"    {judge.name:<{width}}{_percent(m.cells[k]):<22}{gap}".rstrip())
        if m.best is not None:
            lines.append(f"    {comparison.judges[m.best].name} is significantly better than every other")
    return lines


def _gap(gap: Difference) -> str:
    star = "" if not gap.significant else ", significant"
    return f"{_percent(gap.cell, sign=True)}, p {p_text(gap.adjusted)}{star}"


def _percent(cell: Cell, sign: bool = False) -> str:
    return cell.text(1, sign, percent=True)


def _counts(comparison: Comparison, k: int) -> str:
    invalid = max(m.cells[k].invalid for m in comparison.measures)
    return f"{len(comparison.judges[k].answers)} comparisons, {invalid} of them without a valid verdict"


def _about(comparison: Comparison) -> str:
    data = comparison.data
    parts = (data["source"], data["paper"], f"licence {data['licence']}")
    return f"{', '.join(p for p in parts if p)}. Taken: {data['sampling']}."


__all__ = ["head", "html", "markdown", "rows", "sentences", "terminal_lines", "write_comparison"]
