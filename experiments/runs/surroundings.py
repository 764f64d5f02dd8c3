"""What is there while a run or an evaluation works, and gone afterwards however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from agents.backends.vllm_shared import owned_engines
from common.third_party import library_lines
from experiments.build.device import device_of
from experiments.runs.caches import keep_compiled
from experiments.runs.decoding import expectations


@contextmanager
def working(config: Any) -> Iterator[None]:
    """Lines of libraries go to the log, compiled kernels to `<outputs>/cache`, and vLLM's engines end with the block."""
    keep_compiled(config.paths.outputs)
    with library_lines(), _process_group(config), owned_engines(*expectations(config)):
        yield


def _process_group(config: Any) -> AbstractContextManager[None]:
    """A sharded engine in this process joins its group before vLLM starts, so that one engine serves the phases around it too."""
    from rl.engine.process_group import held_group

    inside = config.rollouts.name == "vllm" and getattr(config.rollouts, "process", "") == "inside"
    if inside and config.engine.distributed and not config.launcher.several:
        return held_group(device_of(config.engine), config.engine.timeout_s)
    return nullcontext()


__all__ = ["working"]
