"""The forms of attention over a packed row of trees, all equal: choose one by name.

`masks` (masks.py) loops over pieces, which a CPU does best. `flex` (flex.py) is one compiled kernel with a block mask; `split`
(split.py) is a few calls of the flash kernel for variable lengths, without masks. `auto` is masks on a CPU and flex on CUDA, of
which alone there is a measurement; `make check-gpu args=parts=attention` measures all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from agents.backends.attention import AttentionLayout
from common.errors import BadInput
from rl.attention.flex import FlexAttention
from rl.attention.masks import MaskedAttention
from rl.attention.shape import RowShape
from rl.attention.split import SplitAttention, split_indices

FORMS = ("flex", "split", "masks")


def chosen_form(name: str, device: torch.device) -> str:
    """`name`, or what `auto` stands for on this device. Raises BadInput for an unknown one, and for flex on a CPU, where it has no
    backward pass."""
    if name == "auto":
        return "flex" if device.type == "cuda" else "masks"
    if name not in FORMS:
        raise BadInput(f"attention={name} is unknown; choose from auto, {', '.join(FORMS)}")
    if name == "flex" and device.type == "cpu":
        raise BadInput("attention=flex has no backward pass on a CPU; choose attention=auto, masks or split")
    return name


def form_indices(form: str, shape: RowShape) -> dict[str, Tensor]:
    """What a form needs on the device: one dictionary of CPU tensors, so that it travels with the row."""
    return split_indices(shape) if form == "split" else {"end": torch.tensor(shape.end)}


def layout_of(form: str, shape: RowShape, indices: Mapping[str, Tensor], dtype: torch.dtype) -> AttentionLayout:
    """`indices` are those above, moved; `dtype` is the model's."""
    if form == "masks":
        return MaskedAttention(shape, indices["end"], dtype)
    return OneType(SplitAttention(shape, indices) if form == "split" else FlexAttention(indices["end"]))


class OneType:
    """A layout whose kernel wants query, key and value of one type, which autocast otherwise sees to in torch's own attention:
    half precision on CUDA, and float32 on a CPU (rl/engine/precision.py)."""

    def __init__(self, layout: Any) -> None:
        self.layout = layout

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        device = query.device.type
        if not torch.is_autocast_enabled(device):
            return self.layout.attend(layer, query, key, value, scale)  # type: ignore[no-any-return]
        dtype = torch.float32 if device == "cpu" else torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            out = self.layout.attend(layer, *(x.to(dtype) for x in (query, key, value)), scale)
        return out.to(query.dtype)  # type: ignore[no-any-return]


__all__ = ["FORMS", "chosen_form", "form_indices", "layout_of"]
