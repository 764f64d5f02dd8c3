"""Starting vLLM in this process without changing what the trainer set: threads, random states, the environment."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import torch

from agents.backends.families import family_of
from agents.backends.precision import exact_float32
from agents.backends.vllm_errors import start_error
from agents.backends.vllm_lora import slot_arguments
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vllm_version import check_version
from common.errors import ImageEditError, MissingFile
from common.third_party import library_lines

MOST_PICTURES = 16  # in one prompt
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine's loop runs in this process
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # takes no logits processors of ours
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the trainer's threads are not vLLM's to move
}
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR"}  # unless the user set it


def start_engine(settings: EngineSettings) -> Any:
    """A `vllm.LLMEngine` with random weights. Raises MissingFile where vLLM is not installed or lacks what is used of it, RunFailed
    where it does not start, BadInput where other settings would let it."""
    with own_random_state(), _quiet_start(settings), library_lines():
        return _start(settings)


def _start(settings: EngineSettings) -> Any:
    family = family_of(settings.folder)
    try:
        from vllm import EngineArgs, LLMEngine, ModelRegistry

        classes = [getattr(import_module(module), name) for module, name in family.vllm_classes]
    except ImportError as e:
        raise MissingFile(
            f"rollouts=vllm needs vLLM with {family.title}, which cannot be imported here ({e}); install it: make extra-vllm"
        ) from e
    check_version(slot=settings.adapters is not None)
    from agents.backends.vllm_bans import BanTokens

    for architecture in classes:
        # vLLM looks at classes that it does not know yet in a fresh Python, which costs seconds and has no torchvision_cpu
        ModelRegistry.register_model(architecture.__name__, architecture)
    try:
        return LLMEngine.from_engine_args(
            EngineArgs(**engine_arguments(settings, EngineArgs), logits_processors=[BanTokens])
        )
    except ImageEditError:
        raise
    except Exception as e:  # vLLM, pydantic and torch each raise kinds of their own
        raise start_error(e, settings) from e


def engine_arguments(settings: EngineSettings, known: Any) -> dict[str, Any]:
    """What vLLM is started with, beside our processor of logits; `known` is its class of arguments."""
    return {
        "model": settings.folder,
        "load_format": "dummy",
        "dtype": settings.dtype,
        "max_model_len": settings.max_tokens,
        "max_num_seqs": settings.max_sequences,
        "kv_cache_memory_bytes": int(settings.cache_gib * 2**30),
        "gpu_memory_utilization": 0.05,  # only what must be free at the start; the line above is what is taken
        "enable_prefix_caching": True,
        "enforce_eager": not settings.graphs,
        **(_on_cpu(settings) if settings.device == "cpu" else {}),
        "enable_sleep_mode": settings.sleep and settings.device == "cuda" and not _memory_is_claimed(),
        "limit_mm_per_prompt": {"image": MOST_PICTURES, "video": 0},
        "skip_mm_profiling": True,
        "mm_processor_cache_gb": 0,  # pictures arrive processed
        **_known(known, mm_device_do_normalize=False),  # and normalised
        "generation_config": "vllm",  # nothing from the checkpoint's own sampling defaults
        "logprobs_mode": "processed_logprobs",
        "hf_overrides": _precise_head(settings),
        "additional_config": {"banned_ids": list(settings.banned_ids)},
        "disable_log_stats": True,
        "distributed_executor_backend": _executor(),
        **slot_arguments(settings.adapters),
    }


def _precise_head(settings: EngineSettings) -> dict[str, str]:
    """The output layer of a 16-bit model gives float32 logits; releases that know of it must be asked (vLLM's issue 48641), the
    others round them to 16 bits and take no notice."""
    return {} if settings.dtype == "float32" else {"head_dtype": "float32"}


def _memory_is_claimed() -> bool:
    """Whether an engine of this process holds memory of the allocator that puts engines to sleep. It serves one engine at a
    time; a second one (a model of another shape) keeps its memory instead."""
    module = sys.modules.get("vllm.device_allocator.cumem")
    allocator = getattr(getattr(module, "CuMemAllocator", None), "instance", None)
    return allocator is not None and allocator.get_current_usage() > 0


def can_sleep(engine: Any) -> bool:
    """Whether the engine was started so that its memory can be handed over."""
    return bool(engine.vllm_config.model_config.enable_sleep_mode)


def _on_cpu(settings: EngineSettings) -> dict[str, Any]:
    """No chunked prefill: the sampler draws after each chunk and would have to rewind a seeded generator,
    which torch can do on CUDA alone. Small blocks, so that samples share short prompts too."""
    return {
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(4096, settings.max_tokens),
        "block_size": 32,
    }


def _known(args: Any, **values: Any) -> dict[str, Any]:
    """The settings that this version of vLLM knows; older versions behave as if the others were given."""
    return {k: v for k, v in values.items() if k in args.__dataclass_fields__}


def _executor() -> str | None:
    """An engine per rank where there are several; the plain in-process one would wait for itself on the other ranks."""
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    return "external_launcher" if ranks > 1 else None


def model_of(engine: Any) -> torch.nn.Module:
    worker = engine.model_executor.driver_worker
    return getattr(worker, "worker", worker).get_model()


@contextlib.contextmanager
def own_random_state() -> Iterator[None]:
    """vLLM seeds and draws from the process's generators; the trainer's draws must not depend on it."""
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


@contextlib.contextmanager
def _quiet_start(settings: EngineSettings) -> Iterator[None]:
    """Import and start vLLM without leaving traces: it turns `torch.set_num_threads` into a function that does nothing."""
    os.environ.update(ENVIRONMENT)
    exact = settings.dtype == "float32"
    if exact:
        exact_float32()
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    threads, set_threads = torch.get_num_threads(), torch.set_num_threads
    # on the CPU the sampler alone would compile for 20 s
    plain = torch._dynamo.config.patch(disable=True) if settings.device == "cpu" else contextlib.nullcontext()
    try:
        with plain, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = set_threads
        torch.set_num_threads(threads)
        if exact:  # vLLM sets the precision of the whole process, which is the trainer's too
            exact_float32()


__all__ = ["MOST_PICTURES", "can_sleep", "model_of", "own_random_state", "start_engine"]
