"""What is computed once per prompt and then shared by rollouts, training and the reference policy.

Suffixes: P prompts, T tokens of one prompt, D hidden width, L levels of features: 1, and with deepstack one more for each of
the first layers that get some.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from agents.backends.memo import Memo
from agents.backends.pictures import Picture, PictureFeatures

if TYPE_CHECKING:
    from agents.backends.vlm import VLM, EncodedPrompt

Features = tuple[Tensor, ...]  # one [tokens, L D] per image


@dataclass(frozen=True)
class Positions:
    """m-rope positions [3, T] of a prompt's tokens, and the position of the first token after them."""

    prompt_3T: Tensor
    after: int


class PromptStore:
    """Positions and image features of the prompts that are in use."""

    def __init__(self, vlm: VLM) -> None:
        self.vlm = vlm
        self._positions: Memo[EncodedPrompt, Positions] = Memo()
        self._features: Memo[EncodedPrompt, Features] = Memo()
        self.pictures: PictureFeatures | None = None  # of a frozen tower, kept beyond the prompts' lives

    def positions(self, prompts: Sequence[EncodedPrompt]) -> list[Positions]:
        return self._positions.many(prompts, self._compute_positions)

    def features(self, prompts: Sequence[EncodedPrompt]) -> list[Features]:
        """Image features of each prompt, () for one without pictures; a prompt that comes twice passes once.

        A frozen tower (nothing in it requires a gradient) sees each picture once while its prompt lives, or, with `pictures`,
        once in a run; weights copied into it make the features stale. A tower in training is run every time, with
        gradient where that is enabled, since an optimiser changes weights without a new version number.
        """
        tower = list(self.vlm.model.model.visual.parameters())
        if any(p.requires_grad for p in tower):
            distinct = {id(p): p for p in prompts}
            features = dict(zip(distinct, compute_features(self.vlm, list(distinct.values())), strict=True))
            return [features[id(p)] for p in prompts]
        stamp = (sum(p._version for p in tower), *(p.data_ptr() for p in tower))
        with torch.no_grad():
            return self._features.many(prompts, lambda missing: self._compute_features(missing, stamp), stamp)

    def _compute_features(self, prompts: list[EncodedPrompt], stamp: Hashable) -> list[Features]:
        if self.pictures is None:
            return compute_features(self.vlm, prompts)
        device = self.vlm.model.device
        pictures_of = [split_pictures(prompt) for prompt in prompts]
        features = iter(self.pictures.many([p for ps in pictures_of for p in ps], lambda p: _alone(self.vlm, p), stamp))
        return [tuple(next(features).to(device) for _ in pictures) for pictures in pictures_of]

    def _compute_positions(self, prompts: Sequence[EncodedPrompt]) -> list[Positions]:
        ids = torch.nn.utils.rnn.pad_sequence([p.input_ids for p in prompts], batch_first=True)
        mask = torch.arange(ids.shape[1])[None] < torch.tensor([len(p) for p in prompts])[:, None]
        grids = [p.grid_thw for p in prompts if p.grid_thw is not None]
        positions_3PT, _ = self.vlm.model.model.get_rope_index(
            ids,
            (ids == self.vlm.image_token_id).long(),
            torch.cat(grids) if grids else None,
            attention_mask=mask.long(),
        )
        rows = [positions_3PT[:, i, : len(p)].clone() for i, p in enumerate(prompts)]
        return [Positions(row, int(row.max()) + 1) for row in rows]


def split_pictures(prompt: EncodedPrompt) -> list[Picture]:
    """A prompt's pictures one by one."""
    if prompt.pixel_values is None or prompt.grid_thw is None:
        return []
    sizes = prompt.grid_thw.prod(-1).tolist()
    return list(zip(prompt.pixel_values.split(sizes), prompt.grid_thw.split(1), strict=True))


def _alone(vlm: VLM, picture: Picture) -> Tensor:
    pixels, grid = (part.to(vlm.model.device) for part in picture)
    return next(iter(_features(vlm, pixels, grid)))


def compute_features(vlm: VLM, prompts: Sequence[EncodedPrompt]) -> list[Features]:
    """Features of each prompt's images, all of them in one pass of the vision tower (with gradient where it is on)."""
    pixels = [p.pixel_values for p in prompts if p.pixel_values is not None]
    grids = [p.grid_thw for p in prompts if p.grid_thw is not None]
    if not pixels:
        return [() for _ in prompts]
    device = vlm.model.device
    flat = iter(_features(vlm, torch.cat(pixels).to(device), torch.cat(grids).to(device)))
    return [tuple(next(flat) for _ in range(0 if p.grid_thw is None else len(p.grid_thw))) for p in prompts]


def _features(vlm: VLM, pixels: Tensor, grids: Tensor) -> Sequence[Tensor]:
    """What the vision tower gives for each picture, all levels side by side."""
    out: Any = vlm.model.model.get_image_features(pixels, grids, return_dict=True)
    if not vlm.family.deepstack:
        return out.pooler_output
    levels = [out.pooler_output, *out.deepstack_features]
    return [torch.cat(of_picture, -1) for of_picture in zip(*levels, strict=True)]


def encoder_outputs(vlm: VLM, features: Features) -> dict[str, Any] | None:
    """The features of a batch's pictures, in order, as the model's forward takes them in place of pixels."""
    if not features:
        return None
    if not vlm.family.deepstack:
        return {"image": SimpleNamespace(pooler_output=features)}
    width = vlm.model.config.get_text_config().hidden_size
    first, *deeper = zip(*(f.split(width, -1) for f in features), strict=True)
    return {"image": SimpleNamespace(pooler_output=first, deepstack_features=deeper)}


__all__ = ["Features", "Positions", "PromptStore", "compute_features", "encoder_outputs"]
