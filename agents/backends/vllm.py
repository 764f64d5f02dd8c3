"""vLLM as rollout engine, beside the trainer in one process or as a process of its own."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from agents.backends.base import Completion, ModelRequest, Sampling, SyncReport
from agents.backends.remote import RemoteEngine
from agents.backends.token_scores import single_tokens
from agents.backends.vllm_engine import VLLMEngine
from agents.backends.vllm_requests import SampledSequence
from agents.backends.vllm_settings import settings_of
from agents.backends.vllm_shared import SharedEngine, shared_engine
from agents.backends.vlm import VLM
from common.errors import BadInput

_idle: dict[tuple[str, float], list[RemoteEngine]] = {}  # processes whose backend is gone: a start takes seconds


class VLLMBackend:
    """`Backend` over vLLM. It starts with the weights that `vlm` has at that moment, and after that only a sync changes them.

    Determinism: each sample has a generator of its own, seeded by (seed, request index, sample index), and no cache outlives
    a call, so equal weights and arguments give equal answers, in a resumed run too; the process's random state is neither
    read nor changed. The draws are not those of `HFBackend`. The last bits of a log-probability may depend on what else
    is in the batch, and with them a token where two are almost equally likely; `HFBackend` promises that they do not.
    """

    def __init__(
        self,
        vlm: VLM,
        max_sequences: int = 128,
        max_tokens: int = 4096,
        cache_gib: float = 0.25,
        sleep: bool = False,
        separate: bool = False,
        sync_limit_s: float = 300.0,
        call_limit_s: float = 1800.0,
    ) -> None:
        """`max_tokens` bound a prompt with its answer, `cache_gib` the memory for keys and values. `sleep`: the GPU's memory
        is the trainer's between rollouts. `separate`: in a process of its own, where one request may take `call_limit_s`.
        Raises MissingFile where vLLM is not installed, RunFailed where it does not start."""
        if max_sequences < 1 or max_tokens < 2 or not min(cache_gib, sync_limit_s, call_limit_s) > 0:
            raise BadInput(
                "max_sequences must be at least 1, max_tokens 2, and cache_gib and the limits positive, not "
                f"{max_sequences}, {max_tokens}, {cache_gib}, {sync_limit_s}, {call_limit_s}"
            )
        self.vlm = vlm
        settings = settings_of(
            vlm,
            max_sequences=max_sequences,
            max_tokens=max_tokens,
            cache_gib=cache_gib,
            sleep=sleep,
            sync_limit_s=sync_limit_s,
        )
        self.report: SyncReport | None = None  # of the last sync
        self._kept: dict[str, Tensor] | None = None  # weights that others have replaced in the engine
        self._trained = False  # synced with other weights than those `vlm` had at the start
        self._shared: SharedEngine | None = None
        self.engine: VLLMEngine | RemoteEngine
        if separate:
            idle = _idle.setdefault((settings.signature, call_limit_s), [])
            idle[:] = [engine for engine in idle if engine.usable]
            self.engine = idle.pop() if idle else RemoteEngine(settings, call_limit_s)
            weakref.finalize(self, idle.append, self.engine).atexit = False
        else:
            self._shared = shared_engine(settings)
            self.engine = self._shared.engine
        self._sync(vlm.model.named_parameters())

    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        """n completions of each request, [P][n], in order."""
        if n < 1:
            raise BadInput(f"n must be at least 1, not {n}")
        prompts = self.vlm.encode(requests)
        if self._shared is None:
            answers = self.engine.generate(prompts, n, sampling)
        else:
            with self._shared.with_weights_of(self) as engine:
                answers = engine.generate(prompts, n, sampling)
        return [[self._completion(a) for a in row] for row in answers]

    def token_scores(self, requests: Sequence[ModelRequest], words: Sequence[str | int]) -> Tensor:
        """See `TokenScorer`; at most 20 words."""
        ids, prompts = single_tokens(self.vlm, words), self.vlm.encode(requests)
        if self._shared is None:
            return torch.tensor(self.engine.token_scores(prompts, ids)).view(-1, len(ids))
        with self._shared.with_weights_of(self) as engine:
            return torch.tensor(engine.token_scores(prompts, ids)).view(-1, len(ids))

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """See `VLLMEngine.sync`. The checksum is over what was read back from the engine (with -0 and subnormal numbers
        as 0)."""
        self._trained = True
        return self._sync(named_parameters)

    def _sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        if self._shared is None:
            return self.engine.sync(named_parameters)
        report = self._shared.sync(self, named_parameters)
        self._kept = None
        return report

    def weights(self) -> Iterable[tuple[str, Tensor]]:
        """The weights of the last sync."""
        return self.vlm.model.named_parameters() if self._kept is None else self._kept.items()

    def leave(self, engine: VLLMEngine) -> None:
        """Another backend takes the engine. Weights of a training change or are sharded, so that theirs are kept."""
        if self._trained and self._kept is None:
            self._kept = engine.weights()

    def _completion(self, answer: SampledSequence) -> Completion:
        ids = answer.token_ids
        shown = ids[:-1] if answer.finish_reason == "stop" else ids
        text = self.vlm.tokenizer.decode(list(shown), skip_special_tokens=False)
        return Completion(ids, answer.logprobs, text, answer.finish_reason)


__all__ = ["VLLMBackend"]
