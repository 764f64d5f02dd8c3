"""A small benchmark, an arm and judges that say what they were shown: for tests of how an evaluation keeps its rows."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from benchmarks.item import Card, Item, Unit
from common.files import write_json
from experiments.evaluation.claims import claim
from experiments.evaluation.editing import blocks_of, edit, missing_turns
from experiments.evaluation.judging import Judging, open_tasks
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import claim_benchmark
from experiments.evaluation.load import load
from experiments.evaluation.makers import Made, Maker
from experiments.evaluation.shares import Share
from experiments.evaluation.sources import keep_sources
from experiments.evaluation.verdict_files import JudgeTask
from judges.base import Verdict
from judges.question import BudgetSpent, Usage

WHOLE = Share()
ARMS = ("editor", "agents")
CARD = Card("little", "Little", "here", "", "none", "test", "small", "all of it", "nothing to get")


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (value, value, value))


def value(picture: Image.Image) -> int:
    return int(picture.convert("L").getpixel((0, 0)))  # type: ignore[arg-type]


@dataclass
class Little:
    """`units` units of `turns` turns; the picture given in unit i is grey with the value i."""

    units: int
    turns: int = 1
    card: Card = CARD
    opened: int = 0  # pictures given that were opened

    def __len__(self) -> int:
        return self.units

    def unit(self, i: int) -> Unit:
        def source() -> Image.Image:
            self.opened += 1
            return grey(i % 200)

        session = f"s{i}" if self.turns > 1 else ""
        return tuple(
            Item(f"item-{i}-{k}", f"brighten {k}", (), f"kind{i % 2}", source=source, session=session, turn=k)
            for k in range(self.turns)
        )


@dataclass
class Brighter:
    """An arm that adds `by` to every pixel. It fails on the ids in `fails`, and stops everything before call `stop`."""

    by: int = 10
    fails: frozenset[str] = frozenset()
    stop: int | None = None
    calls: int = 0
    seen: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, items: Sequence[Item], variants: Sequence[int] = (), within: object = None) -> list[Made]:
        if self.calls == self.stop:
            raise KeyboardInterrupt
        self.calls += 1
        made = []
        for item in items:
            given = item.image
            assert given is not None
            self.seen.append((item.id, value(given)))
            failed = item.id in self.fails
            made.append(Made(None if failed else grey(value(given) + self.by), "refused" if failed else ""))
        return made


@dataclass
class Grader:
    """overall = a tenth of how much brighter the picture became. Safe in threads; counts what it does."""

    concurrency: int = 4
    invalid: frozenset[str] = frozenset()
    budget: int | None = None  # verdicts that it can pay for
    error: Exception | None = None  # raised from the verdict after `after` on
    after: int = 0
    delay_s: float = 0.0
    shuffle: random.Random | None = None
    meeting: threading.Barrier | None = None  # where its first calls wait for each other
    calls: int = 0
    at_once: int = 0
    most_at_once: int = 0
    ids: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def usage(self) -> Usage:
        return Usage(calls=self.calls, input_tokens=10 * self.calls, dollars=0.5 * self.calls)

    def judge(self, before: Image.Image, after: Image.Image, item: Item) -> Verdict:
        with self.lock:
            if self.budget is not None and self.calls >= self.budget:
                raise BudgetSpent("no money left")
            if self.error is not None and self.calls >= self.after:
                raise self.error
            self.calls += 1
            meets = self.meeting is not None and self.calls <= self.meeting.parties
            self.ids.append(item.id)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            pause = self.delay_s * (self.shuffle.random() if self.shuffle else 1)
        if meets and self.meeting is not None:
            self.meeting.wait(timeout=60)
        time.sleep(pause)
        with self.lock:
            self.at_once -= 1
        if item.id in self.invalid:
            return Verdict.invalid("content filter", "no")
        return Verdict({"overall": (value(after) - value(before)) / 10, "kept": 5.0}, raw={"said": f"about {item.id}"})


def edited(layout: Layout, arm: str, benchmark: Little, maker: Maker, share: Share = WHOLE, chunk: int = 3) -> None:
    missing = missing_turns(layout, arm, [benchmark.turns] * benchmark.units)
    edit(layout, benchmark, lambda: maker, blocks_of(arm, missing, benchmark.units, share, chunk), share)


def judged(
    layout: Layout, label: str, benchmark: Little, judge: Grader, arms: Sequence[str], share: Share = WHOLE
) -> bool:
    tasks: list[JudgeTask] = open_tasks(layout, label, arms, share, 3, False)
    return Judging(layout, label, benchmark, judge, share).run(tasks)


def set_up(
    out: Path, benchmark: Little, arms: Sequence[str] = ("editor",), judges: Mapping[str, float] | None = None
) -> Layout:
    """A folder whose benchmark, arms and judges (with their share of invalid verdicts) are claimed."""
    layout = Layout(out, "little")
    claim_benchmark(layout, benchmark, {"place": "little"})
    for arm in arms:
        claim(layout.edits(arm), {"arm": arm}, "pictures", "")
    for label, most in (judges or {"grader": 0.02}).items():
        folder = layout.judge(label)
        claim(folder, {"label": label, "name": label, "rubric": "paper"}, "verdicts", "")
        write_json(folder / "limits.json", {"max_invalid_share": most})
    return layout


def evaluated(out: Path, judges: tuple[str, ...] = ("grader",), budget: int | None = None, most: float = 0.2) -> Layout:
    """Six items; the editor adds 10, the team 20 and has no picture of item 2. With a budget some verdicts are missing."""
    benchmark = Little(6)
    layout = set_up(out, benchmark, ARMS, dict.fromkeys(judges, most))
    edited(layout, "editor", benchmark, Brighter(10))
    edited(layout, "agents", benchmark, Brighter(20, fails=frozenset({"item-2-0"})))
    for label in judges:
        judged(layout, label, benchmark, Grader(1, invalid=frozenset({"item-5-0"}), budget=budget), ARMS)
    keep_sources(benchmark, load(out), layout, 2)
    return layout
