"""vLLM as rollout engine, beside the trainer in one process or as a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain

import torch
from torch import Tensor

from agents.backends.base import Completion, ModelRequest, Sampling, SyncReport
from agents.backends.lora import AdapterShape, is_adapter
from agents.backends.token_scores import single_tokens
from agents.backends.vllm_graphs import captures_graphs
from agents.backends.vllm_lora import why_merged
from agents.backends.vllm_requests import SampledSequence
from agents.backends.vllm_settings import settings_of
from agents.backends.vllm_shared import Engine, SharedEngine, engine_of, expected
from agents.backends.vlm import VLM
from common.errors import BadInput, RunFailed

logger = logging.getLogger(__name__)


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
        graphs: str | bool = "auto",
        adapters: str = "auto",
    ) -> None:
        """`max_tokens` bound a prompt with its answer, `cache_gib` the memory for keys and values. `sleep`: the GPU's memory
        is the trainer's between rollouts. `separate`: in a process of its own, where one request may take `call_limit_s`.
        `graphs`: see agents/backends/vllm_graphs.py. `adapters`: whether those that the engine's owner trains may be synced alone
        (`alone`), never (`merged`) or where vLLM can (`auto`).
        Raises MissingFile where vLLM is not installed, RunFailed where it does not start, BadInput for settings that contradict
        each other or the model."""
        if max_sequences < 1 or max_tokens < 2 or not min(cache_gib, sync_limit_s, call_limit_s) > 0:
            raise BadInput(
                "max_sequences must be at least 1, max_tokens 2, and cache_gib and the limits positive, not "
                f"{max_sequences}, {max_tokens}, {cache_gib}, {sync_limit_s}, {call_limit_s}"
            )
        self.vlm = vlm
        layers = vlm.model.config.get_text_config().num_hidden_layers
        settings = settings_of(
            vlm,
            max_sequences=max_sequences,
            max_tokens=max_tokens,
            cache_gib=cache_gib,
            sleep=sleep,
            sync_limit_s=sync_limit_s,
            graphs=captures_graphs(graphs, layers, expected().decoding_steps, vlm.model.device.type),
            adapters=self._slot(adapters),
        )
        self.report: SyncReport | None = None  # of the last sync
        self.adapters: Mapping[str, Tensor] = {}  # of the last sync, in main memory
        self.adapters_report: SyncReport | None = None
        self.slot = settings.adapters  # the adapters that a sync may bring alone
        self._kept: dict[str, Tensor] | None = None  # weights that others have replaced in the engine
        self._trained = False  # synced with other weights than those `vlm` had at the start
        self._where = (settings, call_limit_s if separate else None)
        self._shared = engine_of(*self._where)
        self._sync(vlm.model.named_parameters())

    def _slot(self, adapters: str) -> AdapterShape | None:
        """What the engine's slot takes; None where there are no adapters, or they are merged."""
        shape = expected().adapters
        if adapters not in ("auto", "merged", "alone"):
            raise BadInput(f"rollouts.adapters={adapters} is unknown; choose auto, merged or alone")
        if shape is None or adapters == "merged":
            return None
        why = why_merged(self.vlm, shape)
        if why and adapters == "alone":
            raise BadInput(f"rollouts.adapters=alone cannot be: {why}; take auto or merged")
        if why:
            _say_once(f"adapters are merged into whole weights for vLLM at every sync: {why}")
        return None if why else shape

    @property
    def engine(self) -> Engine:
        return self._shared.engine

    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        """n completions of each request, [P][n], in order."""
        if n < 1:
            raise BadInput(f"n must be at least 1, not {n}")
        prompts = self.vlm.encode(requests)
        with self._take_turn().with_weights_of(self) as engine:
            answers = engine.generate(prompts, n, sampling)
        return [[self._completion(a) for a in row] for row in answers]

    def token_scores(self, requests: Sequence[ModelRequest], words: Sequence[str | int]) -> Tensor:
        """See `TokenScorer`; at most 20 words."""
        ids, prompts = single_tokens(self.vlm, words), self.vlm.encode(requests)
        with self._take_turn().with_weights_of(self) as engine:
            return torch.tensor(engine.token_scores(prompts, ids)).view(-1, len(ids))

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """See `VLLMEngine.sync`. The checksum is over what was read back from the engine (with -0 and subnormal numbers
        as 0). Adapters of `slot` may come alone."""
        stream = iter(named_parameters)
        first = [named for named in [next(stream, None)] if named is not None]
        if first and is_adapter(first[0][0]):
            return self._sync_adapters(chain(first, stream))
        self._trained = True
        return self._sync(chain(first, stream))

    def _sync_adapters(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        kept: dict[str, Tensor] = {}

        def noted() -> Iterator[tuple[str, Tensor]]:
            for name, value in named_parameters:
                kept[name] = value.detach().to("cpu", self.vlm.model.dtype, copy=True)
                yield name, value

        report = self._take_turn().sync_adapters(self, noted())
        self.adapters = kept
        return report

    def _sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        if self._shared.engine.closed:
            self._shared = engine_of(*self._where)
        report = self._shared.sync(self, named_parameters)
        self._kept = None
        self.adapters, self.adapters_report = {}, None
        return report

    def _take_turn(self) -> SharedEngine:
        """The engine, or a new one where it was closed. Raises RunFailed where the weights of a training ended with it."""
        if self._shared.engine.closed:
            if self._trained and self._kept is None:
                raise RunFailed("vLLM's engine was closed, and the weights of the last sync with it; sync them again")
            self._shared = engine_of(*self._where)
        return self._shared

    def weights(self) -> Iterable[tuple[str, Tensor]]:
        """The whole weights of the last sync."""
        return self.vlm.model.named_parameters() if self._kept is None else self._kept.items()

    def leave(self, engine: Engine) -> None:
        """Another backend takes the engine. Weights of a training change or are sharded, so that theirs are kept."""
        if self._trained and self._kept is None:
            self._kept = engine.weights()

    def _completion(self, answer: SampledSequence) -> Completion:
        ids = answer.token_ids
        shown = ids[:-1] if answer.finish_reason == "stop" else ids
        text = self.vlm.tokenizer.decode(list(shown), skip_special_tokens=False)
        return Completion(ids, answer.logprobs, text, answer.finish_reason)


@cache
def _say_once(text: str) -> None:
    logger.warning(text)


__all__ = ["VLLMBackend"]
