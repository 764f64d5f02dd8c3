"""How many tokens a picture is to the decomposer: known from its configuration, before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.backends.families import expected_family
from experiments.build.device import device_of

PROCESSOR = "preprocessor_config.json"
CHARS_PER_TOKEN = 3  # of requests and prompts, cautiously
PROMPT_TOKENS = 500  # of the prompt's own words, cautiously


def pixels_at_most(config: Any) -> int:
    """Pixels of the largest picture that the decomposer sees: what the sandbox draws, or the processor's limit for a data set of
    photographs, and at most `decomposer.max_pixels`. 0 for requests without pictures."""
    benchmark = getattr(config, "benchmark", None)
    if benchmark is not None and benchmark.text_only:
        return 0
    limit = config.decomposer.max_pixels
    if benchmark is None or benchmark.name == "sandbox":
        drawn = config.scale.image_size**2
        return drawn if limit is None else min(drawn, limit)
    own = processor_pixels(config.decomposer.checkpoint)
    return own if limit is None else min(own, limit)


def processor_pixels(checkpoint: str | Path) -> int:
    """The limit that the checkpoint's image processor has by itself."""
    values = _processor(checkpoint)
    size = values.get("size") or {}
    return int(size.get("longest_edge") or values.get("max_pixels") or expected_family(checkpoint).max_pixels)


def picture_tokens(pixels: int, checkpoint: str | Path) -> int:
    """Tokens of a picture of so many pixels."""
    values, family = _processor(checkpoint), expected_family(checkpoint)
    side = int(values.get("patch_size") or family.patch) * int(values.get("merge_size") or family.merge)
    return -(-pixels // side**2)


def _processor(checkpoint: str | Path) -> Mapping[str, Any]:
    try:
        values = json.loads((Path(checkpoint) / PROCESSOR).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a checkpoint that is not here yet counts as the published one
        return {}
    return values if isinstance(values, dict) else {}


def too_many_tokens(config: Any) -> Iterator[str]:
    """A sentence where a prompt with the largest picture and its answer are more than the rollout engine takes; rollouts=auto is
    what it stands for on this machine."""
    rollouts, decomposer = config.rollouts, config.decomposer
    if rollouts.resolve("cpu") is not rollouts:
        rollouts = rollouts.resolve(device_of(config.engine))
    if rollouts.name != "vllm" or not hasattr(decomposer, "max_pixels"):
        return
    pixels = pixels_at_most(config)
    picture = picture_tokens(pixels, decomposer.checkpoint)
    request = PROMPT_TOKENS + decomposer.max_request_chars // CHARS_PER_TOKEN if pixels else 0
    total = picture + request + decomposer.max_new_tokens
    if pixels and total > rollouts.max_tokens:
        yield (
            f"room in a prompt: a picture of {pixels:,} pixels is {picture:,} tokens, with request and answer up to {total:,}, and "
            f"rollouts.max_tokens={rollouts.max_tokens:,}; bound pictures with decomposer.max_pixels, or raise rollouts.max_tokens"
        )


__all__ = ["picture_tokens", "pixels_at_most", "processor_pixels", "too_many_tokens"]
