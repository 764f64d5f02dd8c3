"""The second stage: every picture gets one verdict, whatever happens in between."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import Edit
from benchmarks.item import Item, Unit
from common.errors import BadInput
from experiments.evaluation.judging import Judging, open_tasks
from experiments.evaluation.layout import Layout
from experiments.evaluation.ledger import usage_of
from experiments.evaluation.rows import read_rows
from experiments.evaluation.shares import Share
from experiments.evaluation.verdict_files import words_of
from judges.base import Verdict
from tests.experiments.evaluation.little import Brighter, Grader, Little, edited, judged, set_up, value

ARMS = ("editor", "agents")


def ready(out: Path, benchmark: Little) -> Layout:
    layout = set_up(out, benchmark, ARMS)
    edited(layout, "editor", benchmark, Brighter(10))
    edited(layout, "agents", benchmark, Brighter(20, fails=frozenset({"item-2-0"})))
    return layout


def verdicts(layout: Layout, label: str = "grader") -> dict[tuple[str, int], object]:
    return {
        (arm, k[0]): (r["valid"], r["scores"], r["reason"])
        for arm in ARMS
        for k, r in read_rows(layout.verdicts(label, arm)).items()
    }


def lines(layout: Layout, label: str = "grader") -> int:
    return sum(f.read_text().count("\n") for a in ARMS for f in layout.verdicts(label, a).glob("*.jsonl"))


def test_every_picture_is_judged_once_against_what_was_given(tmp_path: Path) -> None:
    benchmark = Little(9)
    layout = ready(tmp_path, benchmark)
    judge = Grader(invalid=frozenset({"item-5-0"}))
    assert judged(layout, "grader", benchmark, judge, ARMS)
    result = verdicts(layout)
    assert len(result) == 9 + 8 and judge.calls == 17  # the edit that failed has no picture to judge
    assert result["editor", 0] == (True, {"overall": 1.0, "kept": 5.0}, "")
    assert result["agents", 8] == (True, {"overall": 2.0, "kept": 5.0}, "")
    assert result["editor", 5] == (False, {}, "content filter")
    assert judged(layout, "grader", benchmark, judge, ARMS) and judge.calls == 17  # nothing is asked twice
    words = dict(words_of(layout.verdicts("grader", "editor"), {(3, 0), (5, 0)}))
    assert words == {(3, 0): {"said": "about item-3-0"}, (5, 0): "no"}


def test_turns_are_judged_against_the_picture_that_the_turn_began_with(tmp_path: Path) -> None:
    benchmark = Little(2, turns=3)
    layout = set_up(tmp_path, benchmark)
    edited(layout, "editor", benchmark, Brighter(10))
    assert judged(layout, "grader", benchmark, Grader(), ["editor"])
    scores = [r["scores"]["overall"] for r in read_rows(layout.verdicts("grader", "editor")).values()]
    assert scores == [1.0] * 6


def test_a_judge_with_exact_answers_sees_the_session_from_its_start(tmp_path: Path) -> None:
    class Golden(Little):
        def unit(self, i: int) -> Unit:
            return tuple(replace(t, gold=(Edit("add", f"thing {t.turn}"),)) for t in super().unit(i))

    class Exact(Grader):
        def judge(self, before: Image.Image, after: Image.Image, item: Item) -> Verdict:
            return Verdict({"overall": float(len(item.gold)), "before": value(before), "after": value(after)})

    benchmark = Golden(2, turns=3)
    layout = set_up(tmp_path, benchmark)
    edited(layout, "editor", benchmark, Brighter(10))
    tasks = open_tasks(layout, "grader", ["editor"], Share(), 3, False)
    assert Judging(layout, "grader", benchmark, Exact(), Share(), from_start=True).run(tasks)
    scores = [r["scores"] for k, r in read_rows(layout.verdicts("grader", "editor")).items() if k[0] == 1]
    assert [(s["overall"], s["before"], s["after"]) for s in scores] == [(1, 1, 11), (2, 1, 21), (3, 1, 31)]


def test_a_spent_budget_keeps_what_was_judged_and_the_rest_follows(tmp_path: Path) -> None:
    benchmark = Little(12)
    layout = ready(tmp_path, benchmark)
    poor, rich = Grader(budget=7), Grader()
    assert not judged(layout, "grader", benchmark, poor, ARMS)
    assert lines(layout) == 7
    assert judged(layout, "grader", benchmark, rich, ARMS)
    assert rich.calls == 23 - 7 and lines(layout) == 23 == len(verdicts(layout))
    # 23 verdicts at half a dollar and ten tokens each, over both starts
    spent = usage_of(layout.judge("grader"))
    assert (spent["items"], spent["calls"], spent["dollars"], spent["input_tokens"]) == (23, 23, 11.5, 230)


def test_what_concerns_all_items_stops_everything_and_is_told(tmp_path: Path) -> None:
    benchmark = Little(12)
    layout = ready(tmp_path, benchmark)
    with pytest.raises(BadInput, match="key rejected"):
        judged(layout, "grader", benchmark, Grader(error=BadInput("key rejected"), after=5), ARMS)
    assert lines(layout) == 5
    assert judged(layout, "grader", benchmark, Grader(), ARMS) and lines(layout) == 23


@settings(max_examples=12, deadline=None)
@given(
    stops=st.lists(st.integers(0, 9), max_size=3),
    shards=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    threads=st.integers(1, 8),
)
def test_any_failures_and_any_shards_end_in_the_same_verdicts(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], shards: list[int], threads: int
) -> None:
    benchmark, bad = Little(10), frozenset({"item-1-0", "item-7-0"})
    once, often = (ready(tmp_path_factory.mktemp(n), benchmark) for n in ("once", "often"))
    judged(once, "grader", benchmark, Grader(1, invalid=bad), ARMS)
    for n, stop in zip(shards, [*stops, 10**6, 10**6, 10**6], strict=False):
        for i in range(n):
            judge = Grader(threads, bad, error=OSError("gone"), after=stop, delay_s=0.002, shuffle=random.Random(i))
            try:
                judged(often, "grader", benchmark, judge, ARMS, Share(i, n))
            except OSError:
                continue
    judged(often, "grader", benchmark, Grader(threads, bad), ARMS)
    assert verdicts(often) == verdicts(once) and lines(often) == lines(once) == 19


def test_no_more_pictures_are_open_than_calls_are_under_way(tmp_path: Path) -> None:
    benchmark = Little(60)
    layout = ready(tmp_path, benchmark)
    benchmark.opened = 0
    # the first five calls end together, so that a slow machine does not let one thread do the work of all
    judge = Grader(concurrency=5, delay_s=0.001, error=BadInput("enough"), after=20, meeting=threading.Barrier(5))
    with pytest.raises(BadInput):
        judged(layout, "grader", benchmark, judge, ARMS)
    assert judge.most_at_once == 5  # all threads work, and no picture is opened before a thread is free for it
    assert benchmark.opened <= 20 + 5


def test_a_given_picture_is_opened_once_for_all_arms(tmp_path: Path) -> None:
    benchmark = Little(30)
    layout = ready(tmp_path, benchmark)
    benchmark.opened = 0
    assert judged(layout, "grader", benchmark, Grader(concurrency=1), ARMS)
    assert benchmark.opened == 30  # of 59 verdicts


def test_a_second_judge_reads_the_same_pictures(tmp_path: Path) -> None:
    benchmark = Little(6)
    layout = ready(tmp_path, benchmark)
    judged(layout, "grader", benchmark, Grader(), ARMS)
    before = verdicts(layout)
    judged(layout, "other", benchmark, Grader(), ARMS)
    assert verdicts(layout) == before and len(verdicts(layout, "other")) == 11


def test_invalid_verdicts_are_asked_again_only_when_told_to(tmp_path: Path) -> None:
    benchmark = Little(6)
    layout = ready(tmp_path, benchmark)
    judged(layout, "grader", benchmark, Grader(invalid=frozenset({"item-3-0"})), ARMS)
    assert open_tasks(layout, "grader", ARMS, Share(), 3, False) == []
    assert [(t.arm, t.key) for t in open_tasks(layout, "grader", ARMS, Share(), 3, True)] == [
        ("editor", (3, 0)),
        ("agents", (3, 0)),
    ]


KILLED = """
import os, sys, threading, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.experiments.evaluation.little import Grader, Little, judged, set_up
from tests.experiments.evaluation.test_judging import lines
out, benchmark = Path({out!r}), Little(100)
layout = set_up(out, benchmark, ("editor", "agents"))

