"""The flow core: what every diffusion editor of this kind does, and the editor made of it.

A `FlowModel` (editors/qwen.py, editors/flux_kontext.py) encodes, predicts velocities and decodes; `sample` walks from noise
to the edited latents; `FlowEditor` brings any pictures through it. Flow-GRPO uses the same pieces with noisy steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from common.errors import BadInput, RunFailed
from editors.base import check_batch
from editors.geometry import Fit, restore, to_rgb
from editors.steps import SDEStep, Sigma, mean_kl, ode_step, sde_step


@dataclass(frozen=True)
class FlowSettings:
    """What an edit costs and how it is guided."""

    steps: int
    area: int  # pixels of the working grid, e.g. 1024 * 1024
    true_cfg: float = 1.0  # classifier-free guidance with a negative prompt, two forwards a step; 1 is off
    guidance: float | None = None  # embedded guidance of distilled models (FLUX)
    negative_prompt: str | None = " "
    batch_size: int = 8
    max_sequence_length: int = 512  # tokens of an instruction, where the model pads to a fixed length
    multiple: int = 0  # of the grid's sides, in pixels; 0: the smallest that the model takes

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.max_sequence_length < 1:
            raise BadInput(
                f"steps ({self.steps}), batch_size ({self.batch_size}) and max_sequence_length ({self.max_sequence_length}) "
                "must be at least 1"
            )
        if not self.true_cfg >= 1:
            raise BadInput(f"true_cfg={self.true_cfg} would be ignored: it guides above 1, and 1 turns it off")
        if self.true_cfg > 1 and not self.negative_prompt:
            raise BadInput(
                f"true_cfg={self.true_cfg} guides away from a negative prompt and there is none; "
                'give negative_prompt=" " (one blank), or true_cfg=1 to turn it off'
            )

    @property
    def guided(self) -> bool:
        """Whether every step has a second forward for the negative prompt."""
        return self.true_cfg > 1


@dataclass(frozen=True)
class Text:
    """Encoded instructions: embeds [B, T, D], padded on the right where mask [B, T] is False (None: no padding), and
    pooled [B, D] for models that want it."""

    embeds: Tensor
    mask: Tensor | None = None
    pooled: Tensor | None = None

    @classmethod
    def pad(cls, rows: Sequence[Tensor]) -> Text:
        """Rows [T_b, D] of different lengths as one batch."""
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        embeds = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
        return cls(embeds, _mask(lengths, embeds.shape[1]))

    def select(self, rows: Sequence[int]) -> Text:
        """These rows (repeats allowed), without columns that only other rows needed: padding is never worth computing."""
        index = torch.as_tensor(rows, device=self.embeds.device)
        embeds, mask = self.embeds[index], None
        if self.mask is not None:
            lengths = self.mask[index].sum(1)
            width = int(lengths.max())
            embeds, mask = embeds[:, :width], _mask(lengths, width)
        return Text(embeds, mask, None if self.pooled is None else self.pooled[index])


def _mask(lengths: Tensor, width: int) -> Tensor | None:
    mask = torch.arange(width, device=lengths.device)[None] < lengths[:, None]
    return None if bool(mask.all()) else mask


@dataclass(frozen=True)
class Prepared:
    """Pictures of one grid and their instructions, encoded once; G variants share them by `repeat(G)`."""

    grid: tuple[int, int]  # width, height in pixels
    source: Tensor  # [B, N, C], packed latents of the pictures
    text: Text
    negative: Text | None = None  # None: not guided

    def __len__(self) -> int:
        return len(self.source)

    def select(self, rows: Sequence[int]) -> Prepared:
        """These rows, in this order, repeats allowed."""
        index = torch.as_tensor(rows, device=self.source.device)
        negative = None if self.negative is None else self.negative.select(rows)
        return replace(self, source=self.source[index], text=self.text.select(rows), negative=negative)

    def repeat(self, times: int) -> Prepared:
        """Every row `times` times, side by side: [B * times, ...]."""
        return self.select([row for row in range(len(self)) for _ in range(times)])


class FlowModel(Protocol):
    """What the flow core needs of an editor's model. Latents are packed, [B, N, C], in float32."""

    settings: FlowSettings

    def fit(self, image: Image.Image) -> tuple[Image.Image, Fit]:
        """An RGB picture at the model's grid, and how to undo it; depends on the picture's size alone."""

    def prepare(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> Prepared:
        """Encode fitted pictures of one size and their instructions; equal ones are encoded once."""

    def noise(self, prepared: Prepared, seeds: Sequence[int]) -> Tensor:
        """[B, N, C], each row from its own seed alone."""

    def sigmas(self, prepared: Prepared, steps: int) -> Tensor:
        """[S + 1], falling to 0: the schedule of the model's own scheduler for this grid."""

    def velocity(self, prepared: Prepared, latents: Tensor, sigma: Sigma) -> Tensor:
        """[B, N, C] at a sigma (one for all rows or [B]), guided as the settings say; keeps gradients."""

    def decode(self, prepared: Prepared, latents: Tensor) -> list[Image.Image]:
        """Pictures of the grid's size. Raises RunFailed where the decoder gives no numbers."""

    def reset(self) -> None:
        """Forget what a cache kept of an earlier walk; called before each."""

    def release(self) -> None:
        """Bring parts that were moved to a GPU back, where that is configured; called after the last walk."""

    @property
    def tiled(self) -> bool:
        """Whether pictures are decoded in tiles, whose seams a judge would see."""


OnStep = Callable[[int, Tensor], None]  # (steps done, latents)


@torch.no_grad()
def sample(
    model: FlowModel, prepared: Prepared, latents: Tensor, settings: FlowSettings, on_step: OnStep | None = None
) -> Tensor:
    """Walk from noise [B, N, C] to the edited latents [B, N, C] by Euler steps.

    Raises RunFailed, naming the step, where the latents are no longer finite.
    """
    sigmas = model.sigmas(prepared, settings.steps)
    model.reset()
    for i in range(settings.steps):
        latents = ode_step(latents, model.velocity(prepared, latents, sigmas[i]), sigmas[i], sigmas[i + 1])
        check_finite(latents, f"the latents after step {i + 1} of {settings.steps} (sigma {float(sigmas[i]):.3f})")
        if on_step is not None:
            on_step(i + 1, latents)
    return latents


def check_finite(values: Tensor, what: str) -> None:
    """Raise RunFailed where there is a NaN or an infinity in [B, ...], naming `what` and the rows."""
    good = values.isfinite().flatten(1).all(1)
    if not bool(good.all()):
        rows = (~good).nonzero().flatten().tolist()
        raise RunFailed(
            f"{what} are NaN or infinite in rows {rows} of {len(values)}: the weights or the number format are at fault; "
            "try dtype=float32, check the checkpoint, and lower true_cfg"
        )


@dataclass(frozen=True)
class FlowEditor:
    """`editors.base.Editor` over a flow model: any sizes in, the same sizes out, batches of one grid inside.

    `reward_path` says that a judge's score will train something: then decoding in tiles is refused. `on_progress` is told
    (pictures done, pictures in all) after every batch.
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
            results = self._walk(working, instructions, seeds)
        finally:
            self.model.release()
        return [restore(result, fit) for result, fit in zip(results, fits, strict=True)]

    def edit_chain(
        self, images: Sequence[Image.Image], instructions: Sequence[Sequence[str]], seeds: Sequence[Sequence[int]]
    ) -> list[list[Image.Image]]:
        """Several calls in a row on each picture: `instructions[b][k]` with `seeds[b][k]` on what call k - 1 gave.

        Between the calls a picture stays at the working grid of the first call, so that it is brought to the grid once and
        back once. Returns, for each picture, what each of its calls gave, at the picture's own size.
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
                results = self._walk(
                    [working[b] for b in rows], [instructions[b][k] for b in rows], [seeds[b][k] for b in rows]
                )
                for b, result in zip(rows, results, strict=True):
                    working[b] = result
                    chains[b].append(restore(result, fits[b]))
        finally:
            self.model.release()
        return chains

    def _fit(self, images: Sequence[Image.Image]) -> tuple[list[Image.Image], list[Fit]]:
        fitted = [self.model.fit(to_rgb(image)) for image in images]
        return [image for image, _ in fitted], [fit for _, fit in fitted]

    @torch.no_grad()
    def _walk(
        self, working: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        """Fitted pictures to edited ones of the same sizes: pictures of one size share batches, none is stretched."""
        settings, done = self.model.settings, 0
        results: list[Image.Image | None] = [None] * len(working)
        for rows in batches([image.size for image in working], settings.batch_size):
            prepared = self.model.prepare([working[b] for b in rows], [instructions[b] for b in rows])
            latents = self.model.noise(prepared, [seeds[b] for b in rows])
            latents = sample(self.model, prepared, latents, settings)
            for b, picture in zip(rows, self.model.decode(prepared, latents), strict=True):
                results[b] = picture
            done += len(rows)
            if self.on_progress is not None:
                self.on_progress(done, len(working))
        return [picture for picture in results if picture is not None]


def batches(sizes: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Rows of equal size together, in order, at most `batch_size` of them at a time."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(size, []).append(row)
    return [rows[i : i + batch_size] for rows in groups.values() for i in range(0, len(rows), batch_size)]


__all__ = [
    "FlowEditor",
    "FlowModel",
    "FlowSettings",
    "Prepared",
    "SDEStep",
    "Text",
    "batches",
    "check_finite",
    "mean_kl",
    "ode_step",
    "sample",
    "sde_step",
]
