"""vLLM in this process: token ids and pixels in, token ids and log-probabilities out, weights from the trainer.

The engine gets what the trainer's own encoder made (`EncodedPrompt`), so nothing is tokenised, resized or normalised a second
time by other code. It starts with random weights; nothing may be generated before the first sync.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.backends.base import Sampling, SyncReport, fingerprint
from agents.backends.deadline import Progress, within
from agents.backends.vllm_weights import ParameterSlice, parameter_slices, read_back, settled
from agents.backends.vlm import VLM, EncodedPrompt
from common.errors import BadInput, MissingFile, RunFailed

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine's loop runs in this process
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # takes no logits processors of ours
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the trainer's threads are not vLLM's to move
}
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR"}  # unless the user set it


@dataclass(frozen=True)
class EngineSettings:
    """All that an engine needs to know; it can be sent to another process. `shapes` are the trained model's parameters,
    `tied` other names of them (alias -> parameter)."""

    folder: str
    dtype: str
    device: str
    shapes: dict[str, tuple[int, ...]]
    tied: dict[str, str]
    banned_ids: tuple[int, ...]
    eos_id: int
    image_token_id: int
    vocab: int
    max_tokens: int = 4096  # of a prompt and its answer
    max_sequences: int = 128
    cache_gib: float = 0.25
    sleep: bool = False
    sync_limit_s: float = 300.0

    @property
    def signature(self) -> str:
        """Equal for engines that can stand in for each other once the weights are synced."""
        values = {k: v for k, v in vars(self).items() if k != "folder"}
        config = (Path(self.folder) / "config.json").read_bytes()
        return hashlib.sha256(config + repr(sorted(values.items())).encode()).hexdigest()


@dataclass(frozen=True)
class SampledSequence:
    """One sample: token ids, the end token included, their log-probabilities, and "stop" or "length"."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str


def settings_of(vlm: VLM, **limits: Any) -> EngineSettings:
    """Settings for a model; `limits` are max_tokens, max_sequences, cache_gib, sleep, sync_limit_s."""
    if not (vlm.path / "config.json").is_file():
        raise MissingFile(
            f"vLLM reads a model's configuration from its folder, and there is no config.json in {vlm.path}"
        )
    model = vlm.model
    own = {id(p): name for name, p in model.named_parameters()}
    every = dict(model.named_parameters(remove_duplicate=False))
    text = model.config.get_text_config()
    limits["max_tokens"] = min(limits.get("max_tokens", 4096), text.max_position_embeddings)
    return EngineSettings(
        str(vlm.path), str(model.dtype).removeprefix("torch."), model.device.type,
        {name: tuple(every[name].shape) for name in own.values()},
        {name: own[id(p)] for name, p in every.items() if own[id(p)] != name},
        vlm.banned_ids, vlm.eos_id, vlm.image_token_id, text.vocab_size, **limits,
    )  # fmt: skip


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
        _open.add(self)
        self.ready = False  # whether the weights are those of a whole sync
        self.usable = True  # not after a call that never came to its end
        self._asleep: set[str] = set()
        self._count = 0
        with _own_random_state(), _quiet_start(settings.device):
            self._engine = _start(settings)
        self._model = _model_of(self._engine)
        names = settings.shapes | {alias: settings.shapes[name] for alias, name in settings.tied.items()}
        self._names = names
        self._places: dict[str, ParameterSlice] = parameter_slices(self._model, names)

    def generate(self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling) -> list[list[SampledSequence]]:
        """n answers of each prompt, [P][n]; a function of weights and arguments, the seeds being those of (seed, prompt index,
        sample index). Raises BadInput for a prompt that is too long, RunFailed without weights or where vLLM fails."""
        if not self.ready:
            raise RunFailed("vLLM has no weights of the trainer: no weight sync has succeeded since it started")
        if not prompts:
            return []
        if sampling.temperature > 2:
            raise BadInput(f"vLLM takes temperatures up to 2, not {sampling.temperature}; rollouts=hf takes any")
        self.wake("weights", "kv_cache")
        self._forget()  # so that the last bits do not depend on earlier calls: a resumed run has had none
        for k, prompt in enumerate(prompts):
            if len(prompt) + sampling.max_new_tokens > self.settings.max_tokens:
                raise BadInput(
                    f"prompt {k} of {len(prompt)} tokens and {sampling.max_new_tokens} new ones are more than vLLM was "
                    f"started for: raise rollouts.max_tokens={self.settings.max_tokens}"
                )
        with _own_random_state():
            rows = self._run(prompts, n, sampling)
        if self.settings.sleep:
            self.sleep()
        return rows

    def _run(self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling) -> list[list[SampledSequence]]:
        greedy = sampling.temperature == 0
        ids: dict[str, int] = {}
        rows: list[list[SampledSequence]] = [[] for _ in prompts]
        try:
            for k, prompt in enumerate(prompts):
                self._count += 1
                place = k if sampling.rows is None else sampling.rows[k]
                params = _params(self.settings, 1 if greedy else n, sampling, place)
                ids[str(self._count)] = k
                self._engine.add_request(str(self._count), _engine_input(prompt, self.settings), params)
            while self._engine.has_unfinished_requests():
                for out in self._engine.step():
                    if out.finished:
                        k = ids[out.request_id]
                        if list(out.prompt_token_ids) != prompts[k].input_ids.tolist():
                            raise RunFailed(f"vLLM changed the token ids of prompt {k}")
                        answers = [_answer(o) for o in sorted(out.outputs, key=lambda o: o.index)]
                        rows[k] = answers * n if greedy else answers
        except (RuntimeError, ValueError) as e:
            self.usable = self.ready = False  # requests are left inside
            raise RunFailed(f"vLLM failed while it generated: {e}") from e
        return rows

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """Write every parameter once, read all of them back, compare, and forget what was computed with the old ones.

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
        incoming = _Incoming()
        stream = self._checked(named_parameters, incoming, progress)
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": stream})
        for _ in stream:  # a loader may stop before the end
            pass
        if incoming.error is not None:
            raise incoming.error
        report = fingerprint(self._held(incoming, progress))
        progress.at("resetting caches")
        self._forget()
        return report

    def _held(self, incoming: _Incoming, progress: Progress) -> Iterator[tuple[str, Tensor]]:
        """What the engine holds, each parameter once, after comparing it with what was sent."""
        for name, value in read_back(self._model, self._names, self._places):
            progress.at("reading back", name)
            owner, value = self.settings.tied.get(name, name), settled(value)
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
        progress.at("waiting for the first parameter")
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

    def _forget(self) -> None:
        """Drop keys and values, and image features, that the old weights made."""
        self._engine.reset_mm_cache()
        self._engine.reset_encoder_cache()
        if self._engine.reset_prefix_cache() is False:
            raise RunFailed("vLLM could not drop its prefix cache: a request was still running")

    def sleep(self) -> None:
        """Hand the GPU's memory to the trainer: weights go to main memory, keys and values are dropped. Not on the CPU."""
        if self.settings.device == "cuda" and self.settings.sleep and not self._asleep:
            self._engine.sleep(level=1)
            self._asleep = {"weights", "kv_cache"}

    def wake(self, *parts: str) -> None:
        """Take back "weights" or "kv_cache" or both; a sync takes the weights alone, before the cache claims its memory."""
        if wanted := [part for part in parts if part in self._asleep]:
            self._engine.wake_up(tags=wanted)
            self._asleep -= set(wanted)

    def close(self) -> None:
        """Stop the engine's loop, for good; its memory goes with the last reference."""
        self.usable = self.ready = False
        self._engine.engine_core.shutdown()


