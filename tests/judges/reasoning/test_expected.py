"""The score that a model expects, beside the one that it says, worked out from plain forward passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.backends.base import Completion, ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, collate, load_vlm
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from judges.base import OVERALL
from judges.choices import LOGITS
from judges.llm import LLMJudge
from judges.local import LocalClient
from judges.question import Unreadable
from judges.reasoning.expected import expected_scores, read_expected, with_expected
from judges.reasoning.sandbox import sandbox_points
from judges.reasoning.scorer import TraceScorer
from judges.reasoning.trace import Form
from judges.rubrics.rrm import RRMRubric
from tests.agents.test_hf_backend import requests

SAMPLE = SandboxBenchmark("test", 1).sample(0)


def said(vlm: VLM, text: str) -> Completion:
    """An answer with this text."""
    ids = (*vlm.tokenizer(text, add_special_tokens=False)["input_ids"], vlm.eos_id)
    return Completion(ids, (0.0,) * len(ids), text, "stop")


def next_p(vlm: VLM, request: ModelRequest, answer: list[int]) -> torch.Tensor:
    """Probabilities [V] of the token after this much of the answer, by one plain forward pass."""
    (prompt,) = vlm.encode([request])
    whole = replace(prompt, input_ids=torch.cat([prompt.input_ids, torch.tensor(answer)]))
    with torch.no_grad():
        logits_V = vlm.model(**collate(vlm, [whole])).logits[0, -1].double()
    logits_V[list(vlm.banned_ids)] = -torch.inf
    return logits_V.softmax(-1)


@pytest.mark.parametrize(("text", "behind"), [("<score> 6.5 </score>", 0.5), ("<score> 3 </score>", 0.0)])
def test_it_is_the_mean_over_the_digits_and_ten(tiny_vlm_path: Path, text: str, behind: float) -> None:
    vlm, plain = load_vlm(tiny_vlm_path), load_vlm(tiny_vlm_path)
    request, trace = requests(1)[0], said(vlm, text)
    (got,) = expected_scores(HFBackend(vlm), [request], [trace])

    def ids(text: str) -> list[int]:
        return list(vlm.tokenizer(text, add_special_tokens=False)["input_ids"])

    one, zero = ids("10")
    digits = [ids(str(k))[0] for k in range(10)]
    start = list(trace.token_ids[: list(trace.token_ids).index(ids("6" if behind else "3")[0])])
    p_V = next_p(plain, request, start)
    p_10 = p_V[digits] / p_V[digits].sum()
    ten = float(next_p(plain, request, [*start, one])[zero])
    by_hand = sum(k * float(p) for k, p in enumerate(p_10)) + 9 * ten * float(p_10[1]) + behind
    assert got == pytest.approx(min(10.0, by_hand), abs=1e-4)


def test_an_answer_that_has_begun_goes_on_as_it_would_have(tiny_vlm: VLM) -> None:
    backend, (request,) = HFBackend(tiny_vlm), requests(1)
    ((whole,),) = backend.generate([request], 1, Sampling(12, temperature=0.0))
    for begun in (1, 5):
        ((rest,),) = backend.generate(
            [replace(request, answer=whole.token_ids[:begun])], 1, Sampling(12 - begun, temperature=0.0)
        )
        assert rest.token_ids == whole.token_ids[begun:]
        assert rest.logprobs == pytest.approx(whole.logprobs[begun:], abs=1e-4)


def test_batches_change_nothing_and_a_trace_without_score_stays_as_it_is(tiny_vlm: VLM) -> None:
    asked = requests(3)
    traces = [
        said(tiny_vlm, text) for text in ("<think>a</think><score> 2 </score>", "no score", "<score> 10 </score>")
    ]
    together = with_expected(HFBackend(tiny_vlm), asked, traces)
    alone = [with_expected(HFBackend(tiny_vlm), [r], [t])[0] for r, t in zip(asked, traces, strict=True)]
    assert together[1] == alone[1] == "no score"
    for k in (0, 2):
        (trace, score), (_, own) = read_expected(together[k]), read_expected(alone[k])
        assert trace == traces[k].text and score == pytest.approx(own, abs=1e-4) and 0 <= score <= 10
    with pytest.raises(Unreadable, match="says no score"):
        read_expected(together[1])
    assert with_expected(HFBackend(tiny_vlm), [], []) == []


class Saying(HFBackend):
    """A real model whose generated text is given; the probabilities are its own."""

    def generate(self, requests, n, sampling):  # type: ignore[no-untyped-def]
        return [[said(self.vlm, "<score> 7 </score>")] * n for _ in requests]


def test_training_and_judge_get_the_same_score(tiny_vlm: VLM) -> None:
    rubric = RRMRubric(sandbox_points, "rrm_tiny", Form.SCORE, scoring=LOGITS)
    (score,) = TraceScorer(Saying(tiny_vlm), rubric, 8)([SAMPLE], [SAMPLE.target])
    client = LocalClient(lambda: Saying(tiny_vlm), "tiny", "tiny 1")
    verdict = LLMJudge(client, rubric).judge(SAMPLE.image, SAMPLE.target, SAMPLE)
    client.close()
    assert TraceScorer(Saying(tiny_vlm), rubric, 8).both([SAMPLE], [SAMPLE.target]) == [(score, 7.0)]
    assert score is not None and score != 7 and verdict.scores[OVERALL] == pytest.approx(score, abs=1e-4)


def test_what_cannot_tell_probabilities_is_refused_by_name(tiny_vlm: VLM) -> None:
    class Texts:
        def generate(self, requests, n, sampling):  # type: ignore[no-untyped-def]
            return [[said(tiny_vlm, "<score> 7 </score>")] * n for _ in requests]

    rubric = RRMRubric(sandbox_points, "rrm_tiny", Form.SCORE, scoring=LOGITS)
    with pytest.raises(BadInput, match="Texts cannot tell the probabilities of digits"):
        TraceScorer(Texts(), rubric, 8)([SAMPLE], [SAMPLE.target])  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="scoring=best is unknown"):
        RRMRubric(sandbox_points, "rrm_tiny", Form.SCORE, scoring="best")
