"""vLLM in this process: token ids and pixels in, token ids and log-probabilities out, weights from the trainer.

The engine gets what the trainer's own encoder made (`EncodedPrompt`), so nothing is tokenised, resized or normalised a second
time by other code. It starts with random weights; nothing may be generated before the first sync.
"""

from __future__ import annotations

import atexit
import gc
import logging
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from agents.backends.base import Sampling, SyncReport, fingerprint
from agents.backends.deadline import Progress, within
from agents.backends.lora import is_adapter, pairs
from agents.backends.vllm_errors import generation_error, one_line
from agents.backends.vllm_lora import AdapterSlot
from agents.backends.vllm_requests import (
    SampledSequence,
    engine_input,
    first_token_params,
    sampled_sequence,
    sampling_params,
    token_logprobs,
)
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vllm_start import MOST_PICTURES, can_sleep, model_of, own_random_state, start_engine
from agents.backends.vllm_weights import ParameterSlice, parameter_slices, read_back, settled
from agents.backends.vlm import EncodedPrompt
from common.errors import BadInput, RunFailed
from common.third_party import library_lines

logger = logging.getLogger(__name__)


@dataclass
class _Incoming:
    """What a sync has received so far. Its error waits here until vLLM's loader has come to its end: a loader that is
    stopped half-way keeps half of the layers and mixes them with those of the next sync."""

    rows: dict[str, str] = field(default_factory=dict)  # name -> fingerprint of what was sent
    error: RunFailed | None = None


