"""What vLLM says when it fails, as one line of ours with a way out.

vLLM, pydantic and torch each raise kinds of their own, some without a text (a bare assert) and some over many lines.
"""

from __future__ import annotations

import re

from agents.backends.vllm_settings import EngineSettings
from common.errors import BadInput, ImageEditError, RunFailed
from common.third_party import where_to_look

LONGEST = 400  # characters of vLLM's own words


def one_line(error: BaseException) -> str:
    """What an error says, on one line; its kind where it says nothing."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\d+ validation errors? for \w+ (Value error, )?", "", text)  # pydantic's
    text = re.sub(r" ?\[type=.*", "", text)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def start_error(error: Exception, settings: EngineSettings) -> ImageEditError:
    """Why an engine did not start. BadInput where other settings would let it."""
    text, said = str(error).lower(), one_line(error)
    room = f"rollouts.cache_gib={settings.cache_gib:g} of keys and values"
    if "larger than the available kv cache memory" in text:
        return BadInput(
            f"vLLM did not start: {room} do not hold one sequence of rollouts.max_tokens={settings.max_tokens}; "
            f"raise the first or lower the second ({said})"
        )
    if "max_model_len" in text and "greater than the derived" in text:
        return BadInput(
            f"vLLM did not start: rollouts.max_tokens={settings.max_tokens} is more than the model in {settings.folder} was "
            f"made for; lower it ({said})"
        )
    if "out of memory" in text or "free memory on device" in text or "no available memory" in text:
        weights = sum(_elements(shape) for shape in settings.shapes.values()) * _BYTES[settings.dtype] / 2**30
        return RunFailed(
            f"vLLM did not start: no room on the {settings.device} for {weights:.2f} GiB of weights and {room}. Lower "
            f"rollouts.cache_gib or rollouts.batch_size, end other programs on this device, or take rollouts=hf ({said})"
        )
    if "cumem allocator" in text:
        return RunFailed(
            f"vLLM did not start: another engine of this process holds the memory that can be put to sleep; take "
            f"rollouts.sleep=false or rollouts.process=separate ({said})"
        )
    return RunFailed(f"vLLM did not start: {said}{where_to_look()}")


def generation_error(error: Exception) -> RunFailed:
    """Why an engine gave no answers; it is not used again."""
    text, said = str(error).lower(), one_line(error)
    if "out of memory" in text:
        return RunFailed(
            f"vLLM ran out of memory while it generated; lower rollouts.batch_size or rollouts.cache_gib ({said})"
        )
    if type(error).__name__ == "EngineDeadError":
        return RunFailed(
            f"vLLM's engine died while it generated. The same command goes on from the last checkpoint with a new one; "
            f"rollouts.process=separate starts it again by itself ({said}){where_to_look()}"
        )
    return RunFailed(f"vLLM failed while it generated: {said}{where_to_look()}")


_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def _elements(shape: tuple[int, ...]) -> int:
    n = 1
    for side in shape:
        n *= side
    return n


__all__ = ["generation_error", "one_line", "start_error"]