_open: weakref.WeakSet[VLLMEngine] = weakref.WeakSet()


def close_engines() -> None:
    """Stop all engines in this process. To be called before a process group is destroyed: theirs stand on it, and vLLM's own
    end would fail without it."""
    for engine in list(_open):
        if engine.usable:
            engine.close()


def _start(settings: EngineSettings) -> Any:
    try:
        from vllm import EngineArgs, LLMEngine, ModelRegistry
        from vllm.model_executor.models.qwen2 import Qwen2ForCausalLM
        from vllm.model_executor.models.qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
    except ImportError as e:
        raise MissingFile(
            f"rollouts=vllm needs vLLM, which cannot be imported here ({e}); install it: make extra-vllm"
        ) from e
    from agents.backends.vllm_bans import BanTokens

    for architecture in (Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM):
        # vLLM looks at classes that it does not know yet in a fresh Python, which costs seconds and has no torchvision_cpu
        ModelRegistry.register_model(architecture.__name__, architecture)
    args = EngineArgs(
        model=settings.folder,
        load_format="dummy",
        dtype=settings.dtype,
        max_model_len=settings.max_tokens,
        max_num_seqs=settings.max_sequences,
        kv_cache_memory_bytes=int(settings.cache_gib * 2**30),
        gpu_memory_utilization=0.05,  # only what must be free at the start; the line above is what is taken
        enable_prefix_caching=True,
        **(_on_cpu(settings) if settings.device == "cpu" else {}),
        enable_sleep_mode=settings.sleep and settings.device == "cuda",
        limit_mm_per_prompt={"image": 16, "video": 0},
        skip_mm_profiling=True,
        mm_processor_cache_gb=0,  # pictures arrive processed
        **_known(EngineArgs, mm_device_do_normalize=False),  # and normalised
        generation_config="vllm",  # nothing from the checkpoint's own sampling defaults
        logprobs_mode="processed_logprobs",
        logits_processors=[BanTokens],
        additional_config={"banned_ids": list(settings.banned_ids)},
        disable_log_stats=True,
        distributed_executor_backend=_executor(),
    )
    try:
        return LLMEngine.from_engine_args(args)
    except (ValueError, RuntimeError, OSError, NotImplementedError) as e:
        raise RunFailed(f"vLLM did not start: {e}") from e


