"""Any judge, many pictures: verdicts come in the order of the samples, whatever the number of threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest
from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.base import Verdict, judge_all
from judges.question import Usage


@dataclass
class SlowFirst:
    """The earlier the sample, the later its verdict."""

    concurrency: int
    usage: Usage = Usage()
    threads: set[int] = field(default_factory=set)

    def judge(self, before: Image.Image, after: Image.Image, sample: EditSample) -> Verdict:
        self.threads.add(threading.get_ident())
        time.sleep(0.01 * (5 - int(sample.id)))
        assert before.mode == "RGB"
        return Verdict({"overall": float(sample.id)}, reason=f"{after.size}")


@pytest.mark.parametrize("concurrency", [0, 1, 4])
def test_verdicts_keep_the_order_of_the_samples(concurrency: int) -> None:
    samples = [EditSample(str(k), "r", (), picture=Image.new("L", (2, 2))) for k in range(5)]
    judge = SlowFirst(concurrency)
    verdicts = judge_all(judge, samples, [Image.new("RGB", (k + 1, 1)) for k in range(5)])
    assert [v.scores["overall"] for v in verdicts] == [0, 1, 2, 3, 4]
    assert [v.reason for v in verdicts] == [f"({k + 1}, 1)" for k in range(5)]
    assert len(judge.threads) <= max(1, concurrency) and (concurrency < 2) == (threading.get_ident() in judge.threads)
    assert judge_all(judge, [], []) == []


@pytest.mark.parametrize("concurrency", [1, 3])
def test_what_cannot_be_judged_is_said(concurrency: int) -> None:
    with pytest.raises(BadInput, match="'7' has no picture"):
        judge_all(SlowFirst(concurrency), [EditSample("7", "r", ())], [Image.new("RGB", (1, 1))])
    with pytest.raises(BadInput, match="1 samples and 0 pictures"):
        judge_all(SlowFirst(concurrency), [EditSample("7", "r", ())], [])
