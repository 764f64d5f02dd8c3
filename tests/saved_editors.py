"""Whole pipeline folders of the two diffusion editors with random weights, for tests that load, check or plan them."""

from __future__ import annotations

from pathlib import Path

from agents.backends.vlm import load_vlm
from editors.tiny import KontextShape, QwenShape, tiny_kontext_pipeline, tiny_qwen_pipeline

WORDS = ["make", "the", "red", "star", "blue", "remove", "tree"]


def save_qwen(folder: Path, vlm: Path) -> Path:
    """A QwenImageEditPipeline around the Qwen2.5-VL of a folder."""
    shape = QwenShape(width=64, heads=2, blocks=2, vae_channels=8)
    tiny_qwen_pipeline(load_vlm(vlm), shape).save_pretrained(folder)
    return folder


def save_kontext(folder: Path) -> Path:
    """A FluxKontextPipeline."""
    shape = KontextShape(width=64, heads=2, double_blocks=1, single_blocks=2, vae_channels=(8, 16, 16))
    tiny_kontext_pipeline(WORDS, shape).save_pretrained(folder)
    return folder