class VLLMEngine:
    """One vLLM engine in this process, on this process's device."""

    def __init__(self, settings: EngineSettings) -> None:
        """Takes 4 to 20 s. Raises MissingFile where vLLM is not installed, RunFailed where it does not start."""
        self.settings = settings
        self.ready = False  # whether the weights are those of a whole sync
        self.usable = True  # not after a call that never came to its end
        self._whole = False  # whether the weights beside the adapters are
        self._asleep: set[str] = set()
        self._count = 0
        self._engine: Any = start_engine(settings)
        _open.add(self)
        self._model: Any = model_of(self._engine)
        self._sleeps = can_sleep(self._engine)
        names = settings.shapes | {alias: settings.shapes[name] for alias, name in settings.tied.items()}
        self._names = names
        self._places: dict[str, ParameterSlice] = parameter_slices(self._model, names)
        slot = settings.adapters
        self._slot = None if slot is None else AdapterSlot(self._engine, self._model, slot, self._places)

    @property
    def closed(self) -> bool:
        return self._engine is None

    def generate(self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling) -> list[list[SampledSequence]]:
        """n answers of each prompt, [P][n]; a function of weights and arguments, the seeds being those of (seed, prompt index,
        sample index). Raises BadInput for a prompt that is too long or has too many pictures, RunFailed without weights or
        where vLLM fails."""
        if sampling.temperature > 2:
            raise BadInput(f"vLLM takes temperatures up to 2, not {sampling.temperature}; rollouts=hf takes any")
        greedy = sampling.temperature == 0
        places = [k if sampling.rows is None else sampling.rows[k] for k in range(len(prompts))]
        params = [sampling_params(self.settings, 1 if greedy else n, sampling, place) for place in places]
        rows = [[sampled_sequence(o) for o in row] for row in self._answers(prompts, params, sampling.max_new_tokens)]
        return [row * n for row in rows] if greedy else rows

    def token_scores(self, prompts: Sequence[EncodedPrompt], token_ids: Sequence[int]) -> list[list[float]]:
        """Log-probabilities [P][K] of these tokens as the first one after each prompt, banned tokens left out. Raises as
        `generate`, and RunFailed where vLLM does not tell one of them."""
        params = [first_token_params(token_ids) for _ in prompts]
        return [token_logprobs(row[0], token_ids) for row in self._answers(prompts, params, 1)]

    def _answers(self, prompts: Sequence[EncodedPrompt], params: Sequence[Any], new_tokens: int) -> list[list[Any]]:
        """vLLM's own outputs for each prompt, in the order of its samples."""
        if not self.ready:
            raise RunFailed("vLLM has no weights of the trainer: no weight sync has succeeded since it started")
        if not prompts:
            return []
        self.wake("weights", "kv_cache")
        self._forget()  # so that the last bits do not depend on earlier calls: a resumed run has had none
        for k, prompt in enumerate(prompts):
            if len(prompt) + new_tokens > self.settings.max_tokens:
                raise BadInput(
                    f"prompt {k} of {len(prompt)} tokens and {new_tokens} new ones are more than vLLM was "
                    f"started for: raise rollouts.max_tokens={self.settings.max_tokens}"
                )
            if prompt.grid_thw is not None and len(prompt.grid_thw) > MOST_PICTURES:
                raise BadInput(
                    f"prompt {k} has {len(prompt.grid_thw)} pictures, and vLLM was started for {MOST_PICTURES} in a prompt; "
                    "rollouts=hf takes any number"
                )
        first = nullcontext() if self._count else library_lines()  # kernels are compiled at their first use
        with own_random_state(), first:
            rows = self._run(prompts, params)
        if self.settings.sleep:
            self.sleep()
        return rows

    def _run(self, prompts: Sequence[EncodedPrompt], params: Sequence[Any]) -> list[list[Any]]:
        ids: dict[str, int] = {}
        rows: list[list[Any]] = [[] for _ in prompts]
        adapters = {} if self._slot is None else {"lora_request": self._slot.request}
        try:
            for k, (prompt, how) in enumerate(zip(prompts, params, strict=True)):
                self._count += 1
                ids[str(self._count)] = k
                self._engine.add_request(str(self._count), engine_input(prompt, self.settings), how, **adapters)
            while self._engine.has_unfinished_requests():
                for out in self._engine.step():
                    if out.finished:
                        k = ids[out.request_id]
                        if list(out.prompt_token_ids) != prompts[k].input_ids.tolist():
                            raise RunFailed(f"vLLM changed the token ids of prompt {k}")
                        rows[k] = sorted(out.outputs, key=lambda o: o.index)
        except RunFailed:
            self._give_up()
            raise
        except Exception as e:  # vLLM and torch each raise kinds of their own
            failed = generation_error(e)
            self._give_up()
            raise failed from e
        except KeyboardInterrupt:
            self._give_up()
            raise
        return rows

    def _give_up(self) -> None:
        """Requests are left inside: the engine is not used again, and its memory is free for the next one."""
        try:
            self.close()
        except Exception as e:  # of an engine that has failed already
            logger.warning("vLLM's engine could not be closed after it had failed: %s", one_line(e))

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """Write every parameter once, read all of them back, compare, and forget what was computed with the old ones. Or write the
        matrices of adapters alone, where the engine has a slot for them (`settings.adapters`) and all other weights already;
        whole weights empty the slot.

        Raises RunFailed naming the parameter that was unknown, doubled, missing, of another shape or not held afterwards;
        and naming phase and parameter where nothing happened for `sync_limit_s`.
        """
        if not self.usable:
            raise RunFailed("weight sync: an earlier call never came to its end, so this engine cannot be used")
        self.usable = self.ready = False
        self.wake("weights")
        progress = Progress("weight sync")

        def work() -> SyncReport:
            try:
                return self._sync(named_parameters, progress)
            finally:
                self.usable = True  # at its end, if only in a thread that was given up

        report = within(self.settings.sync_limit_s, progress, work)
        self.ready = True
        return report

    def _sync(self, named_parameters: Iterable[tuple[str, Tensor]], progress: Progress) -> SyncReport:
        progress.at("waiting for the first parameter")
        stream = iter(named_parameters)
        first = [named for named in [next(stream, None)] if named is not None]
        work = self._sync_adapters if first and is_adapter(first[0][0]) else self._sync_weights
        report = work(chain(first, stream), progress)
        progress.at("resetting caches")
        self._forget()
        return report

    def _sync_adapters(self, named_parameters: Iterable[tuple[str, Tensor]], progress: Progress) -> SyncReport:
        if self._slot is None:
            raise RunFailed("weight sync: adapters came alone, and this engine was started without a slot for them")
        if not self._whole:
            raise RunFailed(
                "weight sync: adapters came alone, and the engine does not hold the weights that they change"
            )
        dtype = getattr(torch, self.settings.dtype)
        return self._slot.fill(pairs(named_parameters, self._slot.shape.rank), dtype, progress)

    def _sync_weights(self, named_parameters: Iterable[tuple[str, Tensor]], progress: Progress) -> SyncReport:
        self._whole = False
        self.drop_adapters()
        incoming = _Incoming()
        stream = self._checked(named_parameters, incoming, progress)
        with library_lines():
            self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": stream})
        for _ in stream:  # a loader may stop before the end
            pass
        if incoming.error is not None:
            raise incoming.error
        report = fingerprint(self._held(incoming, progress))
        self._whole = True
        return report

    def drop_adapters(self) -> None:
        """Answer with the weights beside them alone."""
        if self._slot is not None and self._slot.request is not None:
            self.wake("weights")
            self._slot.clear()

    def _held(self, incoming: _Incoming, progress: Progress) -> Iterator[tuple[str, Tensor]]:
        """What the engine holds, each parameter once, after comparing it with what was sent."""
        dtype = getattr(torch, self.settings.dtype)
        for name, value in read_back(self._model, self._names, self._places):
            progress.at("reading back", name)
            # the CPU build keeps biases of 16-bit models in float32, which changes no number
            owner, value = self.settings.tied.get(name, name), settled(value).to(dtype)
            if fingerprint([(owner, value)]).checksum != incoming.rows[owner]:
                raise RunFailed(f"weight sync: what vLLM holds of {name} is not what was sent")
            if name == owner:
                yield name, value

    def _checked(
        self, named_parameters: Iterable[tuple[str, Tensor]], incoming: _Incoming, progress: Progress
    ) -> Iterator[tuple[str, Tensor]]:
        """Parameters that may be loaded, each once, and a tied one under all of its names."""
        shapes, tied, dtype = self.settings.shapes, self.settings.tied, getattr(torch, self.settings.dtype)
        aliases = {owner: [a for a, o in tied.items() if o == owner] for owner in tied.values()}
        try:
            for name, value in named_parameters:
                progress.at("loading", name)
                owner = tied.get(name, name)
                if owner not in shapes:
                    raise RunFailed(
                        f"weight sync: the rollout model has no parameter {name!r}; is it the same architecture?"
                    )
                if tuple(value.shape) != shapes[owner]:
                    raise RunFailed(f"weight sync: {name} is {tuple(value.shape)}, here {shapes[owner]}")
                value = value.detach().to(dtype)
                row = fingerprint([(owner, settled(value))]).checksum
                if owner in incoming.rows:
                    if name == owner or row != incoming.rows[owner]:
                        raise RunFailed(f"weight sync: {name} was written twice in one sync (as {owner})")
                    continue
                incoming.rows[owner] = row
                yield owner, value
                for alias in aliases.get(owner, ()):
                    yield alias, value
                progress.at("waiting for the parameter after", name)
            if missing := sorted(shapes.keys() - incoming.rows.keys()):
                raise RunFailed(f"weight sync: {len(missing)} parameters were never sent, first {missing[0]}")
        except RunFailed as e:
            incoming.error = e

    def weights(self) -> dict[str, Tensor]:
        """A copy in main memory of what the engine holds, each parameter once and without what is in its slot. Raises RunFailed
        where it holds nothing whole."""
        if not self._whole:
            raise RunFailed("vLLM has no weights of the trainer: no weight sync has succeeded since it started")
        self.wake("weights")
        held = read_back(self._model, self._names, self._places)
        return {name: value.detach().to("cpu", copy=True) for name, value in held if name not in self.settings.tied}

    def _forget(self) -> None:
        """Drop keys and values, and image features, that the old weights made."""
        self._engine.reset_mm_cache()
        self._engine.reset_encoder_cache()
        if self._engine.reset_prefix_cache() is False:
            raise RunFailed("vLLM could not drop its prefix cache: a request was still running")

    def sleep(self) -> None:
        """Free the GPU's memory for the trainer: weights go to main memory, keys and values are dropped. CPU: no effect."""
        if self._sleeps and not self._asleep:
            self._engine.sleep(level=1)
            self._asleep = {"weights", "kv_cache"}

    def wake(self, *parts: str) -> None:
        """Take back "weights" or "kv_cache" or both; a sync takes the weights alone, before the cache claims its memory."""
        if asleep := [part for part in parts if part in self._asleep]:
            self._engine.wake_up(tags=asleep)
            self._asleep -= set(asleep)

    def close(self) -> None:
        """Stop the engine's loop for good and free its memory."""
        self.usable = self.ready = self._whole = False
        engine, self._engine, self._model, self._slot, self._places = self._engine, None, None, None, {}
        if engine is not None:
            engine.engine_core.shutdown()
        del engine
        gc.collect()  # vLLM's objects refer to each other
        if self.settings.device == "cuda":
            torch.cuda.empty_cache()


_open: weakref.WeakSet[VLLMEngine] = weakref.WeakSet()


def close_engines() -> None:
    """Stop all engines in this process. To be called before a process group is destroyed: the engines' own groups depend on it,
    and vLLM's own shutdown would fail without it."""
    for engine in list(_open):
        if engine.usable:
            engine.close()


atexit.register(close_engines)  # the process owns its engines


__all__ = ["VLLMEngine", "close_engines"]
