"""The untrained tiny decomposer: a byte-level BPE tokenizer trained on our own corpus, and a small random Qwen2.5-VL.

It is the real class with a small configuration, so that everything after this file is the code that runs the 7B model.
Two choices make copying names easy for a network this small: text is lower-cased, and every word starts with a space
(also behind a tag or a quote), so that a word is the same tokens wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from agents.backends.vlm import VLM
from agents.plan import TAGS

CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
)


@dataclass(frozen=True)
class TinyShape:
    """Sizes of the tiny model; pixels are those of the sandbox."""

    vocab: int = 2560
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    inter: int = 512
    vision_hidden: int = 96
    vision_layers: int = 3
    patch: int = 8
    image: int = 64
    max_tokens: int = 1024


def train_tokenizer(texts: Iterable[str], vocab: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE (deterministic, no unknown characters) with Qwen's control tokens and our tags as single tokens."""
    tk = Tokenizer(models.BPE())
    tk.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"(?<=\s)(['\"(])(?=\S)"), "' ")]
    )
    tk.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tk.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - 2 * len(TAGS) - len(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tk.train_from_iterator(texts, trainer)
    tk.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in CONTROL])
    tk.add_tokens([AddedToken(m, normalized=False) for tag in TAGS for m in (f"<{tag}>", f"</{tag}>")])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tk,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(CONTROL[3:]),
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_config(tokenizer: PreTrainedTokenizerFast, shape: TinyShape) -> Qwen2_5_VLConfig:
    token = tokenizer.convert_tokens_to_ids
    half = shape.hidden // shape.heads // 2  # m-rope sections (time, rows, columns) share half a head
    time = half // 4
    rows = (half - time) // 2
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": shape.hidden,
            "intermediate_size": shape.inter,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "max_position_embeddings": shape.max_tokens,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [time, rows, half - time - rows],
            },
            "bos_token_id": None,
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": shape.vision_layers,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": 2 * shape.vision_hidden,
            "num_heads": 4,
            "patch_size": shape.patch,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": shape.image,
            "out_hidden_size": shape.hidden,
            "fullatt_block_indexes": [shape.vision_layers - 1],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        eos_token_id=token("<|im_end|>"),
        pad_token_id=token("<|endoftext|>"),
    )


def build_tiny_vlm(texts: Iterable[str], shape: TinyShape, seed: int = 0) -> VLM:
    """A fresh tiny Qwen2.5-VL with a tokenizer trained on `texts`; the same for the same seed."""
    tokenizer = train_tokenizer(texts, shape.vocab)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(tiny_config(tokenizer, shape))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    images = Qwen2VLImageProcessorPil(
        patch_size=shape.patch,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 4 * shape.patch**2, "longest_edge": shape.image**2},
    )
    return VLM(model, tokenizer, images, Path())
