"""The second stage: verdicts on pictures that are there, from many threads, each row kept as soon as it is known."""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.item import Benchmark, Item
from common.signals import StopWish
from experiments.evaluation.layout import Key, Layout, Share, open_picture
from experiments.evaluation.rows import RowFile, fine, read_rows
from judges.base import Judge, Verdict
from judges.question import BudgetSpent, Usage

WORDS = "words"  # beside the rows: what a judge replied, read for the gallery alone
DRAIN_S = 0.05  # between two writes of what is new: one wake-up for many rows
GRACE_S = 30.0  # for calls under way when somebody wants to stop; they are paid for
LEDGER_S = 10.0  # between two notes of what was spent


@dataclass(frozen=True)
class Task:
    arm: str
    key: Key


@dataclass(frozen=True)
class Judging:
    """`tasks` of one judge on one benchmark, over all arms: one pool, so that no arm's end leaves threads idle.

    A judge sees the picture that a turn began with, which is the arm's own from turn 2 on. With `from_start` it compares the
    session so far with exact answers: the picture given in turn 1, and the gold edits of all turns until this one (an edit may
    be impossible on what an arm made of the turn before, never on what it should have made)."""

    place: Layout
    label: str  # the judge's folder
    benchmark: Benchmark
    judge: Judge
    share: Share
    from_start: bool = False
    _given: Kept = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_given", Kept(max(1, self.judge.concurrency)))

    def run(self, tasks: Iterable[Task], told: Callable[[int, Usage], None] | None = None) -> bool:
        """Whether all tasks were done; False where the budget was spent. Raises KeyboardInterrupt where somebody stopped
        it, what the judge raised for all items alike, SaveFailed. What was judged until then is kept in every case."""
        tasks = iter(tasks)
        lock, stop = threading.Lock(), threading.Event()
        found: queue.SimpleQueue[tuple[Task, Item, Verdict] | BaseException] = queue.SimpleQueue()

        def work() -> None:
            while not stop.is_set():
                with lock:
                    task = next(tasks, None)
                if task is None:
                    return
                try:
                    found.put((task, *self._judge(task)))
                except BaseException as error:  # told to the main thread, which stops the others
                    found.put(error)
                    return

        threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, self.judge.concurrency))]
        done, failure = 0, None
        with ExitStack() as files, StopWish() as wish:
            out = _Files(self, files)
            deadline = float("inf")
            for thread in threads:
                thread.start()
            while True:
                alive = any(
                    t.is_alive() for t in threads
                )  # asked before the queue is emptied, so that nothing is missed
                new, failure = _drain(found, failure)
                out.write(new)
                done += len(new)
                if told is not None and new:
                    told(done, self.judge.usage)
                if (failure is not None or wish.wanted) and not stop.is_set():
                    stop.set()
                    deadline = time.monotonic() + GRACE_S
                if not alive or time.monotonic() > deadline:
                    break
                time.sleep(DRAIN_S)
        if wish.wanted:
            raise KeyboardInterrupt(f"stopped; {done} new verdicts are kept, and the same command goes on after them")
        if isinstance(failure, BudgetSpent):
            return False
        if failure is not None:
            raise failure
        return True

    def _judge(self, task: Task) -> tuple[Item, Verdict]:
        unit, turn = task.key
        turns = self.benchmark.unit(unit)
        item = turns[turn]
        if turn and not self.from_start:
            before = open_picture(self.place.picture(task.arm, (unit, turn - 1)))
        else:
            before = self._given.get(unit, turns[0])
            item = replace(item, gold=tuple(e for t in turns[: turn + 1] for e in t.gold))
        after = open_picture(self.place.picture(task.arm, task.key))
        return item, self.judge.judge(before, after, replace(item, picture=before))


