"""Flow models for tests of the flow policy: a hand-written one whose every number can be worked out, and a real pipeline."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from editors.conditioning import Conditioning, TextEmbeddings
from editors.flux_kontext import KontextModel
from editors.geometry import Fit, fit_to_grid
from editors.settings import FlowSettings
from rl.policies.flow import FlowPolicy, StepNoise, Trajectory
from tests.editor_pipelines import noise_picture, small_kontext

TEXTS = ["make the sky red", "add a hat"]
NOISE = StepNoise(level=0.6)


class LinearFlow:
    """velocity = W [x, source] + u t + mean of the text: three parameters and no hidden layer. It is no `PipelineModel`. The source
    is the picture's mean level; latents are 2 x 2 pixels, red and green."""

    tiled = False

    def __init__(self, channels: int = 2, seed: int = 0) -> None:
        self.settings = FlowSettings(steps=4, area=64)
        generator = torch.Generator().manual_seed(seed)
        self.transformer = nn.Module()
        self.transformer.weight = nn.Parameter(0.3 * torch.randn(channels, 2 * channels, generator=generator))
        self.transformer.slope = nn.Parameter(torch.randn(channels, generator=generator))
        self.encoded = 0

    def with_transformer(self, transformer: nn.Module) -> LinearFlow:
        model = copy.copy(self)
        model.transformer = transformer
        return model

    def prepare(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> Conditioning:
        self.encoded += len(images)
        channels = len(self.transformer.slope)
        rows = [torch.full((len(text), channels), len(text) / 10) for text in instructions]
        source = torch.stack([torch.full((4, channels), float(np.asarray(image).mean()) / 255) for image in images])
        return Conditioning((2, 2), source, TextEmbeddings.pad(rows))

    def noise(self, conditioning: Conditioning, seeds: Sequence[int]) -> Tensor:
        shape = conditioning.source.shape[1:]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def sigmas(self, conditioning: Conditioning, steps: int) -> Tensor:
        return torch.linspace(1, 0, steps + 1)

    def velocity(self, conditioning: Conditioning, latents: Tensor, sigma: float | Tensor) -> Tensor:
        t = torch.as_tensor(sigma, dtype=torch.float32).expand(len(latents))[:, None, None]
        inputs = torch.cat([latents, conditioning.source], -1)
        mask = conditioning.text.mask
        words = conditioning.text.embeds if mask is None else conditioning.text.embeds * mask[..., None]
        count = words.shape[1] if mask is None else mask.sum(1)[:, None]
        return inputs @ self.transformer.weight.T + t * self.transformer.slope + (words.sum(1) / count)[:, None]

    def reset(self) -> None: ...

    def fit(self, image: Image.Image) -> tuple[Image.Image, Fit]:
        return fit_to_grid(image, 4, 2)

    def text_length(self, instruction: str) -> int:
        return 0

    def decode(self, conditioning: Conditioning, latents: Tensor) -> list[Image.Image]:
        levels = ((latents.sigmoid() * 255).round().byte()).reshape(-1, 2, 2, latents.shape[2]).numpy()
        return [Image.fromarray(np.dstack([rows, rows[..., :1]])) for rows in levels]


def linear_policy(noise: StepNoise = NOISE, seed: int = 0) -> FlowPolicy:
    return FlowPolicy(LinearFlow(seed=seed), noise)  # type: ignore[arg-type]


def kontext_policy(noise: StepNoise = NOISE, true_cfg: float = 1.0, **options: Any) -> FlowPolicy:
    """A small FLUX Kontext with random weights, the same in every process."""
    torch.manual_seed(0)
    pipe = small_kontext()
    for p in pipe.transformer.parameters():  # gates that start near 0 would hide the blocks
        p.data.normal_(0, 0.1)
    settings = FlowSettings(steps=4, area=32 * 32, true_cfg=true_cfg, max_sequence_length=16)
    return FlowPolicy(KontextModel(pipe, settings), noise, **options)


def trajectories(policy: FlowPolicy, group: int = 2, steps: int = 4, seed: int = 0) -> list[Trajectory]:
    """`group` trajectories of each of two pictures with their instructions."""
    images = [noise_picture((32, 32), k) for k in range(len(TEXTS))]
    conditioning = policy.flow.prepare(images, TEXTS)
    rows = [p for p in range(len(TEXTS)) for _ in range(group)]
    seeds = [1000 * seed + b for b in range(len(rows))]
    noise = policy.flow.noise(conditioning.select(rows), seeds)
    return policy.sample(conditioning, rows, noise, seeds, steps)


__all__ = ["NOISE", "LinearFlow", "kontext_policy", "linear_policy", "trajectories"]
