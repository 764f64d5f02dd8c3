"""`mice_text`: real session turns of MICE-Bench (Edit-R2, arXiv 2606.05950) as text, each with its history and gold.

The gold triples are those of benchmarks/mice_gold.py. The persistent rule of CM sessions is not part of the gold (MICE's own IF
ignores it, only its GA checks it); it is given as `EditSession.rule` and stays in the history as the user said it.

Decisions on the data's quirks. A turn with an empty argument ("with '[]'") is left out as a sample but stays in the
history of later turns. A turn whose text fits no pattern makes the record unreliable (a leaked model monologue), so the
whole record is left out. Arguments that the decomposition format cannot hold (';', '<', a goal "none") leave the turn
out. Everything left out is counted by reason in `report`. White space inside arguments (line breaks) is collapsed; case
is kept (the rewards normalise). No pictures are published with these records, so a sample's image is None.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.base import EditSample, EditSession
from benchmarks.mice_gold import EMPTY, NO_PATTERN, Unmapped, gold_edit
from benchmarks.mice_records import (
    CATEGORIES,
    SPLITS,
    MiceRecord,
    find_folder,
    part_of,
    published_test,
    read_records,
)
from common.errors import BadData, BadInput

DAMAGED = "rest of a damaged record"


class MiceText(Sequence[EditSample]):
    """The turns of MICE-Bench records that have gold, as `EditSample`s of kind "cm" or "cu".

    `path` is a folder with cm*.jsonl / cu*.jsonl (or cm/ and cu/ with any *.jsonl, or one file); None takes
    IMAGEEDIT_DATA, which may name that folder or the one that contains it as mice_bench/. Files of other names are
    accepted, their records' category guessed from the rule in turn 1. The split is by a hash of turn 1's words:
    80 train, 5 validation, 15 test of 100 (files named "test" beside others are test as a whole); "all" is everything.
    Raises MissingFile, BadData (file and line), BadInput.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, split: str = "all", categories: Sequence[str] = CATEGORIES
    ) -> None:
        if split not in SPLITS:
            raise BadInput(f"unknown split {split!r} of mice_text; choose one of {', '.join(SPLITS)}")
        if wrong := [c for c in categories if c not in CATEGORIES]:
            raise BadInput(f"unknown category {wrong[0]!r} of mice_text; choose from {', '.join(CATEGORIES)}")
        self.folder = find_folder(path)
        self.split = split
        mapped: Counter[str] = Counter()
        unmapped: Counter[str] = Counter()
        turns: Counter[str] = Counter()
        sessions: list[EditSession] = []
        records = read_records(self.folder)
        published = published_test(records)
        for record in records:
            part = "test" if record.key in published else part_of(record.key)
            if record.category not in categories or split not in ("all", part):
                continue
            session, left_out = _session(record)
            turns[record.category] += len(record.instruction)
            mapped[record.category] += len(session.turns)
            unmapped.update(f"{record.category}: {reason}" for reason in left_out)
            if session.turns:
                sessions.append(session)
        self.sessions: tuple[EditSession, ...] = tuple(sessions)
        self.samples: tuple[EditSample, ...] = tuple(s for session in sessions for s in session.turns)
        self.report: dict[str, Any] = {
            "sessions": len(sessions),
            "turns": dict(sorted(turns.items())),
            "mapped": dict(sorted(mapped.items())),
            "unmapped": dict(sorted(unmapped.items())),
        }
        if not self.samples:
            raise BadData(f"no usable turn in split {split!r} of {self.folder} ({self.report}); is the folder right?")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # int -> EditSample, slice -> tuple of them
        return self.samples[index]

    def sample(self, i: int) -> EditSample:
        """The i-th sample, counting on from the start past the end, so that any counter gives a sample."""
        return self.samples[i % len(self.samples)]

    def session(self, i: int) -> EditSession:
        """The i-th session, likewise."""
        return self.sessions[i % len(self.sessions)]


def _session(record: MiceRecord) -> tuple[EditSession, list[str]]:
    """The record's turns that have gold, and one reason for each of the others."""
    turns: list[EditSample] = []
    left_out: list[str] = []
    for k, (request, task, formatted) in enumerate(
        zip(record.instruction, record.task_type, record.formatted, strict=True)
    ):
        if not request.strip():
            left_out.append(EMPTY)
            continue
        try:
            gold = gold_edit(task, formatted)
        except Unmapped as error:
            left_out.append(error.reason)
            continue
        turns.append(EditSample(f"{record.id}-{k + 1}", request, (gold,), record.category, record.instruction[:k]))
    if NO_PATTERN in left_out:
        left_out += [DAMAGED] * len(turns)
        turns = []
    return EditSession(record.id, tuple(turns), record.rule), left_out


__all__ = ["MiceText"]
