"""How well a writer's intents say what MICE-Bench's turns mean (arXiv 2606.05950): the object behind a pronoun in CU sessions, the
lasting rule in CM sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from agents.intent import Intent, IntentWriter
from benchmarks.base import EditSample
from benchmarks.mice_intents import asks_by_pronoun, lasting, object_resolved, rule_carried
from common.cells import Cell, remarks
from common.progress import bar
from common.statistics import accuracy
from experiments.reports.screen import print_line, show_table

FILE = "intent-scores.jsonl"  # of a run, and of an evaluation
TITLES = {"cu_object": "CU: the object behind a pronoun is named", "cm_rule": "CM: the lasting rule is carried over"}
Row = Mapping[str, Any]


def later_turns(samples: Sequence[EditSample]) -> list[EditSample]:
    """Those that a writer is asked about."""
    return [s for s in samples if s.history]


def intent_rows(samples: Sequence[EditSample], writer: IntentWriter, chunk: int, title: str) -> list[dict[str, Any]]:
    """A row for each sample: what was written, and where that applies whether the object is named and the rule carried over."""
    rows: list[dict[str, Any]] = []
    with bar(title, len(samples)) as b:
        for first in range(0, len(samples), chunk):
            part = samples[first : first + chunk]
            rows += [_row(sample, intent) for sample, intent in zip(part, writer.write(part), strict=True)]
            b.update(len(rows))
    return rows


def _row(sample: EditSample, intent: Intent) -> dict[str, Any]:
    said = intent.instruction
    return {
        "id": sample.id,
        "kind": sample.kind,
        "request": sample.request,
        "instruction": said,
        "fallback": intent.fallback,
        "cu_object": object_resolved(said, sample) if asks_by_pronoun(sample) else None,
        "cm_rule": rule_carried(said, sample) if lasting(sample) else None,
    }


def intent_results(rows: Sequence[Row]) -> dict[str, Any]:
    """The section `intent` of results.json: shares, with their cells, and how many replies could not be read."""
    cells = {name: accuracy([r[name] for r in rows if r[name] is not None]) for name in TITLES}
    return {
        **{name: cell.value for name, cell in cells.items()},
        "cells": {name: cell.as_dict() for name, cell in cells.items()},
        "fallback": sum(bool(r["fallback"]) for r in rows) / max(1, len(rows)),
        "turns": len(rows),
    }


def print_intents(results: Mapping[str, Any]) -> None:
    part = results.get("intent")
    if not part:
        return
    shown = Table(
        box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1), pad_edge=False,
        title=f"Intents of {part['turns']} later turns: share of the turns that ask for it, with its 95 % interval",
    )  # fmt: skip
    for name in ("", "share", "turns"):
        shown.add_column(name, justify="right" if name else "left")
    cells = {name: Cell.from_dict(own) for name, own in part["cells"].items()}
    for name, cell in cells.items():
        shown.add_row(TITLES[name], cell.text(3), str(cell.n))
    show_table(shown)
    for line in remarks(cells.values()):
        print_line(line)


__all__ = ["FILE", "intent_results", "intent_rows", "later_turns", "print_intents"]
