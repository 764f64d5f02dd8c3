"""The table of an agreement study on the terminal."""

from __future__ import annotations

from benchmarks.preferences import PreferenceSet
from experiments.reports.words import p_text
from judges.findings import Findings


def summary_lines(data: PreferenceSet, findings: Findings) -> list[str]:
    """The table on the terminal, within 80 columns, and what must be said below it."""
    title = f"{data.card.title}, against {data.labels}: {len(data.groups)} requests, {findings.comparisons['all']} rows"
    lines = [title, ""]
    width = max((len(m.title) for m in findings.measures), default=0) + 2
    for m in findings.measures:
        lines.append(f"  {m.title:<{width}}{m.text():>23}   {m.cell.counts()}")
    if findings.ties is not None and findings.ties.epsilon is not None:
        lines.append(f"  epsilon {findings.ties.epsilon:.4g}, chosen on {findings.ties.half}")
    for s in findings.shares:
        if not s.excess.cell.partial and s.excess.cell.value is not None:
            p = s.excess.adjusted
            lines.append(
                f"  wins of {s.model}: judge {s.judge.text(1, percent=True)}, labels {s.people.text(1, percent=True)}, "
                f"excess {s.excess.cell.text(1, True, True)}" + (f", p {p_text(p)} (Holm)" if p is not None else "")
            )
    stars = sorted({m.cell.note for m in findings.measures if m.cell.note})
    return [*lines, *(f"  note: {n}" for n in findings.notes), *(f"  * {note}" for note in stars)]


__all__ = ["summary_lines"]
