"""The editor made of a flow model: pictures of any sizes in, edited pictures of the same sizes out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from common.errors import BadInput
from common.pictures import to_rgb
from editors.base import OnCall, check_batch
from editors.flow import FlowModel, sample
from editors.geometry import Fit, restore


@dataclass(frozen=True)
class FlowEditor:
    """`editors.base.Editor` over a flow model: any sizes in, the same sizes out, batches of one grid inside.

    `reward_path` says that a judge's score of the pictures trains a policy: then decoding in tiles is refused. `on_progress` is
    called with (pictures done, pictures in all) after every batch.
    """

    model: FlowModel
    reward_path: bool = False
    on_progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        if self.reward_path and self.model.tiled:
            raise BadInput("VAE tiling leaves seams that a judge sees and a policy learns; turn it off for rewards")

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        check_batch(images, instructions, seeds)
        working, fits = self._fit(images)
        try:
            results = self._sample(working, instructions, seeds)
        finally:
            self.model.release()
        return [restore(result, fit) for result, fit in zip(results, fits, strict=True)]

    def edit_chain(
        self,
        images: Sequence[Image.Image],
        instructions: Sequence[Sequence[str]],
        seeds: Sequence[Sequence[int]],
        on_call: OnCall | None = None,
    ) -> list[list[Image.Image]]:
        """Several calls in a row on each picture: call k edits the result of call k - 1 by `instructions[b][k]` and `seeds[b][k]`.

        Between the calls a picture stays at the working grid of the first call, so that it is resized to the grid once and
        back once. Returns the results of all calls of each picture, at the picture's own size. `on_call(b, k, picture)` hears
        of each as soon as it is there.
        """
        check_batch(images, instructions, seeds)  # type: ignore[arg-type]
        for b, (texts, own) in enumerate(zip(instructions, seeds, strict=True)):
            if len(texts) != len(own):
                raise BadInput(f"picture {b} has {len(texts)} instructions and {len(own)} seeds; it needs one each")
        working, fits = self._fit(images)
        chains: list[list[Image.Image]] = [[] for _ in images]
        try:
            for k in range(max((len(texts) for texts in instructions), default=0)):
                rows = [b for b, texts in enumerate(instructions) if k < len(texts)]
                results = self._sample(
                    [working[b] for b in rows], [instructions[b][k] for b in rows], [seeds[b][k] for b in rows]
                )
                for b, result in zip(rows, results, strict=True):
                    working[b] = result
                    chains[b].append(restore(result, fits[b]))
                    if on_call is not None:
                        on_call(b, k, chains[b][-1])
        finally:
            self.model.release()
        return chains

    def unread(self, instructions: Sequence[str]) -> list[str]:
        """As in `editors.base.LimitedEditor`."""
        return self.model.unread(instructions)

    def _fit(self, images: Sequence[Image.Image]) -> tuple[list[Image.Image], list[Fit]]:
        fitted = [self.model.fit(to_rgb(image)) for image in images]
        return [image for image, _ in fitted], [fit for _, fit in fitted]

    @torch.no_grad()
    def _sample(
        self, working: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        """Edit fitted pictures at their own sizes. Pictures of one size share batches; none is stretched."""
        settings, done = self.model.settings, 0
        results: list[Image.Image | None] = [None] * len(working)
        lengths = [self.model.text_length(text) for text in instructions]
        shapes = [(image.size, length) for image, length in zip(working, lengths, strict=True)]
        for rows in batches(shapes, settings.batch_size):
            conditioning = self.model.prepare([working[b] for b in rows], [instructions[b] for b in rows])
            latents = self.model.noise(conditioning, [seeds[b] for b in rows])
            latents = sample(self.model, conditioning, latents, settings)
            for b, picture in zip(rows, self.model.decode(conditioning, latents), strict=True):
                results[b] = picture
            done += len(rows)
            if self.on_progress is not None:
                self.on_progress(done, len(working))
        return [picture for picture in results if picture is not None]


def batches(shapes: Sequence[Hashable], batch_size: int) -> list[list[int]]:
    """Rows of equal shape together, in order, at most `batch_size` of them at a time."""
    groups: dict[Hashable, list[int]] = {}
    for row, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(row)
    return [rows[i : i + batch_size] for rows in groups.values() for i in range(0, len(rows), batch_size)]


__all__ = ["FlowEditor", "batches"]
