"""Recipe: the tiny editors' VAE. Pictures to latents of unit scale and back, robust to small errors in the latents.

The VAE is trained through the editor's flow model (`encode_pixels`, `decode_latents`), so that the two families, whose VAEs
are AutoencoderKL for pictures and AutoencoderKLQwenImage for videos, need no code of their own here.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from benchmarks.sandbox.generate import SandboxBenchmark
from benchmarks.sandbox.render import render
from conf.schema import AutoencoderConfig
from editors.pipeline import PipelineModel
from experiments.tiny.updates import clip, named_parameters
from rl.clock import Clock
from rl.config import SFTConfig
from rl.engine.optimizers import Optimizers
from rl.loop import StepResult
from rl.schedule import Trapezoid

SAMPLES = SandboxBenchmark("train", 4000, kinds={"direct": 1.0})


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8[H, W, 3] each -> float [B, 3, H, W] in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def autoencoder_loss(
    model: PipelineModel, images_BCHW: Tensor, noise_BCHW: Tensor, config: AutoencoderConfig
) -> tuple[Tensor, dict[str, float]]:
    """L1 on pixels and on the differences of neighbouring pixels (edges must stay sharp), and a small weight on the latents'
    scale. The pipelines read the mode of the latents' distribution and nothing else, so it is the mode, with a little noise,
    that is decoded here."""
    latents = model.encode_pixels(images_BCHW)
    decoded = model.decode_latents(latents + config.latent_noise * noise_BCHW.view_as(latents))
    pixels = (decoded - images_BCHW).abs().mean()
    edges = sum(
        ((decoded.diff(dim=d) - images_BCHW.diff(dim=d)).abs().mean() for d in (2, 3)), images_BCHW.new_zeros(())
    )
    scale = latents.square().mean()
    loss = pixels + config.edge_weight * edges + config.scale_weight * scale
    return loss, {
        "vae/l1": float(pixels.detach()) * 127.5,
        "vae/edges": float(edges.detach()),
        "vae/scale": float(scale.detach()),
    }


@torch.no_grad()
def set_latent_scale(model: PipelineModel, images_BCHW: Tensor) -> None:
    """Write the latents' mean and standard deviation over these pictures into the VAE's configuration, where the pipelines
    look for them: one number for all channels of an AutoencoderKL, one per channel of an AutoencoderKLQwenImage."""
    vae = model.pipe.vae
    if isinstance(vae, AutoencoderKL):
        vae.register_to_config(shift_factor=0.0, scaling_factor=1.0)
        latents = model.encode_pixels(images_BCHW)
        vae.register_to_config(
            shift_factor=round(float(latents.mean()), 5), scaling_factor=round(1 / float(latents.std()), 5)
        )
        return
    channels = vae.config.z_dim
    vae.register_to_config(latents_mean=[0.0] * channels, latents_std=[1.0] * channels)
    latents = model.encode_pixels(images_BCHW).squeeze(2)
    dims = (0, 2, 3)
    vae.register_to_config(
        latents_mean=[round(float(v), 5) for v in latents.mean(dims)],
        latents_std=[round(float(v), 5) for v in latents.std(dims)],
    )


class AutoencoderTraining:
    """VAE training as an algorithm for `rl.loop.run_loop`; trains the VAE of `model` in place. After the last step `finish`
    freezes it and sets the scale of its latents."""

    def __init__(self, model: PipelineModel, config: AutoencoderConfig, seed: int) -> None:
        self.model, self.config, self.seed = model, config, seed
        self.vae = model.pipe.vae.train()
        self.named = named_parameters({"vae": self.vae})
        settings = SFTConfig(steps=config.steps, lr=config.lr, weight_decay=config.weight_decay, optimizer="muon")
        self.optimizer = Optimizers(self.named, settings)
        self.schedule = Trapezoid(config.lr, config.warmup, config.decay_share, config.steps)

    def pictures(self, step: int, count: int) -> Tensor:
        """[count, 3, 64, 64] in -1..1: pictures of training samples, before or after their edit, as a function of the step."""
        rng = Random(f"vae/{self.seed}/{step}")
        samples = [SAMPLES.sample(rng.randrange(10**7)) for _ in range(count)]
        scenes = [s.after if rng.random() < 0.5 else s.before for s in samples]
        return to_tensor([render(scene, 64) for scene in scenes]).to(self.model.device)

    def step(self, k: int, clock: Clock) -> StepResult:
        pipe, config = self.model.pipe, self.config
        images = self.pictures(k, config.batch_size)
        generator = torch.Generator().manual_seed(self.seed * 10**7 + k)
        side = 64 // pipe.vae_scale_factor
        noise = torch.randn(config.batch_size, pipe.latent_channels, side, side, generator=generator)
        loss, metrics = autoencoder_loss(self.model, images, noise.to(images), config)
        loss.backward()
        clip(self.named.values(), config.max_grad_norm)
        self.optimizer.step(self.schedule.lr_at(k))
        return StepResult(metrics)

    def finish(self) -> None:
        self.vae.eval()
        self.vae.requires_grad_(False)
        set_latent_scale(self.model, self.pictures(-1, 128))

    def state_dict(self) -> dict[str, Any]:
        return {"vae": self.vae.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.vae.load_state_dict(state["vae"])
        self.optimizer.load_state_dict(state["optimizer"])


__all__ = ["AutoencoderTraining", "autoencoder_loss", "set_latent_scale", "to_tensor"]
