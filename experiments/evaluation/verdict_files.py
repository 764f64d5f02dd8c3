"""The files that the verdicts of one judge go to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.item import Item
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.ledger import UsageLog
from experiments.evaluation.rows import RowFile
from experiments.evaluation.shares import Share
from judges.base import Verdict
from judges.question import Usage

WORDS = "words"  # beside the rows: what a judge replied, read for the gallery alone


@dataclass(frozen=True)
class JudgeTask:
    """One picture to judge."""

    arm: str
    key: Key


Judged = tuple[JudgeTask, tuple[Item, Verdict]]


class Spends(Protocol):
    """A judge, as far as its verdicts' files care."""

    @property
    def usage(self) -> Usage: ...


class VerdictFiles:
    """Rows and words of every arm, opened when its first verdict is there, and the ledger of what was spent. `stack` closes
    them."""

    def __init__(self, layout: Layout, label: str, share: Share, judge: Spends, stack: ExitStack) -> None:
        self.layout, self.label, self.share, self.judge, self.stack = layout, label, share, judge, stack
        self.files: dict[str, tuple[RowFile, RowFile]] = {}
        self.ledger = UsageLog(layout.judge(label), share, judge.usage)
        stack.callback(lambda: self.ledger.close(judge.usage))

    def write(self, results: Sequence[Judged]) -> None:
        by_arm: dict[str, list[Judged]] = {}
        for result in results:
            by_arm.setdefault(result[0].arm, []).append(result)
        for arm, judged in by_arm.items():
            rows, words = self._of(arm)
            # words first: a verdict that is in its file then always has them
            words.append(_row(t, {"words": v.raw}) for t, (_, v) in judged if v.raw is not None)
            rows.append(
                _row(t, {"id": i.id, "scores": dict(v.scores), "valid": v.valid, "reason": v.reason})
                for t, (i, v) in judged
            )
        self.ledger.add(len(results), self.judge.usage)

    def _of(self, arm: str) -> tuple[RowFile, RowFile]:
        if arm not in self.files:
            folder, name = self.layout.verdicts(self.label, arm), self.share.name
            self.files[arm] = (
                self.stack.enter_context(RowFile(folder / f"{name}.jsonl")),
                self.stack.enter_context(RowFile(folder / WORDS / f"{name}.jsonl")),
            )
        return self.files[arm]


def _row(task: JudgeTask, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"unit": task.key[0], "turn": task.key[1], **values}


def words_of(folder: Path, keys: set[Key]) -> Iterator[tuple[Key, Any]]:
    """What a judge said on these items; the files may be large, so that only lines of these items are read as JSON."""
    heads = {f'{{"unit": {u}, "turn": {t}, ': (u, t) for u, t in keys}
    for path in sorted((folder / WORDS).glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                at = line.find(", ", line.find('"turn": ')) + 2
                key = heads.get(line[:at])
                if key is not None and line.endswith("\n"):
                    yield key, json.loads(line)["words"]


__all__ = ["Judged", "JudgeTask", "VerdictFiles", "words_of"]
