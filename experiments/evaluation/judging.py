"""Verdicts on pictures that are there, from many threads; each row is kept as soon as it is known."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.item import Benchmark, Item
from common.work import run_tasks
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.ledger import Ledger
from experiments.evaluation.pictures import open_picture
from experiments.evaluation.rows import RowFile, fine, read_rows
from experiments.evaluation.shares import Share
from judges.base import Judge, Verdict
from judges.question import BudgetSpent, Usage

WORDS = "words"  # beside the rows: what a judge replied, read for the gallery alone


@dataclass(frozen=True)
class Task:
    arm: str
    key: Key


Judged = tuple[Task, tuple[Item, Verdict]]


@dataclass(frozen=True)
class Judging:
    """The tasks of one judge on one benchmark, over all arms: one pool, so that no arm's end leaves threads idle.

    A judge sees the picture that a turn began with, which is the arm's own from turn 2 on. With `from_start` it compares the
    session so far with exact answers: the picture given in turn 1, and the gold edits of all turns until this one (an edit may
    be impossible on what an arm made of the turn before, never on what it should have made).
    """

    layout: Layout
    label: str  # the judge's folder
    benchmark: Benchmark
    judge: Judge
    share: Share
    from_start: bool = False
    _given: LastPictures = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_given", LastPictures(max(1, self.judge.concurrency)))

    def run(self, tasks: Iterable[Task], on_progress: Callable[[int, Usage], object] | None = None) -> bool:
        """Returns whether all tasks were done; False where the budget was spent. Raises KeyboardInterrupt where somebody
        stopped it, what the judge raised for all items alike, SaveFailed. What was judged until then is kept in every case."""
        tell = None if on_progress is None else (lambda done: on_progress(done, self.judge.usage))
        with ExitStack() as stack:
            files = _VerdictFiles(self, stack)
            spent = run_tasks(
                tasks,
                self._judge,
                files.write,
                threads=max(1, self.judge.concurrency),
                mild=BudgetSpent,
                noun="verdicts",
                on_progress=tell,
            )
        return spent is None

    def _judge(self, task: Task) -> tuple[Item, Verdict]:
        unit, turn = task.key
        turns = self.benchmark.unit(unit)
        item = turns[turn]
        if turn and not self.from_start:
            before = open_picture(self.layout.picture(task.arm, (unit, turn - 1)))
        else:
            before = self._given.get(unit, turns[0])
            item = replace(item, gold=tuple(e for t in turns[: turn + 1] for e in t.gold))
        after = open_picture(self.layout.picture(task.arm, task.key))
        return item, self.judge.judge(before, after, replace(item, picture=before))


class LastPictures:
    """The `size` given pictures that were used last: the arms' pictures of an item are judged one after the other, and its
    source is opened only once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._slots: OrderedDict[int, tuple[threading.Lock, list[Image.Image]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, unit: int, item: Item) -> Image.Image:
        """RGB and fully decoded, so that threads may share it; one of the threads that ask at the same time opens it."""
        with self._lock:
            lock, held = self._slots.setdefault(unit, (threading.Lock(), []))
            self._slots.move_to_end(unit)
            while len(self._slots) > self.size:
                self._slots.popitem(last=False)
        with lock:
            if not held:
                given = item.image
                assert given is not None  # check_pictures
                held.append(given.convert("RGB"))
            return held[0]


class _VerdictFiles:
    """Rows and words of every arm, opened when its first verdict is there, and the ledger of what was spent."""

    def __init__(self, judging: Judging, stack: ExitStack) -> None:
        self.judging, self.stack = judging, stack
        self.files: dict[str, tuple[RowFile, RowFile]] = {}
        judge = judging.judge
        self.ledger = Ledger(judging.layout.judge(judging.label), judging.share, judge.usage)
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
        self.ledger.add(len(results), self.judging.judge.usage)

    def _of(self, arm: str) -> tuple[RowFile, RowFile]:
        if arm not in self.files:
            folder, name = self.judging.layout.verdicts(self.judging.label, arm), self.judging.share.name
            self.files[arm] = (
                self.stack.enter_context(RowFile(folder / f"{name}.jsonl")),
                self.stack.enter_context(RowFile(folder / WORDS / f"{name}.jsonl")),
            )
        return self.files[arm]


def _row(task: Task, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"unit": task.key[0], "turn": task.key[1], **values}


def open_tasks(layout: Layout, label: str, arms: Sequence[str], share: Share, chunk: int, retry: bool) -> list[Task]:
    """This share's pictures without a verdict; with `retry` those with an invalid one too. Units first, arms within them, so
    that an evaluation that is stopped has judged the same items in every arm."""
    tasks: list[Task] = []
    for arm in arms:
        judged = read_rows(layout.verdicts(label, arm))
        done = {k for k, row in judged.items() if fine(row) or not retry}
        edits = read_rows(layout.edits(arm))
        tasks += [Task(arm, k) for k, r in edits.items() if fine(r) and k not in done and share.has(k[0], chunk)]
    order = {arm: i for i, arm in enumerate(arms)}
    return sorted(tasks, key=lambda t: (t.key, order[t.arm]))


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


__all__ = ["Judging", "Task", "open_tasks", "words_of"]
