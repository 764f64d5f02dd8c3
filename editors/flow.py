"""The flow core: what every diffusion editor of this kind does, from noise to the edited latents.

A `FlowModel` (editors/qwen.py, editors/flux_kontext.py) encodes, predicts velocities and decodes; `sample` takes Euler steps
with it. Pretraining (experiments/tiny) and Flow-GRPO (rl/policies/flow.py) train the same model through the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import torch
from PIL import Image
from torch import Tensor, nn

from common.errors import RunFailed
from editors.conditioning import Conditioning
from editors.geometry import Fit
from editors.settings import FlowSettings
from editors.steps import Sigma, ode_step


class FlowModel(Protocol):
    """What the flow core needs of an editor's model. Latents are packed, [B, N, C], in float32."""

    settings: FlowSettings

    @property
    def transformer(self) -> nn.Module:
        """The network that predicts velocities: what is trained."""

    def with_transformer(self, transformer: nn.Module) -> Self:
        """The same model with another transformer of the same kind; all other parts are shared."""

    def fit(self, image: Image.Image) -> tuple[Image.Image, Fit]:
        """Resize an RGB picture to the model's grid, and say how to undo it; both depend on the picture's size alone."""

    def prepare(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> Conditioning:
        """Encode fitted pictures of one size and their instructions; equal ones are encoded once."""

    def text_length(self, instruction: str) -> int:
        """The number of tokens that the instruction is padded to, 0 in a family without such padding. Edits that share a batch
        have one length."""

    def unread(self, instructions: Sequence[str]) -> list[str]:
        """As in `editors.base.LimitedEditor`."""

    def noise(self, conditioning: Conditioning, seeds: Sequence[int]) -> Tensor:
        """[B, N, C], each row from its own seed alone."""

    def sigmas(self, conditioning: Conditioning, steps: int) -> Tensor:
        """[S + 1], falling to 0: the schedule of the model's own scheduler for this grid."""

    def velocity(self, conditioning: Conditioning, latents: Tensor, sigma: Sigma) -> Tensor:
        """[B, N, C] at a sigma (one for all rows or [B]), guided as the settings say. Gradients flow to the latents,
        the text and the weights."""

    def decode(self, conditioning: Conditioning, latents: Tensor) -> list[Image.Image]:
        """Pictures of the grid's size. Raises RunFailed where the decoder gives no numbers."""

    def reset(self) -> None:
        """Empty the caches of an earlier sampling; called before each."""

    def release(self) -> None:
        """Move parts back from the GPU, where offloading is configured; called after the last batch."""

    @property
    def tiled(self) -> bool:
        """Whether pictures are decoded in tiles, whose seams a judge would see."""


OnStep = Callable[[int, Tensor], None]  # (steps done, latents)


@torch.no_grad()
def sample(
    model: FlowModel, conditioning: Conditioning, latents: Tensor, settings: FlowSettings, on_step: OnStep | None = None
) -> Tensor:
    """Solve the flow from noise [B, N, C] to the edited latents [B, N, C] by Euler steps.

    Raises RunFailed, naming the step, where the latents are no longer finite.
    """
    sigmas = model.sigmas(conditioning, settings.steps)
    model.reset()
    for i in range(settings.steps):
        velocity = model.velocity(conditioning, latents, time_of(sigmas[i]))
        latents = ode_step(latents, velocity, sigmas[i], sigmas[i + 1])
        check_finite(latents, f"the latents after step {i + 1} of {settings.steps} (sigma {float(sigmas[i]):.3f})")
        if on_step is not None:
            on_step(i + 1, latents)
    return latents


def time_of(sigma: Tensor) -> Tensor:
    """The time at which pipelines call the transformer: the scheduler's timestep, 1000 sigma, over 1000. It may differ from sigma
    in the last bit."""
    return sigma * 1000 / 1000


def check_finite(values: Tensor, what: str) -> None:
    """Raise RunFailed where there is a NaN or an infinity in [B, ...], naming `what` and the rows."""
    good = values.isfinite().flatten(1).all(1)
    if not bool(good.all()):
        rows = (~good).nonzero().flatten().tolist()
        raise RunFailed(
            f"{what} are NaN or infinite in rows {rows} of {len(values)}: the weights or the number format are at fault; "
            "try dtype=float32, check the checkpoint, and lower true_cfg"
        )


__all__ = ["FlowModel", "check_finite", "sample", "time_of"]
