"""Random GroundingDINO and DINOv3 of the real classes, tiny, saved as the Hub's folders are laid out."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    SwinConfig,
)

SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}  # BERT's ids
WORDS = ("red", "green", "blue", "yellow", "circle", "square", "star", "triangle", "dog", "cat")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def save_grounding_dino(folder: Path) -> Path:
    """Three scales of a Swin of one block each, a BERT of one layer, 12 queries; its tokenizer knows some words and all letters.
    The ids of BERT's special tokens are as published, since the model tells names apart by them."""
    torch.manual_seed(3)
    known = dict(zip([*WORDS, *LETTERS, *(f"##{c}" for c in LETTERS)], range(200, 1000), strict=False))
    ids = {i: word for word, i in {**SPECIAL, **known}.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(ids.get(i, f"[unused{i}]") for i in range(1030)) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    swin = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2, "image_size": 64}
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(**swin, patch_size=2, out_indices=[2, 3, 4]),
        text_config=BertConfig(**small, vocab_size=1030, max_position_embeddings=256),
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=12,
        max_text_len=256,
    )
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():  # larger than at the start of a training, so that boxes of different pictures are far apart
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    model.save_pretrained(folder)
    return folder


def save_dinov3(folder: Path) -> Path:
    """Patches of 8 pixels and the published number of registers."""
    torch.manual_seed(4)
    config = DINOv3ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=8,
        image_size=32,
        num_register_tokens=4,
        initializer_range=0.3,
    )
    DINOv3ViTModel(config).save_pretrained(folder)
    return folder
