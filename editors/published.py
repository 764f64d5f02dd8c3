"""The published models' configurations, so that sizes and costs can be computed without a download.

Each is what its config.json on the Hugging Face Hub says of the architecture (keys that change neither shapes nor costs left
out); the key of the outer table is the repository. Where a folder exists on disk, editors/parts.py reads that instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PublishedModel:
    """A model of a pipeline: its class in diffusers or transformers, and its configuration."""

    kind: str
    config: Mapping[str, Any]


QWEN2_5_VL_7B = PublishedModel(  # Qwen/Qwen2.5-VL-7B-Instruct, config.json; arXiv 2502.13923, table 1
    "Qwen2_5_VLForConditionalGeneration",
    {
        "text_config": {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
            "tie_word_embeddings": False,
        },
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "in_channels": 3,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "out_hidden_size": 3584,
        },
        "tie_word_embeddings": False,
    },
)

QWEN2_5_VL_3B = PublishedModel(  # Qwen/Qwen2.5-VL-3B-Instruct, config.json; arXiv 2502.13923, table 1
    QWEN2_5_VL_7B.kind,
    {
        "text_config": {
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
        "vision_config": QWEN2_5_VL_7B.config["vision_config"] | {"out_hidden_size": 2048},
        "tie_word_embeddings": True,
    },
)


def _qwen3_vl(text: Mapping[str, Any], vision: Mapping[str, Any]) -> PublishedModel:
    """What the dense models of Qwen3-VL have in common, in their config.json; arXiv 2511.21631."""
    tied = text["tie_word_embeddings"]
    both = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    tower = {"num_heads": 16, "in_channels": 3, "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2}
    tower |= {"num_position_embeddings": 2304, "out_hidden_size": text["hidden_size"]}
    return PublishedModel(
        "Qwen3VLForConditionalGeneration",
        {
            "text_config": {**both, "vocab_size": 151936, **text},
            "vision_config": {**tower, **vision},
            "tie_word_embeddings": tied,
        },
    )


QWEN3_VL_4B = _qwen3_vl(  # Qwen/Qwen3-VL-4B-Instruct
    {"hidden_size": 2560, "intermediate_size": 9728, "tie_word_embeddings": True},
    {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]},
)
QWEN3_VL_8B = _qwen3_vl(  # Qwen/Qwen3-VL-8B-Instruct
    {"hidden_size": 4096, "intermediate_size": 12288, "tie_word_embeddings": False},
    {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]},
)

QWEN_IMAGE_TRANSFORMER = PublishedModel(  # transformer/config.json; arXiv 2508.02324, table 1
    "QwenImageTransformer2DModel",
    {
        "patch_size": 2,
        "in_channels": 64,
        "out_channels": 16,
        "num_layers": 60,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 3584,
        "guidance_embeds": False,
        "axes_dims_rope": [16, 56, 56],
    },
)

QWEN_IMAGE_VAE = PublishedModel(  # vae/config.json
    "AutoencoderKLQwenImage",
    {
        "base_dim": 96,
        "z_dim": 16,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
    },
)


def _qwen(**transformer: Any) -> dict[str, PublishedModel]:
    changed = PublishedModel(QWEN_IMAGE_TRANSFORMER.kind, {**QWEN_IMAGE_TRANSFORMER.config, **transformer})
    return {"transformer": changed, "text_encoder": QWEN2_5_VL_7B, "vae": QWEN_IMAGE_VAE}


FLUX_KONTEXT = {
    "transformer": PublishedModel(  # transformer/config.json; arXiv 2506.15742, section 3
        "FluxTransformer2DModel",
        {
            "patch_size": 1,
            "in_channels": 64,
            "num_layers": 19,
            "num_single_layers": 38,
            "attention_head_dim": 128,
            "num_attention_heads": 24,
            "joint_attention_dim": 4096,
            "pooled_projection_dim": 768,
            "guidance_embeds": True,
            "axes_dims_rope": [16, 56, 56],
        },
    ),
    "text_encoder_2": PublishedModel(  # T5 v1.1 XXL, the encoder: google/t5-v1_1-xxl, config.json
        "T5EncoderModel",
        {
            "d_model": 4096,
            "d_kv": 64,
            "d_ff": 10240,
            "num_layers": 24,
            "num_heads": 64,
            "vocab_size": 32128,
            "feed_forward_proj": "gated-gelu",
        },
    ),
    "text_encoder": PublishedModel(  # CLIP ViT-L/14, the text half: openai/clip-vit-large-patch14, config.json
        "CLIPTextModel",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "max_position_embeddings": 77,
            "projection_dim": 768,
            "vocab_size": 49408,
        },
    ),
    "vae": PublishedModel(  # vae/config.json
        "AutoencoderKL",
        {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 16,
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "norm_num_groups": 32,
            "sample_size": 1024,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        },
    ),
}

PUBLISHED: dict[str, dict[str, PublishedModel]] = {
    "Qwen/Qwen-Image-Edit": _qwen(),
    "Qwen/Qwen-Image-Edit-2509": _qwen(),
    "Qwen/Qwen-Image-Edit-2511": _qwen(zero_cond_t=True),
    "black-forest-labs/FLUX.1-Kontext-dev": FLUX_KONTEXT,
    "Qwen/Qwen2.5-VL-3B-Instruct": {"model": QWEN2_5_VL_3B},
    "Qwen/Qwen2.5-VL-7B-Instruct": {"model": QWEN2_5_VL_7B},
    "Qwen/Qwen3-VL-4B-Instruct": {"model": QWEN3_VL_4B},
    "Qwen/Qwen3-VL-8B-Instruct": {"model": QWEN3_VL_8B},
}


__all__ = ["PUBLISHED", "PublishedModel"]
