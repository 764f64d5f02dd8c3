"""A judge that remembers says what the judge itself says, and asks it once."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from benchmarks.base import Edit
from benchmarks.sandbox.generate import SandboxBenchmark
from judges.base import Verdict, judge_all
from judges.remembering import RememberingJudge
from judges.sandbox import SandboxJudge

BENCH = SandboxBenchmark("test", 4)
SAMPLES = [BENCH.sample(i) for i in range(3)]


class Counting(SandboxJudge):
    calls = 0

    def judge(self, before: Image.Image, after: Image.Image, wanted: Sequence[Edit]) -> Verdict:  # type: ignore[override]
        self.calls += 1
        return super().judge(before, after, wanted)


def test_verdicts_are_the_same_and_each_edit_is_judged_once() -> None:
    counting = Counting()
    judge, plain = RememberingJudge(counting), SandboxJudge()
    for pictures in ([s.target for s in SAMPLES], [s.image for s in SAMPLES]):
        first = judge_all(judge, SAMPLES, pictures)
        again = judge_all(judge, SAMPLES, [p.copy() for p in pictures])  # by content, not by object
        assert first == again == judge_all(plain, SAMPLES, pictures)
    assert counting.calls == 2 * len(SAMPLES)


def test_other_wanted_edits_are_another_question() -> None:
    counting = Counting()
    judge, sample = RememberingJudge(counting), SAMPLES[0]
    judge.judge(sample.image, sample.target, sample.gold)
    judge.judge(sample.image, sample.target, SAMPLES[1].gold)
    assert counting.calls == 2


def test_only_the_last_verdicts_are_kept() -> None:
    counting = Counting()
    judge = RememberingJudge(counting, most=2)
    for sample in [*SAMPLES, SAMPLES[0], SAMPLES[2]]:
        judge.judge(sample.image, sample.target, sample)
    assert counting.calls == 4  # the first had been forgotten, the third had not
