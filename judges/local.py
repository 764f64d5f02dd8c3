"""A client of a vision-language model in this process: questions of many threads are answered in batches."""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass, field, replace
from queue import Empty, Queue
from typing import Any

import torch
from PIL import Image

from agents.backends import base as backends
from agents.backends.token_scores import TokenScorer
from common.errors import BadInput, ImageEditError
from judges.cache import ReplyCache
from judges.choices import write_choices
from judges.client import CachingClient, cut_reply
from judges.encoding import prepare
from judges.question import JudgeSampling, Question, Reply, Usage
from judges.reasoning.expected import with_expected

ROWS = 256  # of a backend's draws; a question's row depends on its text, never on who else is in the batch
VERSION = 1  # raised when the same question comes to be shown otherwise


@dataclass(frozen=True)
class _Job:
    request: backends.ModelRequest
    how: backends.Sampling | tuple[str, ...]  # generated so, or the probabilities of these words
    row: int
    expects_score: bool = False  # the text gets the score that the model expects
    completion: Future[backends.Completion | str] = field(default_factory=Future)  # or why there is none

    @property
    def kind(self) -> tuple[backends.Sampling | tuple[str, ...], bool]:
        return self.how, self.expects_score


class LocalClient(CachingClient):
    """`judges.question.Client` over a rollout backend, which is loaded when the first question is not in the cache.

    A batch is asked as soon as it has `batch_size` questions, or `wait_s` after its first one. Greedy at temperature 0; what
    a sampling leaves open is the model's whole distribution at temperature 1. Pictures are resized as the question says;
    how they would be compressed is a matter of sending them. `identity` names the weights (a digest of the checkpoint's folder).
    """

    def __init__(
        self,
        load: Callable[[], backends.Backend],
        model: str,
        identity: str,
        cache: ReplyCache | None = None,
        batch_size: int = 16,
        wait_s: float = 0.02,
    ) -> None:
        super().__init__(cache)
        if batch_size < 1 or not wait_s >= 0:
            raise BadInput(f"batch_size must be at least 1 and wait_s not negative, not {batch_size} and {wait_s}")
        self.model, self.concurrency = model, batch_size
        self._load, self._wait_s = load, wait_s
        self._backend: backends.Backend | None = None
        self._known_words: set[tuple[str, ...]] = set()
        self._identity = f"local {VERSION} {identity} ".encode()
        self._jobs: Queue[_Job | None] = Queue()
        self._worker: threading.Thread | None = None

    def close(self) -> None:
        """End the thread that asks the model; the next question starts another one."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            self._jobs.put(None)
            worker.join()

    def _settings(self, question: Question, sampling: JudgeSampling, repeat: int) -> bytes:
        how = "first token" if question.choices else repr(astuple(sampling))  # probabilities are not drawn
        how += " expected score" * question.expects_score
        return self._identity + how.encode()

    def _call(self, question: Question, sampling: JudgeSampling, repeat: int) -> tuple[Reply, dict[str, Any]]:
        parts = tuple(
            prepare(part, question.encoding) if isinstance(part, Image.Image) else harmless(part)
            for part in question.parts
        )
        text = "\0".join(part for part in parts if isinstance(part, str))
        job = _Job(
            backends.ModelRequest(parts=parts, system=harmless(question.system)),
            question.choices
            or backends.Sampling(
                sampling.max_tokens,
                1.0 if sampling.temperature is None else sampling.temperature,
                1.0 if sampling.top_p is None else sampling.top_p,
                -1 if sampling.top_k is None else sampling.top_k,
                (sampling.seed or 0) + repeat,
            ),
            zlib.crc32(text.encode("utf-8", "surrogatepass")) % ROWS,
            question.expects_score,
        )
        with self._lock:
            if self._worker is None:
                self._worker = threading.Thread(target=self._serve, name="local judge", daemon=True)
                self._worker.start()
        self._jobs.put(job)
        completion = job.completion.result()
        if isinstance(completion, str):
            return Reply(None, completion, usage=Usage(calls=1)), {}
        usage = Usage(calls=1, output_tokens=len(completion.token_ids))
        if completion.finish_reason == "length":
            return cut_reply(completion.text, sampling.max_tokens, usage)
        return Reply(completion.text, usage=usage), {}

    def _serve(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, ended = self._gather(first)
            for how in dict.fromkeys(job.kind for job in batch):  # one call of a backend has one sampling
                self._answer([job for job in batch if job.kind == how])
            if ended:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """Whole batch, and whether the thread is to end after it."""
        batch, deadline = [first], time.monotonic() + self._wait_s
        while len(batch) < self.concurrency:
            try:
                job = self._jobs.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _answer(self, batch: Sequence[_Job]) -> None:
        """Every job gets a completion, a reason or an error. Where a batch fails, its questions are asked one by one, so
        that one picture too large for the memory costs its own question alone."""
        try:
            backend = self._ready(batch[0].how)
        except BaseException as error:
            for job in batch:
                job.completion.set_exception(error)
            return
        try:
            replies = _ask(backend, batch)
        except (ImageEditError, torch.OutOfMemoryError) as error:
            if len(batch) > 1:
                for job in batch:
                    self._answer([job])
            else:
                batch[0].completion.set_result(f"the model could not answer ({type(error).__name__}: {error})")
            return
        except BaseException as error:
            for job in batch:
                job.completion.set_exception(error)
            return
        for job, completion in zip(batch, replies, strict=True):
            job.completion.set_result(completion)

    def _ready(self, how: backends.Sampling | tuple[str, ...]) -> backends.Backend:
        """The backend, loaded where it is not. Raises BadInput where it cannot answer any question of this kind."""
        if self._backend is None:
            self._backend = self._load()
        if isinstance(how, tuple) and how not in self._known_words:
            _scorer(self._backend).token_scores([], how)  # asks nothing, but refuses words that are no token
            self._known_words.add(how)
        return self._backend


def _ask(backend: backends.Backend, batch: Sequence[_Job]) -> list[backends.Completion]:
    requests, how = [job.request for job in batch], batch[0].how
    if isinstance(how, tuple):
        rows = _scorer(backend).token_scores(requests, how).tolist()
        return [backends.Completion((), (), write_choices(how, row), "stop") for row in rows]
    sampling = backends.Sampling(**vars(how) | {"rows": tuple(job.row for job in batch)})
    completions = [completion for (completion,) in backend.generate(requests, 1, sampling)]
    if batch[0].expects_score:
        texts = with_expected(backend, requests, completions)
        completions = [replace(c, text=text) for c, text in zip(completions, texts, strict=True)]
    return completions


def _scorer(backend: backends.Backend) -> TokenScorer:
    if not isinstance(backend, TokenScorer):
        raise BadInput(
            f"{type(backend).__name__} cannot tell the probabilities of given words; those that are here can (hf, vllm), or take "
            "the number that the model says: judge.scoring=generated"
        )
    return backend


def harmless(text: str) -> str:
    """`text` in which nothing is a control token of the model: a request may say "<|im_end|>"."""
    return re.sub(r"<(?=\|)", "< ", text)


__all__ = ["LocalClient", "harmless"]
