"""report.html of an evaluation: the paper's table, what lies behind each of its columns, and items to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from common.files import write_text
from experiments.evaluation.load import Section
from experiments.reports.evaluation.benchmark import benchmark_part
from experiments.reports.evaluation.cells import AVERAGE
from experiments.reports.evaluation.cost import cost_part
from experiments.reports.evaluation.decomposition import decomposition_part
from experiments.reports.evaluation.main_table import main_table
from experiments.reports.html import card, page


def write_page(out: Path, values: Mapping[str, Any], sections: Sequence[Section], count: int) -> Path:
    """One file: pictures are inside it, smaller where they are large, and lead to the whole ones beside it."""
    title = f"Evaluation: {out.name}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(headline(values))}</p>',
        partial_note(values),
        f'<div class="cards even">{"".join(cards(values))}</div>',
        *main_table(values),
        *decomposition_part(values),
        *(part for section in sections for part in benchmark_part(values, section, count)),
        *cost_part(values),
    ]
    return write_text(out / "report.html", page(title, body))


def headline(values: Mapping[str, Any]) -> str:
    names = ", ".join(b["card"].get("data") or name for name, b in values["benchmarks"].items()) or "no benchmark"
    judges = sorted({c["title"] for c in values["table"]["columns"]})
    run = "" if str(values.get("run", "none")).lower() in ("", "none", "null") else f", run {values['run']}"
    return (
        f"Benchmarks: {names}. Judges: {', '.join(judges) or 'none'}. Last command: editor {values.get('editor', '')}, "
        f"{values.get('execution', '')} execution, scale {values.get('scale', '')}{run}. Intervals are 95 % over items "
        "(over sessions, where there are several turns), a star marks those that are rough; invalid verdicts are left out of "
        "means and counted."
    )


def partial_note(values: Mapping[str, Any]) -> str:
    if not values["partial"]:
        return ""
    return '<p class="warning"><b>Partial.</b> Not everything is judged yet: cells that say so are no results.</p>'


def cards(values: Mapping[str, Any]) -> list[str]:
    columns = values["table"]["columns"]
    of = f"average over {len(columns)} columns" if len(columns) > 1 else "overall of 10"
    whose = {f"judge {c['title']}" for c in columns}
    what = of + (f", {whose.pop()}" if len(whose) == 1 else "")
    out = [
        card(f"{row[AVERAGE]:.2f}", f"{row['name']}: {what}")
        for row in values["table"]["rows"]
        if row[AVERAGE] is not None
    ]
    items = sum(b["items"] for b in values["benchmarks"].values())
    out.append(card(f"{items:,}", "items" + (f" of {n} benchmarks" if (n := len(values["benchmarks"])) > 1 else "")))
    dollars = sum(j.get("dollars", 0.0) for b in values["cost"].values() for j in b["judges"].values())
    return [*out, *([card(f"${dollars:.2f}", "spent on judges")] if dollars else [])]


__all__ = ["write_page"]
