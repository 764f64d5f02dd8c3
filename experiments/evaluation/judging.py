"""Verdicts on pictures that are there, from many threads; each row is kept as soon as it is known."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from PIL import Image

from benchmarks.item import Benchmark, Item
from common.pictures import to_rgb
from common.work import run_tasks
from experiments.evaluation.layout import Key, Layout, picture_name
from experiments.evaluation.pictures import open_picture
from experiments.evaluation.rows import fine, read_rows
from experiments.evaluation.shares import Share
from experiments.evaluation.verdict_files import JudgeTask, VerdictFiles
from judges.base import Judge, Verdict
from judges.question import BudgetSpent, Usage


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
    _folders: dict[str, str] = field(default_factory=dict, init=False, repr=False)  # of the arms' pictures

    def __post_init__(self) -> None:
        object.__setattr__(self, "_given", LastPictures(max(1, self.judge.concurrency)))

    def run(self, tasks: Iterable[JudgeTask], on_progress: Callable[[int, Usage], object] | None = None) -> bool:
        """Returns whether all tasks were done; False where the budget was spent. Raises KeyboardInterrupt where somebody
        stopped it, what the judge raised for all items alike, SaveFailed. What was judged until then is kept in every case."""
        tell = None if on_progress is None else (lambda done: on_progress(done, self.judge.usage))
        with ExitStack() as stack:
            files = VerdictFiles(self.layout, self.label, self.share, self.judge, stack)
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

    def _judge(self, task: JudgeTask) -> tuple[Item, Verdict]:
        unit, turn = task.key
        if turn and not self.from_start:
            before = open_picture(self._picture(task.arm, (unit, turn - 1)))
            item = replace(self.benchmark.unit(unit)[turn], picture=before)
        else:
            item, before = self._given.get(unit, self.benchmark)
            if turn:
                turns = self.benchmark.unit(unit)
                item = replace(turns[turn], gold=tuple(e for t in turns[: turn + 1] for e in t.gold), picture=before)
        return item, self.judge.judge(before, open_picture(self._picture(task.arm, task.key)), item)

    def _picture(self, arm: str, key: Key) -> str:
        """`layout.picture`, whose folder is put together once for all pictures of an arm."""
        folder = self._folders.get(arm)
        if folder is None:
            folder = self._folders[arm] = str(self.layout.pictures(arm))
        return f"{folder}{os.sep}{picture_name(key)}"


class LastPictures:
    """The `size` given pictures that were used last: the arms' pictures of an item are judged one after the other, and its
    source is opened only once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._slots: OrderedDict[int, tuple[threading.Lock, list[tuple[Item, Image.Image]]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, unit: int, benchmark: Benchmark) -> tuple[Item, Image.Image]:
        """The first item of a unit with its picture, and that picture: RGB and fully decoded, so that threads may share it; one of
        the threads that ask at the same time opens it."""
        with self._lock:
            slot = self._slots.get(unit)
            if slot is None:
                slot = self._slots[unit] = (threading.Lock(), [])
            self._slots.move_to_end(unit)
            while len(self._slots) > self.size:
                self._slots.popitem(last=False)
        lock, held = slot
        with lock:
            if not held:
                item = benchmark.unit(unit)[0]
                given = item.image
                assert given is not None  # check_pictures
                given.load()
                given = to_rgb(given)
                held.append((replace(item, picture=given), given))
            return held[0]


def open_tasks(
    layout: Layout, label: str, arms: Sequence[str], share: Share, chunk: int, retry: bool
) -> list[JudgeTask]:
    """This share's pictures without a verdict; with `retry` those with an invalid one too. Units first, arms within them, so
    that an evaluation that is stopped has judged the same items in every arm."""
    tasks: list[JudgeTask] = []
    for arm in arms:
        judged = read_rows(layout.verdicts(label, arm))
        done = {k for k, row in judged.items() if fine(row) or not retry}
        edits = read_rows(layout.edits(arm))
        tasks += [JudgeTask(arm, k) for k, r in edits.items() if fine(r) and k not in done and share.has(k[0], chunk)]
    order = {arm: i for i, arm in enumerate(arms)}
    return sorted(tasks, key=lambda t: (t.key, order[t.arm]))


__all__ = ["Judging", "open_tasks"]
