"""What a batch costs: floating-point operations and tokens or images, counted by hand from shapes, without asking the device.

Only the trained model counts, and of a vision-language model only its decoder: products of matrices, and attention over the
pairs of tokens that may see each other. What is computed a second time to save memory is not counted (arXiv 2204.02311,
appendix B), so a share of the peak made of these numbers is model FLOPs utilisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from common.errors import BadInput
from common.gpus import gpu_of_device
from editors.costs import head_widths, linear, transformer_flops


@dataclass(frozen=True)
class Work:
    """`flops`: of a forward, or of an update. Tokens and images that pass through the model; 0 where there are none."""

    flops: float = 0.0
    tokens: int = 0
    images: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.tokens + other.tokens, self.images + other.images)

    def times(self, count: float) -> Work:
        """With `count` times the FLOPs: of several passes over the same batch, or of forward and backward."""
        return Work(self.flops * count, self.tokens, self.images)


def text_work(config: Mapping[str, Any], prompts: Sequence[Sized], answers: Sequence[Sized], shared: bool) -> Work:
    """One forward of a decoder (`config`: its text config) over prompts with an answer each, of which only answers reach the
    vocabulary. `shared`: the same prompt object passes once, and its answers see it."""
    width, queries, keys = head_widths(config)  # type: ignore[arg-type]
    once = list({id(p): p for p in prompts}.values()) if shared else prompts
    answered = sum(map(len, answers))
    tokens = sum(map(len, once)) + answered
    pairs = sum(_triangle(len(p)) for p in once)
    pairs += sum(len(a) * len(p) + _triangle(len(a)) for p, a in zip(prompts, answers, strict=True))
    layer = linear(tokens, width, 2 * queries + 2 * keys) + 3 * linear(tokens, width, config["intermediate_size"])
    flops = config["num_hidden_layers"] * (layer + 4 * pairs * queries) + linear(answered, width, config["vocab_size"])
    return Work(flops, tokens=tokens)


def flow_work(
    kind: str, config: Mapping[str, Any], image: int, texts: Sequence[int], pictures: int, steps: int
) -> Work:
    """One forward of a denoiser at `steps` steps of so many pictures. `image`: tokens of result and reference together; `texts`:
    tokens of text in each branch (the instruction, and the negative prompt where it is guided). Without FLOPs for a class that
    has no formula."""
    try:
        each = sum(transformer_flops(kind, config, image, text) for text in texts)  # type: ignore[arg-type]
    except BadInput:
        each = 0.0
    return Work(pictures * steps * each, images=pictures)


def _triangle(tokens: int) -> int:
    return tokens * (tokens + 1) // 2


@cache
def peak_flops(device: torch.device, half: bool) -> float | None:
    """FLOP/s that a device can do at most, with products in bfloat16 (`half`) or fp32; None where that is not known, as on every
    CPU."""
    if device.type != "cuda":
        return None
    gpu = gpu_of_device(torch.cuda.get_device_name(device))
    return None if gpu is None else gpu.peak("bfloat16" if half else "float32")


__all__ = ["Work", "flow_work", "peak_flops", "text_work"]
