"""Scores by a real model in batches: what is unreadable has none, and avg@K is a mean over what can be read."""

from pathlib import Path

import pytest

from agents.backends.base import Completion, ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from judges.base import OVERALL
from judges.llm import LLMJudge
from judges.local import LocalClient
from judges.reasoning.sandbox import sandbox_points
from judges.reasoning.scorer import TraceScorer, ask
from judges.reasoning.trace import Form, Trace, write_trace
from judges.rubrics.rrm import RRMRubric

BENCH = SandboxBenchmark("test", 1)
SAMPLES = [BENCH.sample(i) for i in range(2)]
PICTURES = [s.target for s in SAMPLES]
SCORE = RRMRubric(sandbox_points, "rrm_tiny", Form.SCORE)


class Scripted:
    """A backend that says given texts in turn; which model speaks is not what is tested here."""

    def __init__(self, texts: list[str]) -> None:
        self.texts, self.seen = iter(texts), []

    def generate(self, requests: list[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        self.seen += requests
        return [[Completion((), (), next(self.texts), "stop") for _ in range(n)] for _ in requests]


def said(score: float) -> str:
    return write_trace(Trace("", (), score), (), Form.SCORE)


def test_the_mean_is_over_readable_traces() -> None:
    backend = Scripted([said(4), "no", said(8), "no", "no", "no"])
    scorer = TraceScorer(backend, SCORE, 8, temperature=1.0, repeats=3)  # type: ignore[arg-type]
    assert scorer(SAMPLES, PICTURES) == [6.0, None]


def test_greedy_repeats_are_refused() -> None:
    with pytest.raises(BadInput, match="all the same"):
        TraceScorer(Scripted([]), SCORE, 8, repeats=2)(SAMPLES, PICTURES)  # type: ignore[arg-type]


def test_a_real_model_scores_in_any_batch_alike(tiny_vlm_path: Path) -> None:
    """Of a random model no trace can be read; the requests are the rubric's own, with both pictures."""
    scorer = TraceScorer(HFBackend(load_vlm(tiny_vlm_path)), SCORE, 4)
    assert scorer(SAMPLES, PICTURES) == [None, None] and scorer([], []) == []
    request, _ = ask(SCORE, SAMPLES[0], PICTURES[0])
    assert request.parts[0].tobytes() == SAMPLES[0].image.tobytes() and request.parts[1] is PICTURES[0]  # type: ignore[union-attr]


def test_the_same_rubric_judges_through_a_client(tiny_vlm_path: Path) -> None:
    """judge=rrm asks what training asks."""
    asked: list[ModelRequest] = []

    class Both(Scripted):
        def generate(self, requests, n, sampling):  # type: ignore[no-untyped-def]
            asked.extend(requests)
            return super().generate(requests, n, sampling)

    client = LocalClient(lambda: Both([said(7.5)]), "scripted", "scripted 1")  # type: ignore[arg-type, return-value]
    verdict = LLMJudge(client, SCORE).judge(SAMPLES[0].image, PICTURES[0], SAMPLES[0])
    client.close()
    assert verdict.valid and verdict.scores == {OVERALL: 7.5}
    own, _ = ask(SCORE, SAMPLES[0], PICTURES[0])
    assert asked[0].parts[2] == own.parts[2]
    assert [p.tobytes() for p in asked[0].parts[:2]] == [p.tobytes() for p in own.parts[:2]]  # type: ignore[union-attr]