def _on_cpu(settings: EngineSettings) -> dict[str, Any]:
    """A prompt is never cut in pieces there: the sampler draws after each piece and would have to turn a seeded generator
    back, which torch can do on CUDA alone. Small blocks, so that samples share short prompts too. Compiling does not pay."""
    return {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(4096, settings.max_tokens),
        "block_size": 32,
    }


def _known(args: Any, **values: Any) -> dict[str, Any]:
    """Those settings that this vLLM has; an older one does as if they were given."""
    return {k: v for k, v in values.items() if k in args.__dataclass_fields__}


def _executor() -> str | None:
    """An engine per rank where there are several; the plain in-process one would wait for itself on the other ranks."""
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    return "external_launcher" if ranks > 1 else None


def _model_of(engine: Any) -> torch.nn.Module:
    worker = engine.model_executor.driver_worker
    return getattr(worker, "worker", worker).get_model()


def _params(settings: EngineSettings, n: int, sampling: Sampling, prompt: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    digest = hashlib.blake2b(repr((sampling.seed, prompt)).encode(), digest_size=8).digest()
    return SamplingParams(
        n=n,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=int.from_bytes(digest, "big") >> 2,  # vLLM gives sample g this seed + g
        max_tokens=sampling.max_new_tokens,
        stop_token_ids=[settings.eos_id],
        logprobs=0,  # that of the sampled token alone
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _engine_input(prompt: EncodedPrompt, settings: EngineSettings) -> dict[str, Any]:
    """The form that vLLM's own processor would leave behind."""
    ids = prompt.input_ids.tolist()
    if prompt.pixel_values is None or prompt.grid_thw is None:
        return {"type": "token", "prompt_token_ids": ids}
    from vllm.multimodal.inputs import MultiModalFieldConfig, MultiModalKwargsItems, PlaceholderRange

    patches = prompt.grid_thw.prod(-1)
    items = MultiModalKwargsItems.from_hf_inputs(
        {"pixel_values": prompt.pixel_values, "image_grid_thw": prompt.grid_thw},  # type: ignore[arg-type]
        {
            "pixel_values": MultiModalFieldConfig.flat_from_sizes("image", patches),
            "image_grid_thw": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
        },
    )
    spans = _spans(prompt.input_ids == settings.image_token_id)
    if len(spans) != len(patches):
        raise BadInput(f"a prompt has {len(spans)} runs of image tokens for {len(patches)} pictures")
    hashes = [
        hashlib.blake2b(piece.numpy().tobytes() + repr(grid).encode(), digest_size=16).hexdigest()
        for piece, grid in zip(prompt.pixel_values.split(patches.tolist()), prompt.grid_thw.tolist(), strict=True)
    ]
    return {
        "type": "multimodal",
        "prompt_token_ids": ids,
        "mm_kwargs": items,
        "mm_hashes": {"image": hashes},
        "mm_placeholders": {"image": [PlaceholderRange(offset=a, length=b - a) for a, b in spans]},
    }


def _spans(mark_T: Tensor) -> list[tuple[int, int]]:
    """[start, stop) of each run of True."""
    edges = torch.diff(mark_T.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    return list(zip((edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist(), strict=True))


def _answer(output: Any) -> SampledSequence:
    ids = tuple(output.token_ids)
    logprobs = tuple(row[token].logprob for row, token in zip(output.logprobs, ids, strict=True))
    if output.finish_reason not in ("stop", "length"):
        raise RunFailed(f"vLLM ended a sample with {output.finish_reason!r}")
    return SampledSequence(ids, logprobs, output.finish_reason)


@contextlib.contextmanager
def _own_random_state() -> Iterator[None]:
    """vLLM seeds and draws from the process's generators; the trainer's draws must not depend on it."""
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


@contextlib.contextmanager
def _quiet_start(device: str) -> Iterator[None]:
    """Import and start vLLM without leaving traces: it turns `torch.set_num_threads` into a function that does nothing."""
    os.environ.update(ENVIRONMENT)
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    threads, set_threads = torch.get_num_threads(), torch.set_num_threads
    # on the CPU the sampler alone would compile for 20 s
    plain = torch._dynamo.config.patch(disable=True) if device == "cpu" else contextlib.nullcontext()
    try:
        with plain, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = set_threads
        torch.set_num_threads(threads)


__all__ = ["SampledSequence", "EngineSettings", "VLLMEngine", "settings_of"]
