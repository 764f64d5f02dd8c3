"""Many small tensors from the CPU to a device in one copy that nobody waits for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

ALIGN = 16  # bytes; every type may begin there


def move(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The same tensors on `device`: views of one buffer, which goes there from pinned memory without stopping the host. On the CPU
    they stay what they are."""
    if device.type == "cpu":
        return dict(tensors)
    buffer = joined(tensors, pinned=device.type == "cuda")
    return apart(buffer.to(device, non_blocking=True), tensors)


def joined(tensors: Mapping[str, Tensor], pinned: bool = False) -> Tensor:
    """Their bytes, one after the other."""
    places = _places(tensors)
    buffer = torch.zeros(places[-1], dtype=torch.uint8, pin_memory=pinned)
    for tensor, view in zip(tensors.values(), apart(buffer, tensors).values(), strict=True):
        view.copy_(tensor)
    return buffer


def apart(buffer: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Views of a joined buffer, with the names, types and shapes of `like`."""
    starts = _places(like)
    return {
        name: buffer[a : a + t.numel() * t.element_size()].view(t.dtype).view(t.shape)
        for (name, t), a in zip(like.items(), starts[:-1], strict=True)
    }


def _places(tensors: Mapping[str, Tensor]) -> list[int]:
    """Where each begins, and the whole length."""
    sizes = [-(-prod(t.shape) * t.element_size() // ALIGN) * ALIGN for t in tensors.values()]
    return [0, *accumulate(sizes)]


__all__ = ["apart", "joined", "move"]
