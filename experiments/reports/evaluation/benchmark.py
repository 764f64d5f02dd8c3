"""One benchmark of an evaluation: its size, its judges, metrics, card and gallery."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from experiments.evaluation.edit_counts import edit_notes
from experiments.evaluation.load import Section
from experiments.reports.evaluation.gallery import gallery
from experiments.reports.evaluation.judge import judge_part
from experiments.reports.evaluation.metrics import metrics_part
from experiments.reports.evaluation.words import counted, sentence


def benchmark_part(values: Mapping[str, Any], section: Section, count: int) -> list[str]:
    about = values["benchmarks"][section.name]
    title = about["card"]["title"] or section.name
    several = about["items"] != about["units"]
    size = f"{about['units']} sessions, {about['items']} turns" if several else counted(about["units"], "item")
    out = [
        f"<h2>{escape(title)} <small>benchmark={escape(section.name)}</small></h2>",
        f'<p class="muted">{escape(sentence(size + (f": {how}" if (how := about["card"]["sampling"]) else "")))}</p>',
    ]
    for label, column in values["judges"][section.name].items():
        out += judge_part(label, column)
    out += metrics_part(values["metrics"].get(section.name, {}))
    out += [
        f'<p class="warning">{escape(note)}</p>' for note in edit_notes(values.get("edits", {}).get(section.name, {}))
    ]
    out += [card_part(about["card"])]
    return [*out, *gallery(section, count)]


def card_part(card: Mapping[str, Any]) -> str:
    names = ("source", "read", "paper", "licence", "split", "size", "sampling", "rubric", "mean")
    lines = "".join(f"<dt>{n}</dt><dd>{escape(str(card[n]))}</dd>" for n in names if card.get(n))
    notes = "".join(f"<dt>note</dt><dd>{escape(n)}</dd>" for n in card["notes"])
    return f'<details open><summary>Card</summary><dl class="config">{lines}{notes}</dl></details>'


__all__ = ["benchmark_part"]