def stop():  # from within: on a busy machine another process may come too late
    while lines(layout) < 40:
        time.sleep(0.01)
    os.kill(os.getpid(), {sign})

threading.Thread(target=stop, daemon=True).start()
judged(layout, "grader", benchmark, Grader(8, frozenset({{"item-9-0"}}), delay_s=0.05), ("editor", "agents"))
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_evaluation_goes_on_where_it_was(tmp_path: Path, sign: signal.Signals) -> None:
    benchmark = Little(100)
    once, layout = ready(tmp_path / "once", benchmark), ready(tmp_path / "killed", benchmark)
    judged(once, "grader", benchmark, Grader(8, frozenset({"item-9-0"})), ARMS)
    root = str(Path(__file__).parents[3])
    code = KILLED.format(root=root, out=str(tmp_path / "killed"), sign=int(sign))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    _, told = process.communicate(timeout=600)
    kept = lines(layout)
    assert 40 <= kept < 199
    if sign != signal.SIGKILL:
        assert b"the same command goes on" in told
    judge = Grader(8, frozenset({"item-9-0"}))
    judged(layout, "grader", benchmark, judge, ARMS)
    assert lines(layout) == 199
    assert judge.calls == 199 - kept and verdicts(layout) == verdicts(once)
    for path in layout.verdicts("grader", "editor").glob("*.jsonl"):
        assert all(json.loads(line) for line in path.read_text().splitlines())
