"""Random models of the real classes, small enough for a test, built without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


FAMILIES = ("qwen2_5_vl", "qwen3_vl")  # model_type in config.json
both_families = pytest.mark.parametrize("tiny_vlm_path", FAMILIES, indirect=True)  # of a test with `tiny_vlm_path`


def build_tiny_vlm(
    path: Path,
    hidden: int = 64,
    layers: int = 2,
    inter: int = 128,
    kv: int = 2,
    vhidden: int = 32,
    vocab: int | None = None,
    family: str = "qwen2_5_vl",
) -> Path:
    """Write a random model of this family to `path`: bytes as tokens (263 of them), 8 px patches, 2x2 merged.

    The heads of Qwen3-VL are wider together than the hidden width, as those of the published 4B are, and two of its vision
    tower's levels reach the decoder besides the last one.
    """
    import transformers
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = {t: i for i, t in enumerate([*SPECIAL, *alphabet])}
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=tokens,
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        extra_special_tokens=list(SPECIAL),
    )
    tokenizer.chat_template = CHAT
    ids = {t: tokens[t] for t in SPECIAL}
    newer = family == "qwen3_vl"
    head = hidden // 4 * (2 if newer else 1)
    sections = [head // 2 // 4, (head // 2 - head // 2 // 4) // 2]
    sections.append(head // 2 - sum(sections))
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}
    text: dict[str, Any] = {"head_dim": head} if newer else {}
    tower: dict[str, Any] = {"depth": 2, "window_size": 64, "fullatt_block_indexes": [1]}
    if newer:
        rope |= {"mrope_section": sections[::-1], "mrope_interleaved": True}
        tower = {"depth": 3, "num_position_embeddings": 25, "deepstack_visual_indexes": [0, 1]}
    made, kind = ("Qwen3VL", "Qwen3VLConfig") if newer else ("Qwen2_5_VL", "Qwen2_5_VLConfig")
    config = getattr(transformers, kind)(
        text_config=dict(
            vocab_size=vocab or len(tokens) + 1,  # one unused row, as real checkpoints have
            hidden_size=hidden,
            intermediate_size=inter,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=kv,
            max_position_embeddings=1024,
            rope_parameters=rope,
            bos_token_id=None,
            eos_token_id=ids["<|im_end|>"],
            pad_token_id=ids["<|endoftext|>"],
            tie_word_embeddings=True,
            **text,
        ),
        vision_config=dict(
            hidden_size=vhidden,
            intermediate_size=2 * vhidden,
            num_heads=4,
            patch_size=8,
            spatial_merge_size=2,
            temporal_patch_size=2,
            out_hidden_size=hidden,
            **tower,
        ),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        eos_token_id=ids["<|im_end|>"],
        pad_token_id=ids["<|endoftext|>"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{made}ForConditionalGeneration")(config)
        with torch.no_grad():  # as initialised, norms and biases would show nowhere, and pictures hardly
            for p in model.parameters() if newer else ():
                p.add_(torch.randn_like(p) * 0.05)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    transformers.Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    ).save_pretrained(path)
    return path
