"""agreement.md and agreement.html: every number with its interval, counts, and how it was made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.preferences import PreferenceSet
from common.files import write_text
from conf.schema import AgreementConfig
from experiments.build.judges import own_rubric, takes_rubric
from experiments.reports.html import page, table, without_empty
from experiments.reports.words import p_text
from judges.findings import Findings
from judges.self_preference import ModelShare

Cells = Sequence[str]
INTERVAL = re.compile(r" (\[[^\]]*\](?: %)?)$")
MEASURES = ("measure", "value [95 %]", "n", "invalid", "missing", "what it is")
SHARES = ("model", "judge, %", "labels, %", "judge − labels, %", "p", "p (Holm)", "n")


def write_reports(
    out: Path, config: AgreementConfig, data: PreferenceSet, findings: Findings, judge: dict[str, Any]
) -> list[Path]:
    """`judge` holds the counts of verdicts and what they cost."""
    title = f"{judge_name(config)} against {data.labels}: {data.card.title}"
    return [
        write_text(out / "agreement.md", "\n".join(markdown(title, config, data, findings, judge)) + "\n"),
        write_text(out / "agreement.html", page(title, html(title, config, data, findings, judge))),
    ]


def judge_name(config: AgreementConfig) -> str:
    if config.scores == "csv":
        return "Scores of the file"
    model = f" ({config.judge.model})" if getattr(config.judge, "model", "") else ""
    rubric = f", rubric {own_rubric(config.judge) or config.rubric}," if takes_rubric(config.judge) else ""
    return f"judge={config.judge.name}{model}{rubric}"


def measure_table(findings: Findings) -> tuple[Cells, list[Cells]]:
    """Head and one row per measure; stars point to the notes below the table. Invalid and missing verdicts have a column
    where there are any."""
    rows = [
        ((m.title, m.text(), str(m.cell.n), str(m.cell.invalid), str(m.cell.missing), m.how), False)
        for m in findings.measures
    ]
    head, kept = without_empty(MEASURES, rows, ("invalid", "missing"))
    return head, [cells for cells, _ in kept]


def share_rows(config: AgreementConfig, shares: Sequence[ModelShare]) -> list[Cells]:
    def row(s: ModelShare) -> Cells:
        own = " (the judge's own)" if config.own and config.own.lower() in s.model.lower() else ""
        values = (s.judge.text(1, percent=True), s.people.text(1, percent=True), s.excess.cell.text(1, True, True))
        return (s.model + own, *values, p_text(s.excess.p), p_text(s.excess.adjusted), str(s.excess.cell.n))

    return [row(s) for s in shares]


def sentences(data: PreferenceSet, findings: Findings, judge: dict[str, Any]) -> list[str]:
    """What must be known beside the numbers."""
    counts, out = findings.comparisons, []
    if findings.partial:
        out.append("Not finished: what is marked partial is no result yet.")
    tied = (
        f", {counts['tied_by_people']} tied by the labels, {counts['tied_by_judge']} with equal scores or a tie of the judge"
        if "tied_by_people" in counts
        else ""
    )
    lost = [f"{counts[k]} {words}" for k, words in (("invalid", "invalid"), ("missing", "not judged yet")) if counts[k]]
    out.append(f"{counts['all']} rows{tied}; {', '.join(lost) or 'every one has a valid verdict'}.")
    ties = findings.ties
    if ties is not None and ties.epsilon is not None:
        shown = [
            f"Scores that differ by at most epsilon count as a tie. Epsilon {ties.epsilon:.4g} was chosen on {ties.half}"
        ]
        if ties.calibration is not None and ties.in_sample is not None:
            shown.append(f"there it reached {100 * ties.calibration:.1f} %")
            shown.append(f"chosen on all pairs, as others do, it would show {100 * ties.in_sample:.1f} %")
        out.append("; ".join(shown) + ". The tie-aware accuracy is that of the other half.")
    if "inconsistent" in judge:
        sides = judge["favoured_side"]
        out.append(
            f"Asked in both orders, {judge['inconsistent']} of {judge['judged']} pairs had no consistent answer; the same side "
            f"was named in both orders {sides['A']} times for A and {sides['B']} for B."
        )
    usage = judge.get("usage")
    if usage and any(usage.values()):
        out.append(
            f"{usage['calls']} calls and {usage['cached']} cached replies in this process, {usage['input_tokens']} tokens in, "
            f"{usage['output_tokens']} out, ${usage['dollars']:.2f}."
        )
    stars = [f"{m.title}: {m.cell.note}." for m in findings.measures if m.cell.note]
    return [*out, *findings.notes, *stars, *data.card.notes]


def markdown(
    title: str, config: AgreementConfig, data: PreferenceSet, findings: Findings, judge: dict[str, Any]
) -> list[str]:
    def lines(head: Cells, rows: Sequence[Cells]) -> list[str]:
        clean = [[c.replace("|", "\\|").replace("\n", " ") for c in row] for row in rows]
        return [f"| {' | '.join(r)} |" for r in [head, ["---"] * len(head), *clean]]

    out = [f"# {title}", "", *_about(data), "", *lines(*measure_table(findings)), ""]
    if findings.shares:
        out += ["## Self-preference", "", _SHARES_NOTE, "", *lines(SHARES, share_rows(config, findings.shares)), ""]
    return [*out, "## Notes", "", *(f"- {s}" for s in sentences(data, findings, judge))]


def html(
    title: str, config: AgreementConfig, data: PreferenceSet, findings: Findings, judge: dict[str, Any]
) -> list[str]:
    def cells(rows: Sequence[Cells]) -> list[tuple[Cells, bool]]:
        return [([escape(c) for c in row], False) for row in rows]

    body = [f"<h1>{escape(title)}</h1>", *(f'<p class="lead">{escape(line)}</p>' for line in _about(data))]
    head, rows = measure_table(findings)
    body.append(table(head, [([spaced(c) for c in row], bold) for row, bold in cells(rows)], "textlast"))
    if findings.shares:
        body += ["<h2>Self-preference</h2>", f"<p>{escape(_SHARES_NOTE)}</p>"]
        bold = [s.excess.significant for s in findings.shares]
        models = cells(share_rows(config, findings.shares))
        body.append(table(SHARES, [([spaced(c) for c in row], b) for (row, _), b in zip(models, bold, strict=True)]))
    notes = "".join(f"<li>{escape(s)}</li>" for s in sentences(data, findings, judge))
    return [*body, "<h2>Notes</h2>", f"<ul>{notes}</ul>"]


def spaced(cell: str) -> str:
    """The interval of a cell in small type, as in every table."""
    return INTERVAL.sub(r" <small>\1</small>", cell)


_SHARES_NOTE = (
    "How often each model's edits win their comparisons (a tie is half a win), by the judge and by the labels of the same "
    "comparisons. A positive difference: the judge likes this model's edits better than the labels do. Bold: significant after "
    "Holm's correction over the models."
)


def _about(data: PreferenceSet) -> list[str]:
    card = data.card
    read = f"read from {card.read}" if card.read not in ("", card.source) else ""
    source = ", ".join(
        x for x in (card.source, read, card.paper, f"licence {card.licence}", f"labels by {data.labels}") if x
    )
    return [f"{source}. {card.size}. Taken: {card.sampling}."]


__all__ = ["html", "judge_name", "markdown", "measure_table", "sentences", "share_rows", "write_reports"]