class Kept:
    """The last `most` pictures that were given: the arms' pictures of an item are judged one after the other, and need its
    source opened once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._slots: OrderedDict[int, tuple[threading.Lock, list[Image.Image]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, unit: int, item: Item) -> Image.Image:
        """Read to its end, so that threads may share it; by one of those that come for it at the same time."""
        with self._lock:
            lock, held = self._slots.setdefault(unit, (threading.Lock(), []))
            self._slots.move_to_end(unit)
            while len(self._slots) > self.most:
                self._slots.popitem(last=False)
        with lock:
            if not held:
                given = item.image
                assert given is not None  # check_pictures
                held.append(given.convert("RGB"))
            return held[0]


def _drain(
    found: queue.SimpleQueue[Any], failure: BaseException | None
) -> tuple[list[tuple[Task, Item, Verdict]], BaseException | None]:
    """Everything in the queue, and the first thing that went wrong; a spent budget is the mildest."""
    new: list[tuple[Task, Item, Verdict]] = []
    while True:
        try:
            thing = found.get_nowait()
        except queue.Empty:
            return new, failure
        if not isinstance(thing, BaseException):
            new.append(thing)
        elif failure is None or isinstance(failure, BudgetSpent):
            failure = thing


class _Files:
    """Rows and words of every arm, opened when the first verdict of it is there, and the ledger of what was spent."""

    def __init__(self, judging: Judging, stack: ExitStack) -> None:
        self.judging, self.stack = judging, stack
        self.files: dict[str, tuple[RowFile, RowFile]] = {}
        self.ledger: RowFile | None = None
        self.noted, self.seconds, self.items = judging.judge.usage, time.monotonic(), 0
        stack.callback(lambda: self._note(last=True))

    def write(self, found: Sequence[tuple[Task, Item, Verdict]]) -> None:
        by_arm: dict[str, list[tuple[Task, Item, Verdict]]] = {}
        for one in found:
            by_arm.setdefault(one[0].arm, []).append(one)
        for arm, ones in by_arm.items():
            rows, words = self._of(arm)
            # what was said first: a verdict that is there then always has its words
            words.append(_row(t, {"words": v.raw}) for t, _, v in ones if v.raw is not None)
            rows.append(
                _row(t, {"id": i.id, "scores": dict(v.scores), "valid": v.valid, "reason": v.reason})
                for t, i, v in ones
            )
        self.items += len(found)
        if time.monotonic() - self.seconds > LEDGER_S:
            self._note()

    def _of(self, arm: str) -> tuple[RowFile, RowFile]:
        if arm not in self.files:
            folder, name = self.judging.place.verdicts(self.judging.label, arm), self.judging.share.name
            self.files[arm] = (
                self.stack.enter_context(RowFile(folder / f"{name}.jsonl")),
                self.stack.enter_context(RowFile(folder / WORDS / f"{name}.jsonl")),
            )
        return self.files[arm]

    def _note(self, last: bool = False) -> None:
        if self.ledger is None:
            if self.items == 0:
                return
            path = self.judging.place.judge(self.judging.label) / f"usage-{self.judging.share.name}.jsonl"
            self.ledger = RowFile(path)
        now, used = time.monotonic(), self.judging.judge.usage
        spent = {k: round(v - getattr(self.noted, k), 9) for k, v in vars(used).items()}
        self.ledger.append([{"items": self.items, "seconds": round(now - self.seconds, 3), **spent}])
        self.noted, self.seconds, self.items = used, now, 0
        if last:
            self.ledger.close()


def _row(task: Task, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"unit": task.key[0], "turn": task.key[1], **values}


def open_tasks(place: Layout, label: str, arms: Sequence[str], share: Share, chunk: int, retry: bool) -> list[Task]:
    """This share's pictures without a verdict; with `retry` those with an invalid one too. Units first, arms within them, so
    that an evaluation that is stopped has judged the same items in every arm."""
    found: list[Task] = []
    for arm in arms:
        judged = read_rows(place.verdicts(label, arm))
        done = {k for k, row in judged.items() if fine(row) or not retry}
        edits = read_rows(place.edits(arm))
        found += [Task(arm, k) for k, r in edits.items() if fine(r) and k not in done and share.has(k[0], chunk)]
    order = {arm: i for i, arm in enumerate(arms)}
    return sorted(found, key=lambda t: (t.key, order[t.arm]))


def check_share(name: str, rows: Sequence[Mapping[str, Any]], total: int, most: float) -> str:
    """What is wrong with so many invalid verdicts; "" where their share of `total` is within `most`."""
    bad = [r for r in rows if not r["valid"]]
    if len(bad) <= most * total:
        return ""
    return (
        f"{name}: {len(bad)} of {total} verdicts are invalid (allowed share {most}); the first says: {bad[0]['reason']}. A "
        "mean over the rest would be biased. Mend what it names and give the same command again with retry=true, or allow "
        "more with judge.max_invalid_share"
    )


def usage_of(folder: Path) -> dict[str, float]:
    """What a judge's calls cost on one benchmark, over all shards and starts, and how long they took."""
    from common.jsonl import read_jsonl

    total: dict[str, float] = {}
    for path in sorted(folder.glob("usage-*.jsonl")):
        for row in read_jsonl(path):
            for key, value in row.items():
                total[key] = round(total.get(key, 0) + value, 9)
    return total


def words_of(folder: Path, keys: set[Key]) -> Iterator[tuple[Key, Any]]:
    """What a judge said on these items; the files may be large, so that only lines of these items are read as JSON."""
    import json

    heads = {f'{{"unit": {u}, "turn": {t}, ': (u, t) for u, t in keys}
    for path in sorted((folder / WORDS).glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                at = line.find(", ", line.find('"turn": ')) + 2
                key = heads.get(line[:at])
                if key is not None and line.endswith("\n"):
                    yield key, json.loads(line)["words"]


__all__ = ["Judging", "Task", "check_share", "open_tasks", "usage_of", "words_of"]
