"""How many edits of each arm left no picture, and why, and of how many a model did not read the whole text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.evaluation.load import Section
from experiments.evaluation.names import arm_name
from experiments.evaluation.rows import fine

SHOWN = 3  # reasons of failures that are shown


def edits_section(section: Section) -> dict[str, dict[str, Any]]:
    """{arm: {"n": edits, "failed": of them without a picture, "failures": the first reasons, "cut": of them whose request or
    instruction was not read to its end}}."""
    counts = {}
    for arm, rows in section.edits.items():
        reasons = [row["failure"] for row in rows.values() if not fine(row)]
        counts[arm] = {
            "n": len(rows),
            "failed": len(reasons),
            "failures": list(dict.fromkeys(reasons))[:SHOWN],
            "cut": sum(bool(row.get("cut")) for row in rows.values()),
        }
    return counts


def edit_notes(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a reader must know of the arms' edits, one sentence each."""
    notes = []
    for arm, count in counts.items():
        if count["failed"]:
            reasons = "; ".join(count["failures"]) + ("; …" if count["failed"] > len(count["failures"]) else "")
            notes.append(f"{arm_name(arm)}: {count['failed']} of {count['n']} edits invalid, no picture ({reasons})")
        if count["cut"]:
            notes.append(
                f"{arm_name(arm)}: of {count['cut']} of {count['n']} edits the text was not read to its end (rows: notes)"
            )
    return notes


__all__ = ["edit_notes", "edits_section"]
