"""Random tiny pipelines of the real classes, pictures, and measures that the tests of the diffusion editors share."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from agents.backends.vlm import VLM

WORDS = ["make", "the", "sky", "darker", "and", "add", "a", "red", "hat", "remove", "turn", "into", "blue", "circle"]
SMALL: dict[str, Any] = {"width": 32, "heads": 2, "rope": (4, 6, 6), "latents": 4}


def small_qwen(vlm: VLM, plus: bool = False) -> Any:
    """A QwenImageEdit(Plus)Pipeline with random weights. Its template is short, since the tests' tokenizer spells every byte."""
    from diffusers import QwenImageEditPlusPipeline

    from editors.tiny import QwenShape, tiny_qwen_pipeline

    pipe = tiny_qwen_pipeline(vlm, QwenShape(blocks=2, vae_channels=8, **SMALL))
    if plus:
        pipe = QwenImageEditPlusPipeline(**pipe.components)
        pipe.set_progress_bar_config(disable=True)
    shown = "" if plus else "<|vision_start|><|image_pad|><|vision_end|>"
    pipe.prompt_template_encode = "<|im_start|>user\n" + shown + "{}<|im_end|>\n<|im_start|>assistant\n"
    pipe.prompt_template_encode_start_idx = 6
    return pipe


def small_kontext(**changes: Any) -> Any:
    """A FluxKontextPipeline with random weights."""
    from editors.tiny import KontextShape, tiny_kontext_pipeline

    parts = {"double_blocks": 1, "single_blocks": 2, "text_width": 32, "pooled_width": 16, **SMALL, **changes}
    return tiny_kontext_pipeline(WORDS, KontextShape(**parts))


def noise_picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Every pixel at random: nothing repeats, so nothing can be mistaken for something else."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def soft_picture(size: tuple[int, int], seed: int = 0, cells: int = 12) -> Image.Image:
    """Random blobs, at most `cells` of them along the long side: detail that survives a coarse grid."""
    long = max(size)
    small = (max(2, round(size[0] * cells / long)), max(2, round(size[1] * cells / long)))
    return noise_picture(small, seed).resize(size, Image.Resampling.BICUBIC)


def shift_between(one: Image.Image, other: Image.Image) -> float:
    """Pixels (of the pictures) by which `other` is moved against `one`: the peak of their phase correlation, to a fraction.

    Only frequencies that both pictures have are compared, the phases of the rest are rounding.
    """
    a, b = (np.asarray(im.convert("L"), np.float64) for im in (one, other))
    window = np.outer(np.hanning(a.shape[0] + 2)[1:-1], np.hanning(a.shape[1] + 2)[1:-1])
    fa, fb = (np.fft.fft2((x - x.mean()) * window) for x in (a, b))
    cross = fa * fb.conj()
    strength = np.abs(cross)
    cross = np.where(strength > 1e-3 * strength.max(), cross / np.maximum(strength, 1e-12), 0)
    peak = np.fft.fftshift(np.fft.ifft2(cross).real)
    y, x = np.unravel_index(peak.argmax(), peak.shape)
    return float(np.hypot(_vertex(peak[:, x], int(y)) - a.shape[0] // 2, _vertex(peak[y], int(x)) - a.shape[1] // 2))


def _vertex(values: np.ndarray, at: int) -> float:
    """The top of the parabola through a peak and its neighbours."""
    if not 0 < at < len(values) - 1:
        return float(at)
    low, mid, high = values[at - 1 : at + 2]
    return at + 0.5 * (low - high) / (low - 2 * mid + high)


class PixelVAE(nn.Module):
    """A VAE that loses nothing: 4 x 4 pixels become 48 channels. It shows what an editor's geometry alone does to a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.config = SimpleNamespace(scaling_factor=1.0, shift_factor=0.0, latent_channels=48)
        self.dtype, self.device = torch.float32, torch.device("cpu")

    def encode(self, pixels: Tensor) -> Any:
        latents = nn.functional.pixel_unshuffle(pixels, 4)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents))

    def decode(self, latents: Tensor, return_dict: bool = False) -> Sequence[Tensor]:
        return (nn.functional.pixel_shuffle(latents, 4),)
