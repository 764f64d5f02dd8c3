"""Tree attention alone, forward and backward of one layer, in all its forms: the row of a training step of Qwen2.5-VL-3B's sizes,
one prompt with a group of answers behind it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from agents.backends.attention import AttentionLayout
from agents.backends.prompts import Positions
from agents.backends.vlm import EncodedPrompt
from common.progress import say
from experiments.benches.rl.flops import Rows
from experiments.benches.rl.gpu import matmul_peak
from experiments.benches.rl.lockstep import in_turns, timed
from rl.attention.forms import FORMS, form_indices, layout_of
from rl.attention.shape import RowShape, bucket
from rl.prefix import pack

Values = dict[str, Any]


@dataclass(frozen=True)
class AttentionSize:
    """A row of one prompt with `group` answers that part right behind it, and the heads of a layer."""

    heads: int = 16
    kv_heads: int = 2
    width: int = 128
    prompt: int = 1400
    answer: int = 200
    group: int = 8
    peak: int = 8192  # of the square product that is the measure of 100 %
    repeats: int = 10

    def row(self) -> RowShape:
        """Padded as on CUDA."""
        ids = torch.arange(self.prompt)
        answers = [[n] + [1] * (self.answer - 1) for n in range(self.group)]
        prompt = EncodedPrompt(ids, None, None)
        return pack([prompt], [Positions(ids.expand(3, -1), self.prompt)], [answers], bucket).shape

    @property
    def flops(self) -> float:
        """Forward and backward over what a token sees; padding and what a kernel computes twice do not count."""
        return 3 * 4 * self.heads * self.width * Rows(self.prompt, self.answer, self.group).pairs(shared=True)


PUBLISHED = AttentionSize()
TINY = AttentionSize(4, 2, 16, 40, 12, 4, 64, 2)


def attention(size: AttentionSize, device: str) -> Values:
    """Per form: milliseconds of forward and backward, and the share of the device's matrix products (MFU); how far outputs and
    gradients are from those of masks; the fastest form."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    top = matmul_peak(device, dtype, size.peak)
    shape = size.row()
    sides = variants(shape, device, dtype)
    passes = {name: Layer(size, len(shape), device, dtype, *side) for name, side in sides.items()}
    truth, apart = passes["masks"](), {}
    for name, run in passes.items():  # also compiles
        apart[name] = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(run(), truth, strict=True))
        say(f"{name}: differs by {apart[name]:.1e} of the largest entry")
    times = in_turns([timed(_waited(run, device)) for run in passes.values()], size.repeats)
    seconds = {name: statistics.median(t.seconds) for name, t in zip(passes, times, strict=True)}
    return {
        "tokens of the row": len(shape),
        "matmul TFLOP/s": top / 1e12,
        "ms": {name: s * 1e3 for name, s in seconds.items()},
        "MFU": {name: size.flops / s / top for name, s in seconds.items()},
        "largest difference": apart,
        "fastest": min(seconds, key=lambda name: seconds[name]),
    }


Around = Callable[[], AbstractContextManager[Any]]


def variants(shape: RowShape, device: str, dtype: torch.dtype) -> dict[str, tuple[AttentionLayout, Around]]:
    """The forms, and what their passes run in; on CUDA also split by FlashAttention 3, where it is installed. A CPU has no
    backward pass of flex."""
    found: dict[str, tuple[AttentionLayout, Around]] = {}
    for name in FORMS:
        if name != "flex" or device == "cuda":
            indices = {key: x.to(device) for key, x in form_indices(name, shape).items()}
            found[name] = layout_of(name, shape, indices, dtype), nullcontext
    hopper = device == "cuda" and torch.cuda.get_device_capability()[0] == 9
    if hopper and find_spec("flash_attn_interface") and hasattr(torch.nn.attention, "activate_flash_attention_impl"):
        found["split, FlashAttention 3"] = found["split"][0], flash_attention_3
    return found


@contextmanager
def flash_attention_3() -> Iterator[None]:
    """torch's flash kernels are those of the package flash_attn_interface."""
    torch.nn.attention.activate_flash_attention_impl("FA3")
    try:
        yield
    finally:
        torch.nn.attention.restore_flash_attention_impl()


class Layer:
    """Query, key and value of a row, and one forward and backward of them."""

    def __init__(
        self, size: AttentionSize, tokens: int, device: str, dtype: torch.dtype, layout: AttentionLayout, around: Around
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        heads = (size.heads, size.kv_heads, size.kv_heads)
        self.inputs = [
            torch.randn(1, h, tokens, size.width, generator=generator).to(device, dtype).requires_grad_() for h in heads
        ]
        self.weight = torch.randn(1, size.heads, tokens, size.width, generator=generator).to(device, dtype)
        self.layout, self.around = layout, around

    def __call__(self) -> list[Tensor]:
        """The output and the three gradients."""
        with self.around():
            query, key, value = self.inputs
            out = self.layout.attend(0, query, key, value, None)
            return [out.detach(), *torch.autograd.grad(out, self.inputs, self.weight)]


def _waited(run: Callable[[], Any], device: str) -> Callable[[], None]:
    def whole() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return whole


__all__ = ["PUBLISHED", "TINY", "AttentionSize", "attention"]
