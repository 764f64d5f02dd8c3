"""A batch of answers, and what of it a device needs: made and moved once, used by every pass over the batch.

Suffixes: B sequences, T tokens of the longest answer, N tokens of the packed row, M distinct answer tokens ("targets"), I picture
tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from agents.backends.attention import AttentionLayout
from agents.backends.packed import picture_places
from agents.backends.vlm import VLM, EncodedPrompt
from common.errors import BadInput
from rl.attention.forms import form_indices, layout_of
from rl.attention.shape import RowShape, bucket
from rl.prefix import pack
from rl.transfer import move


@dataclass(frozen=True)
class TextBatch:
    """B prompts with one completion each (the same prompt object may come several times: its pictures then pass once).

    `values`: tensors on the CPU that a loss wants beside the log-probabilities; they travel with the batch (`values_on`)."""

    prompts: Sequence[EncodedPrompt]
    completions: Sequence[Sequence[int]]
    values: Mapping[str, Tensor] = field(default_factory=dict, compare=False)
    _ready: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def check(self) -> None:
        """Raises BadInput for an empty batch or a completion without tokens."""
        lengths = [len(c) for c in self.completions]
        if not lengths or min(lengths) == 0 or len(lengths) != len(self.prompts):
            raise BadInput(
                f"{len(self.prompts)} prompts, completions of lengths {lengths}: each prompt needs one of at least 1 token"
            )

    @property
    def mask_BT(self) -> Tensor:
        """True on the answers' tokens; on the CPU."""
        lengths = torch.tensor([len(c) for c in self.completions])
        return torch.arange(int(lengths.max()))[None] < lengths[:, None]

    @property
    def order(self) -> tuple[list[EncodedPrompt], list[list[int]]]:
        """The distinct prompts, and for each of them the batch's rows that answer it."""
        members: dict[int, list[int]] = {}
        for b, prompt in enumerate(self.prompts):
            members.setdefault(id(prompt), []).append(b)
        rows = list(members.values())
        return [self.prompts[bs[0]] for bs in rows], rows

    def values_on(self, device: torch.device) -> Mapping[str, Tensor]:
        """`values` on a device: they are there where a policy has prepared the batch."""
        key = ("values", device)
        if key not in self._ready:
            self._ready[key] = move(self.values, device)
        return self._ready[key]  # type: ignore[no-any-return]

    def packed_on(self, vlm: VLM, form: str, padded: bool) -> PackedRow:
        """The batch as one row of trees on the model's device, for one form of attention (rl/attention/forms.py); `padded` to one
        of few lengths (rl/attention/shape.py)."""
        model = vlm.model
        key = (form, padded, model.device, model.dtype)
        if key not in self._ready:
            self._ready[key] = self._pack(vlm, form, padded)
        return self._ready[key]  # type: ignore[no-any-return]

    def _pack(self, vlm: VLM, form: str, padded: bool) -> PackedRow:
        device, dtype = vlm.model.device, vlm.model.dtype
        prompts, rows = self.order
        answers = [[self.completions[b] for b in bs] for bs in rows]
        row = pack(prompts, vlm.prompts.positions(prompts), answers, bucket if padded else None, vlm.eos_id)
        paths = dict(zip([b for bs in rows for b in bs], row.paths, strict=True))
        place_BT = torch.nn.utils.rnn.pad_sequence([paths[b] for b in range(len(paths))], batch_first=True)
        own = {
            "ids": row.ids_N,
            "positions": row.positions_3N,
            "pictures": picture_places(vlm, row.ids_N),
            "source": row.source_M,
            "target": row.target_M,
            "place": place_BT,
            "mask": self.mask_BT,
        }
        indices = form_indices(form, row.shape)
        groups = {"own": own, "index": indices, "value": self.values}
        there = move({f"{g}.{name}": t for g, ts in groups.items() for name, t in ts.items()}, device)
        split = {g: {name: there[f"{g}.{name}"] for name in ts} for g, ts in groups.items()}
        self._ready["values", device] = split["value"]
        return PackedRow(row.shape, form, split["own"], split["index"], dtype)


@dataclass(frozen=True)
class PackedRow:
    """A packed row on its device."""

    shape: RowShape
    form: str
    own: Mapping[str, Tensor]
    indices: Mapping[str, Tensor]
    dtype: torch.dtype

    def layout(self) -> AttentionLayout:
        """Block masks are made at the first call and kept with the row. The masks of `masks`, which are large, are made for each
        pass and go with it."""
        return self._kept if self.form != "masks" else self._made()

    @cached_property
    def _kept(self) -> AttentionLayout:
        return self._made()

    def _made(self) -> AttentionLayout:
        return layout_of(self.form, self.shape, self.indices, self.dtype)


__all__ = ["PackedRow", "TextBatch"]
