"""What CLIP and DINO see: how near the edited picture is to another one, to a caption, and which way it went.

* `clip_i`, `dino`: cosine of the embeddings of the edited picture and the one it is compared with (Emu Edit's CLIPimg is
  `clip_i@source`, MagicBrush's CLIP-I is `clip_i`);
* `clip_t`: cosine of the edited picture's and the target caption's embeddings (Emu Edit's CLIPout), not scaled;
* `clip_dir`: cosine of (edited - source) in pictures and (target - source) in captions (arXiv 2108.00946), between
  embeddings of length 1 as in InstructPix2Pix (arXiv 2211.09800). A picture that did not change went nowhere: 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from judges.metrics.base import Case, Reading
from judges.metrics.encoders import ClipEncoder, DinoEncoder, cosine
from judges.metrics.names import MetricName


class EmbeddingMetric:
    """The metrics of one encoder: every picture and caption of a batch passes through it once."""

    def __init__(self, names: Sequence[MetricName], encoder: ClipEncoder | DinoEncoder) -> None:
        self.names = tuple(names)
        self.keys = tuple(n.key for n in names)
        pictures = {n.against for n in names} - {"captions"}
        self.needs = frozenset(pictures | ({"source"} if any(n.base == "clip_dir" for n in names) else set()))
        self.encoder = encoder

    def measure(self, cases: Sequence[Case]) -> list[dict[str, Reading]]:
        if not cases:
            return []
        seen = self._encode(cases)
        return [{n.key: self._one(n, case, seen) for n in self.names} for case in cases]

    def _encode(self, cases: Sequence[Case]) -> dict[Any, torch.Tensor]:
        """Embeddings by the picture's identity (`cases` keeps them alive) or the caption's text."""
        shown = [
            p for c in cases for p in (c.edited, *(c.target(a) for a in ("source", "reference") if a in self.needs))
        ]
        pictures: dict[Any, Image.Image] = {id(p): p for p in shown if p is not None}
        seen = dict(zip(pictures, self.encoder.pictures(list(pictures.values())), strict=True))
        if any(n.against == "captions" for n in self.names) and isinstance(self.encoder, ClipEncoder):
            distinct = {t for c in cases for t in (c.source_caption, c.target_caption) if t}
            captions = sorted(distinct)
            if captions:
                seen |= dict(zip(captions, self.encoder.captions(captions), strict=True))
        return seen

    def _one(self, name: MetricName, case: Case, seen: dict[Any, torch.Tensor]) -> Reading:
        edited = seen[id(case.edited)]
        if name.base == "clip_t":
            if not case.target_caption:
                return Reading.none("the item has no caption of the target")
            return Reading(cosine(edited, seen[case.target_caption]))
        if name.base == "clip_dir":
            return self._direction(case, seen)
        picture = case.target(name.against)
        if picture is None:
            return Reading.none(f"the item has no {name.against} picture")
        return Reading(cosine(edited, seen[id(picture)]))

    def _direction(self, case: Case, seen: dict[Any, torch.Tensor]) -> Reading:
        if case.source is None:
            return Reading.none("the item has no source picture")
        if not case.source_caption or not case.target_caption:
            return Reading.none("the item has no captions of source and target")
        if case.source_caption == case.target_caption:
            return Reading.none("the captions of source and target are the same")
        went = seen[id(case.edited)] - seen[id(case.source)]
        text_direction = seen[case.target_caption] - seen[case.source_caption]
        return Reading(cosine(went, text_direction))


__all__ = ["EmbeddingMetric"]
