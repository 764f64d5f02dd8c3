"""Random models of the real class in any size, with the tiny checkpoint's tokenizer: their speed is that of trained ones."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

from agents.backends.tiny import TinyShape, tiny_config
from agents.backends.vlm import VLM


def tiny_random(checkpoint: Path, width: int, side: int) -> VLM:
    """The tiny decomposer's shape with another hidden width (a multiple of 64: heads keep their size) and picture size."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    heads = width // 64
    shape = TinyShape(hidden=width, heads=heads, kv_heads=max(1, heads // 2), inter=2 * width, max_tokens=4096)
    return random_vlm(tiny_config(tokenizer, shape), tokenizer, side)


def published_3b(checkpoint: Path, side: int, dtype: torch.dtype, device: str) -> VLM:
    """Qwen2.5-VL-3B's published sizes (arXiv 2502.13923, table 1 and its config.json)."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
            "num_attention_heads": 16, "num_key_value_heads": 2, "max_position_embeddings": 128000,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "bos_token_id": None, "eos_token_id": token("<|im_end|>"), "pad_token_id": token("<|endoftext|>"),
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "out_hidden_size": 2048,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"), vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    return random_vlm(config, tokenizer, side, dtype, device)


def random_vlm(
    config: Qwen2_5_VLConfig, tokenizer: object, side: int, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> VLM:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(0)
            model = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="sdpa").eval()
    finally:
        torch.set_default_dtype(before)
    patch = config.vision_config.patch_size
    images = Qwen2VLImageProcessorPil(
        patch_size=patch, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 4 * patch**2, "longest_edge": side**2},
    )  # fmt: skip
    return VLM(model.to(device), tokenizer, images, Path())


__all__ = ["published_3b", "random_vlm", "tiny_random"]
