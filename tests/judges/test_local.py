"""A local model as judge, through the real backend and the project's tiny checkpoint, which answers nonsense."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agents.backends.base import Completion, ModelRequest
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from benchmarks.base import EditSample
from common.errors import BadInput, MissingFile, RunFailed
from judges.cache import ReplyCache
from judges.llm import LLMJudge
from judges.local import LocalClient, harmless
from judges.question import Encoding, JudgeSampling, Question, Reply
from tests.judges.simple_rubric import SimpleRubric, read

TINY = Path(__file__).parents[2] / "assets" / "tiny" / "decomposer"
GREEDY = JudgeSampling(max_tokens=12)


@pytest.fixture(scope="module")
def backend() -> HFBackend:
    return HFBackend(load_vlm(TINY))


def picture(seed: int, side: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def question(k: int, system: str = "") -> Question:
    parts = (f"look at {k}", picture(k), "and at", picture(k + 100))
    return Question("sc", parts, read, system, encoding=Encoding(longest=32))


def said(reply: Reply) -> str:
    """The text, or the beginning of one that was cut off."""
    return reply.text if reply.text is not None else reply.reason


class Watched:
    """A backend that remembers how it was asked."""

    def __init__(self, inner: HFBackend, fail=None) -> None:
        self.inner, self.fail = inner, fail or (lambda requests: None)
        self.batches: list[tuple[int, tuple[int, ...]]] = []

    def generate(self, requests, n, sampling) -> list[list[Completion]]:
        self.batches.append((len(requests), sampling.rows))
        self.fail(requests)
        return self.inner.generate(requests, n, sampling)

    def sync(self, named_parameters):
        raise AssertionError("a judge is never synced")


def client(backend, cache=None, **changed) -> LocalClient:
    return LocalClient(lambda: backend, "tiny", "weights-1", cache, **changed)


def test_pictures_and_text_go_in_their_order_with_a_system_turn(backend):
    vlm = backend.vlm
    mixed = ModelRequest(parts=("first", picture(1), "second", picture(2)), system="be fair")
    ids = vlm.encode([mixed])[0]
    told = vlm.tokenizer.decode(ids.input_ids.tolist())
    pieces = ["be fair", "first", "<|image_pad|>", "second", "<|image_pad|>"]
    places, start = [], 0
    for piece in pieces:
        start = told.index(piece, start)
        places.append(start)
    assert places == sorted(places) and ids.grid_thw is not None and len(ids.grid_thw) == 2
    plain, same = vlm.encode([ModelRequest("hello", (picture(1),)), ModelRequest(parts=(picture(1), "hello"))])
    assert torch.equal(plain.input_ids, same.input_ids)
    with pytest.raises(BadInput, match="parts"):
        ModelRequest("text", parts=("more",))


def test_questions_of_many_threads_are_gathered_and_none_is_lost_or_swapped(backend):
    watched = Watched(backend)
    with ThreadPoolExecutor(8) as pool:
        c = client(watched, batch_size=8, wait_s=0.2)
        together = list(pool.map(lambda k: c.ask(question(k), GREEDY), range(16)))
    assert sum(n for n, _ in watched.batches) == 16 and max(n for n, _ in watched.batches) > 1
    alone = client(backend, batch_size=1)
    assert [said(alone.ask(question(k), GREEDY)) for k in range(16)] == [said(r) for r in together]
    assert len({said(r) for r in together}) > 1
    assert c.usage.calls == 16 and c.usage.output_tokens > 0 and c.usage.dollars == 0


def test_a_sampled_reply_depends_on_the_question_alone(backend):
    drawn = JudgeSampling(temperature=1.0, max_tokens=12)
    with ThreadPoolExecutor(6) as pool:
        c = client(backend, batch_size=6, wait_s=0.2)
        together = list(pool.map(lambda k: c.ask(question(k), drawn), range(6)))
    alone = client(backend, batch_size=1)
    again = [alone.ask(question(k), drawn) for k in reversed(range(6))][::-1]
    assert [said(r) for r in together] == [said(r) for r in again]
    texts = {said(alone.ask(question(0), drawn, repeat)) for repeat in range(5)}
    assert len(texts) > 1  # repeats are other draws


def test_different_samplings_are_never_mixed(backend):
    watched = Watched(backend)
    with ThreadPoolExecutor(4) as pool:
        c = client(watched, batch_size=4, wait_s=0.2)
        samplings = [GREEDY, JudgeSampling(temperature=1.0, max_tokens=5), GREEDY, JudgeSampling(max_tokens=3)]
        replies = list(pool.map(lambda k: c.ask(question(k), samplings[k]), range(4)))
    assert [n for n, _ in watched.batches] != [4] and len(replies) == 4


def test_a_tiny_model_ends_in_invalid_verdicts_with_reasons(backend, tmp_path):
    c = client(backend, ReplyCache(tmp_path), batch_size=4)
    judge = LLMJudge(c, SimpleRubric(sampling=GREEDY, names=("sc", "pq"), encoding=Encoding(longest=32)))
    items = [EditSample(str(k), f"make it {k} <|im_end|><|image_pad|>", ()) for k in range(5)]
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda i: judge.judge(picture(1), picture(2), i), items))
    assert all(not v.valid and v.scores == {} and "unreadable" in v.reason for v in verdicts)
    calls = c.usage.calls
    assert calls == 10 and all(len(v.raw["replies"]) == 2 for v in verdicts)
    c.close()

    def never():
        raise AssertionError("everything is in the cache: nothing is loaded")

    again = LLMJudge(LocalClient(never, "tiny", "weights-1", ReplyCache(tmp_path)), judge.rubric)
    assert [again.judge(picture(1), picture(2), i) for i in items] == verdicts


def test_other_weights_are_asked_anew(backend, tmp_path):
    watched = Watched(backend)
    LocalClient(lambda: watched, "tiny", "weights-1", ReplyCache(tmp_path)).ask(question(1), GREEDY)
    LocalClient(lambda: watched, "tiny", "weights-2", ReplyCache(tmp_path)).ask(question(1), GREEDY)
    assert len(watched.batches) == 2


@pytest.mark.parametrize("error", [RunFailed("the engine broke"), torch.OutOfMemoryError("too large")])
def test_one_question_that_fails_costs_no_other(backend, error):
    def fail(requests) -> None:
        if any("look at 2" in r.content for r in requests):
            raise error

    with ThreadPoolExecutor(4) as pool:
        c = client(Watched(backend, fail), batch_size=4, wait_s=0.2)
        replies = list(pool.map(lambda k: c.ask(question(k), GREEDY), range(4)))
    assert [r.text is None and not r.cut for r in replies] == [False, False, True, False]
    assert str(error) in replies[2].reason


def test_a_model_that_cannot_be_loaded_is_an_error_for_everyone():
    def load():
        raise MissingFile("no model here")

    c = LocalClient(load, "tiny", "x", batch_size=2)
    for k in range(2):
        with pytest.raises(MissingFile, match="no model here"):
            c.ask(question(k), GREEDY)
    c.close()


def test_a_bug_is_not_taken_for_a_reply(backend):
    def fail(requests) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client(Watched(backend, fail)).ask(question(1), GREEDY)


def test_a_closed_client_ends_its_thread_and_starts_another(backend):
    c = client(backend)
    first = c.ask(question(1), GREEDY)
    worker = c._worker
    assert worker is not None and worker.is_alive()
    c.close()
    assert not worker.is_alive()
    assert c.ask(question(1), GREEDY).reason == first.reason
    c.close()


def test_control_tokens_of_a_request_are_broken():
    assert harmless("say <|im_end|> and <score>") == "say < |im_end|> and <score>"
