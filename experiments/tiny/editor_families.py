"""The two editor families as something to train: what learns, how text is read, and the velocity of packed latents.

Everything goes through the pipelines' own parts, so that what was trained is what `from_pretrained` loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import FluxKontextPipeline, QwenImageEditPipeline
from PIL import Image
from torch import Tensor, nn

from editors.onednn import use_onednn
from experiments.tiny.autoencoder import decode, mode

EMPTY = " "  # the instruction that stands for none, in classifier-free dropout and as negative prompt
BUCKETS = (24, 64)  # token counts to which FLUX's instructions are padded; its attention sees the padding


@dataclass(frozen=True)
class Text:
    """Instructions read by the text encoders: [B, L, D], and what else the transformer of the family takes."""

    states_BLD: Tensor
    pooled_BD: Tensor | None = None
    mask_BL: Tensor | None = None


class Family(Protocol):
    pipe: Any
    learning: dict[str, nn.Module]
    taps: tuple[nn.Module, nn.Module]  # an early and a late block of the transformer, for read-outs while it learns

    def text(self, instructions: Sequence[str], images: Sequence[Image.Image], least: int = 0) -> Text: ...
    def velocity(self, x_BNC: Tensor, source_BNC: Tensor, t_B: Tensor, text: Text) -> Tensor: ...
    def pack(self, images_BCHW: Tensor) -> Tensor: ...
    def unpack(self, latents_BNC: Tensor, height: int, width: int) -> Tensor: ...


def pack(latents_BCHW: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, h/2 * w/2, 4C]: 2x2 latents are one token, as in both pipelines."""
    b, c, h, w = latents_BCHW.shape
    return latents_BCHW.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, 4 * c)


