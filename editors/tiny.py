"""Builds the tiny diffusion editors: the real pipelines of diffusers with small configurations and random weights.

Both see 64-pixel pictures through a VAE that shrinks by 4, so that an edit is 64 tokens of the result, 64 of the source
and the instruction's: few enough to train on a CPU. Everything else is the code that runs the published models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageTransformer2DModel,
)
from transformers import (
    BaseImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from editors.processor import vision_processor

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
MARKS = "'\";:,.!?()-"


@dataclass(frozen=True)
class KontextShape:
    """Sizes of the tiny FLUX Kontext."""

    width: int = 128
    heads: int = 4
    rope: tuple[int, int, int] = (8, 12, 12)  # of one head: source or result, row, column
    double_blocks: int = 1
    single_blocks: int = 5
    text_width: int = 128  # T5
    text_layers: int = 2
    pooled_width: int = 64  # CLIP
    vae_channels: tuple[int, ...] = (16, 32, 48)
    latents: int = 16
    image: int = 64
    max_tokens: int = 64  # of an instruction


@dataclass(frozen=True)
class QwenShape:
    """Sizes of the tiny Qwen-Image-Edit; its text encoder is the tiny Qwen2.5-VL."""

    width: int = 128
    heads: int = 4
    rope: tuple[int, int, int] = (8, 12, 12)
    blocks: int = 5
    vae_channels: int = 16
    vae_factors: tuple[int, ...] = (1, 2, 3)
    latents: int = 16


class VisionLanguage(Protocol):
    """A text encoder with its tokenizer and image processor, such as agents.backends.vlm.VLM."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    image_processor: BaseImageProcessor


def tiny_kontext_pipeline(
    words: Iterable[str], shape: KontextShape | None = None, seed: int = 0
) -> FluxKontextPipeline:
    """A FLUX Kontext with random weights. Its two tokenizers have each of `words` as one token and spell everything else."""
    shape = shape or KontextShape()
    vocabulary = tuple(dict.fromkeys(word for word in words if word))
    clip, t5 = clip_tokenizer(vocabulary), t5_tokenizer(vocabulary, shape.max_tokens)
    torch.manual_seed(seed)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(clip),
            hidden_size=shape.pooled_width,
            intermediate_size=2 * shape.pooled_width,
            num_hidden_layers=1,
            num_attention_heads=2,
            projection_dim=shape.pooled_width,
            max_position_embeddings=clip.model_max_length,
            bos_token_id=clip.bos_token_id,
            eos_token_id=clip.eos_token_id,
            pad_token_id=clip.pad_token_id,
        )
    )
    text_encoder_2 = T5EncoderModel(
        T5Config(
            vocab_size=len(t5),
            d_model=shape.text_width,
            d_kv=shape.text_width // 4,
            d_ff=2 * shape.text_width,
            num_layers=shape.text_layers,
            num_heads=4,
            dropout_rate=0.0,
        )
    )
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * shape.latents,
        num_layers=shape.double_blocks,
        num_single_layers=shape.single_blocks,
        attention_head_dim=shape.width // shape.heads,
        num_attention_heads=shape.heads,
        joint_attention_dim=shape.text_width,
        pooled_projection_dim=shape.pooled_width,
        guidance_embeds=False,
        axes_dims_rope=shape.rope,
    )
    levels = len(shape.vae_channels)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shape.vae_channels,
        layers_per_block=1,
        latent_channels=shape.latents,
        norm_num_groups=8,
        sample_size=shape.image,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )
    pipe = FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=clip,
        text_encoder_2=text_encoder_2,
        tokenizer_2=t5,
        transformer=transformer,
    )
    return _without_progress_bar(pipe)


def tiny_qwen_pipeline(vlm: VisionLanguage, shape: QwenShape | None = None, seed: int = 0) -> QwenImageEditPipeline:
    """A Qwen-Image-Edit around a Qwen2.5-VL; transformer and VAE have random weights."""
    shape = shape or QwenShape()
    torch.manual_seed(seed)
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=4 * shape.latents,
        out_channels=shape.latents,
        num_layers=shape.blocks,
        attention_head_dim=shape.width // shape.heads,
        num_attention_heads=shape.heads,
        joint_attention_dim=vlm.model.config.text_config.hidden_size,
        axes_dims_rope=shape.rope,
    )
    vae = AutoencoderKLQwenImage(
        base_dim=shape.vae_channels,
        z_dim=shape.latents,
        dim_mult=list(shape.vae_factors),
        num_res_blocks=1,
        temperal_downsample=[False] * (len(shape.vae_factors) - 1),
        latents_mean=[0.0] * shape.latents,
        latents_std=[1.0] * shape.latents,
    )
    pipe = QwenImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9),
        vae=vae,
        text_encoder=vlm.model,
        tokenizer=vlm.tokenizer,
        processor=vision_processor(vlm.image_processor, vlm.tokenizer),
        transformer=transformer,
    )
    return _without_progress_bar(pipe)


def _without_progress_bar(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return pipe


# ------------------------------------------------------------------------------------------------------- tokenizers
# Built from a list of words, not trained: training BPE with end-of-word marks, or Unigram, gives another result each time.
def t5_tokenizer(words: Sequence[str], max_tokens: int) -> T5Tokenizer:
    """Each word of the list is one token; other words are spelt letter by letter."""
    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(mark, -6.0) for mark in MARKS + LETTERS]
    existing = {piece for piece, _ in pieces}
    pieces += [(f"▁{word}", -2.0) for word in words if f"▁{word}" not in existing]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=max_tokens)


def clip_tokenizer(words: Sequence[str]) -> CLIPTokenizer:
    """The same for CLIP's byte-level BPE: the merges of a word join it from left to right."""
    merges: dict[tuple[str, str], None] = {}
    letters = [c for c in LETTERS + MARKS if not c.isupper()]
    vocab = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    existing = set(vocab)
    for word in words:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        if any(part not in existing for part in parts):
            continue
        while len(parts) > 1:
            merges[(parts[0], parts[1])] = None
            parts = [parts[0] + parts[1], *parts[2:]]
            if parts[0] not in existing:
                existing.add(parts[0])
                vocab.append(parts[0])
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(vocab)}, merges=list(merges), model_max_length=77)


__all__ = ["KontextShape", "QwenShape", "clip_tokenizer", "t5_tokenizer", "tiny_kontext_pipeline", "tiny_qwen_pipeline"]
