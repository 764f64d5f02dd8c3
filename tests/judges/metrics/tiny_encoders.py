"""Random CLIP, DINO and DINOv2 of the real classes, tiny, saved as the Hub's folders are laid out."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTModel,
)

SIDE = 32
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def save_clip(folder: Path) -> Path:
    """A CLIPModel and its byte-level tokenizer: every character with and without the end-of-word mark, no merges."""
    torch.manual_seed(0)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    start, end = len(words) - 2, len(words) - 1
    text = {"vocab_size": len(words), "max_position_embeddings": 24, "bos_token_id": start, "eos_token_id": end}
    config = CLIPConfig(
        text_config={**SMALL, **text, "pad_token_id": end},
        vision_config={**SMALL, "image_size": SIDE, "patch_size": 8},
        projection_dim=12,
    )
    model = CLIPModel(config)
    with torch.no_grad():  # larger than at the start of a training, so that different inputs are far apart
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokens = {"bos_token": words[start], "eos_token": words[end], "unk_token": words[end], "pad_token": words[end]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **tokens}))
    return folder


def save_dino(folder: Path) -> Path:
    torch.manual_seed(1)
    ViTModel(ViTConfig(**SMALL, image_size=SIDE, patch_size=8), add_pooling_layer=False).save_pretrained(folder)
    return folder


def save_dinov2(folder: Path) -> Path:
    torch.manual_seed(2)
    small = {k: v for k, v in SMALL.items() if k != "intermediate_size"}
    Dinov2Model(Dinov2Config(**small, image_size=70, patch_size=14)).save_pretrained(folder)
    return folder