def unpack(latents_BNC: Tensor, h: int, w: int) -> Tensor:
    """The inverse of `pack` for latents of h x w."""
    b, _, c = latents_BNC.shape
    return latents_BNC.view(b, h // 2, w // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, c // 4, h, w)


class Kontext:
    """FLUX Kontext: transformer and both text encoders learn."""

    def __init__(self, pipe: FluxKontextPipeline) -> None:
        self.pipe = pipe
        self.learning = {n: getattr(pipe, n) for n in ("transformer", "text_encoder", "text_encoder_2")}
        blocks = [*pipe.transformer.transformer_blocks, *pipe.transformer.single_transformer_blocks]
        self.taps = (blocks[len(blocks) // 3 - 1], blocks[len(blocks) * 2 // 3])
        for module in self.learning.values():
            use_onednn(module)

    def text(self, instructions: Sequence[str], images: Sequence[Image.Image], least: int = 0) -> Text:
        """`least` pads further than the instructions need."""
        pipe, texts = self.pipe, list(instructions)
        clip = pipe.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        longest = max(least, *map(len, pipe.tokenizer_2(texts).input_ids))
        room = next((b for b in BUCKETS if longest <= b), BUCKETS[-1])
        t5 = pipe.tokenizer_2(texts, padding="max_length", max_length=room, truncation=True, return_tensors="pt")
        device = pipe.transformer.device
        return Text(pipe.text_encoder_2(t5.input_ids.to(device))[0], pipe.text_encoder(clip.to(device)).pooler_output)

    def velocity(self, x_BNC: Tensor, source_BNC: Tensor, t_B: Tensor, text: Text) -> Tensor:
        side = int(x_BNC.shape[1] ** 0.5)
        ids = FluxKontextPipeline._prepare_latent_image_ids(1, side, side, x_BNC.device, x_BNC.dtype)
        source_ids = ids.clone()
        source_ids[:, 0] = 1  # the first coordinate tells source from result
        out = self.pipe.transformer(
            hidden_states=torch.cat([x_BNC, source_BNC], 1),
            encoder_hidden_states=text.states_BLD,
            pooled_projections=text.pooled_BD,
            timestep=t_B,
            txt_ids=ids.new_zeros(text.states_BLD.shape[1], 3),
            img_ids=torch.cat([ids, source_ids]),
            return_dict=False,
        )[0]
        return out[:, : x_BNC.shape[1]]

    def pack(self, images_BCHW: Tensor) -> Tensor:
        config = self.pipe.vae.config
        return pack((mode(self.pipe.vae, images_BCHW) - config.shift_factor) * config.scaling_factor)

    def unpack(self, latents_BNC: Tensor, height: int, width: int) -> Tensor:
        config, factor = self.pipe.vae.config, self.pipe.vae_scale_factor
        latents = unpack(latents_BNC, height // factor, width // factor)
        return decode(self.pipe.vae, latents / config.scaling_factor + config.shift_factor)


class Qwen:
    """Qwen-Image-Edit: the transformer learns; text and picture are read by the frozen Qwen2.5-VL."""

    def __init__(self, pipe: QwenImageEditPipeline) -> None:
        self.pipe = pipe
        self.learning = {"transformer": pipe.transformer}
        blocks = pipe.transformer.transformer_blocks
        self.taps = (blocks[len(blocks) // 3 - 1], blocks[len(blocks) * 2 // 3])
        for module in (pipe.transformer, pipe.text_encoder):
            use_onednn(module)

    @torch.no_grad()
    def text(self, instructions: Sequence[str], images: Sequence[Image.Image], least: int = 0) -> Text:
        states, mask = self.pipe._get_qwen_prompt_embeds(list(instructions), list(images))
        return Text(states, mask_BL=mask)

    def velocity(self, x_BNC: Tensor, source_BNC: Tensor, t_B: Tensor, text: Text) -> Tensor:
        side = int(x_BNC.shape[1] ** 0.5)
        out = self.pipe.transformer(
            hidden_states=torch.cat([x_BNC, source_BNC], 1),
            encoder_hidden_states=text.states_BLD,
            encoder_hidden_states_mask=text.mask_BL,
            timestep=t_B,
            img_shapes=[[(1, side, side), (1, side, side)]] * len(x_BNC),
            return_dict=False,
        )[0]
        return out[:, : x_BNC.shape[1]]

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.pipe.vae.config
        mean, std = (like.new_tensor(v).view(1, -1, 1, 1) for v in (config.latents_mean, config.latents_std))
        return mean, std

    def pack(self, images_BCHW: Tensor) -> Tensor:
        latents = mode(self.pipe.vae, images_BCHW)
        mean, std = self._scale(latents)
        return pack((latents - mean) / std)

    def unpack(self, latents_BNC: Tensor, height: int, width: int) -> Tensor:
        factor = self.pipe.vae_scale_factor
        latents = unpack(latents_BNC, height // factor, width // factor)
        mean, std = self._scale(latents)
        return decode(self.pipe.vae, latents * std + mean)


@torch.no_grad()
def euler(family: Family, source_BNC: Tensor, text: Text, steps: int, generator: torch.Generator) -> Tensor:
    """Packed results [B, N, C] by Euler steps with the pipeline's own schedule: a quick look while training."""
    pipe, n = family.pipe, source_BNC.shape[1]
    config = pipe.scheduler.config
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    mu = config.base_shift + (n - config.base_image_seq_len) * slope
    sigmas = torch.linspace(1, 1 / steps, steps).numpy()
    pipe.scheduler.set_timesteps(sigmas=sigmas, mu=mu, device=source_BNC.device)
    times = pipe.scheduler.sigmas
    x = torch.randn(source_BNC.shape, generator=generator).to(source_BNC)
    for now, then in zip(times[:-1], times[1:], strict=True):
        t = now.expand(len(x)).to(x)
        x = x + (then - now) * family.velocity(x, source_BNC, t, text)
    return x


__all__ = ["BUCKETS", "EMPTY", "Family", "Kontext", "Qwen", "Text", "euler", "pack", "unpack"]
