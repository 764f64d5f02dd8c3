"""Training the tiny editors' VAE: pictures to latents of unit scale and back, robust to small errors in the latents.

The two families' VAEs differ in class only: AutoencoderKL for pictures, AutoencoderKLQwenImage for videos of which a
picture is the first frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from editors.frames import single_frame

NOISE = 0.1  # standard deviation added to latents of unit scale: an editor's latents are never exact
SCALE_WEIGHT = 1e-4
EDGE_WEIGHT = 0.5  # of the differences of neighbouring pixels: edges must stay sharp


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8[H, W, 3] each -> float [B, 3, H, W] in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def encode(vae: Any, images_BCHW: Tensor) -> Any:
    """The latent distribution of pictures; its mode is [B, C, h, w]."""
    if isinstance(vae, AutoencoderKL):
        return vae.encode(images_BCHW).latent_dist
    with single_frame(vae):
        return vae.encode(images_BCHW.unsqueeze(2)).latent_dist


def decode(vae: Any, latents_BCHW: Tensor) -> Tensor:
    """Raw latents [B, C, h, w] -> pictures [B, 3, H, W]."""
    if isinstance(vae, AutoencoderKL):
        return vae.decode(latents_BCHW).sample
    with single_frame(vae):
        return vae.decode(latents_BCHW.unsqueeze(2)).sample.squeeze(2)


def mode(vae: Any, images_BCHW: Tensor) -> Tensor:
    """Raw latents [B, C, h, w]: the distribution's mode, which both pipelines use."""
    latents = encode(vae, images_BCHW).mode()
    return latents.squeeze(2) if latents.ndim == 5 else latents


def autoencoder_loss(vae: Any, images_BCHW: Tensor, noise_BCHW: Tensor) -> tuple[Tensor, dict[str, float]]:
    """L1 on pixels and on their differences. The mean of the latents' distribution is all that the pipelines read, so it is
    what is decoded here, with a little noise, and what is kept near unit scale."""
    mean = encode(vae, images_BCHW).mean
    mean = mean.squeeze(2) if mean.ndim == 5 else mean
    out = decode(vae, mean + NOISE * noise_BCHW)
    pixels = (out - images_BCHW).abs().mean()
    edges = sum(((out.diff(dim=d) - images_BCHW.diff(dim=d)).abs().mean() for d in (2, 3)), torch.zeros(()))
    scale = mean.square().mean()
    loss = pixels + EDGE_WEIGHT * edges + SCALE_WEIGHT * scale
    return loss, {
        "vae/l1": float(pixels.detach()) * 127.5,
        "vae/edges": float(edges.detach()),
        "vae/scale": float(scale.detach()),
    }


@torch.no_grad()
def set_latent_scale(vae: Any, images_BCHW: Tensor) -> None:
    """Write the latents' mean and standard deviation into the configuration, where the pipelines look for them."""
    latents = mode(vae, images_BCHW)
    if isinstance(vae, AutoencoderKL):  # one number for all channels
        vae.register_to_config(
            shift_factor=round(float(latents.mean()), 5), scaling_factor=round(1 / float(latents.std()), 5)
        )
        return
    dims = (0, 2, 3)
    vae.register_to_config(
        latents_mean=[round(float(v), 5) for v in latents.mean(dims)],
        latents_std=[round(float(v), 5) for v in latents.std(dims)],
    )


__all__ = ["autoencoder_loss", "decode", "encode", "mode", "set_latent_scale", "to_tensor"]
