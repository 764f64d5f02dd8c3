"""The tiny Qwen2.5-VL: its tokenizer, its file format, its prompts; errors name the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from agents.backends.base import ModelRequest
from agents.backends.tiny import CONTROL, TinyShape, build_tiny_vlm
from agents.backends.vlm import collate, load_vlm, save_vlm
from common.errors import BadData, MissingFile

TINY = Path(__file__).parents[2] / "assets" / "tiny" / "decomposer"
TEXTS = [
    "recolor the red star to blue",
    "<think> 1 edit</think><action> recolor</action>",
    "it's a wooden chair; add 'abc 7'",
] * 50
SMALL = TinyShape(vocab=400, hidden=32, layers=1, heads=2, kv_heads=1, inter=32, vision_hidden=16, vision_layers=1)


@pytest.fixture(scope="module")
def vlm():
    return build_tiny_vlm(TEXTS, SMALL)


def tokens(vlm, text):
    return vlm.tokenizer.convert_ids_to_tokens(vlm.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_word_is_the_same_token_wherever_it_stands(vlm):
    """Copying is the tiny model's main skill: behind a tag, a quote, a capital or a space a word looks alike."""
    word = tokens(vlm, "star")
    assert len(word) == 1
    for text in ("the star", "<subject>star", "<subject> Star", "write 'star'", "; star", "STAR"):
        assert word[0] in tokens(vlm, text), text


def test_tags_and_control_tokens_are_single(vlm):
    for mark in ("<think>", "</goal>", "<|im_end|>", "<|image_pad|>"):
        assert tokens(vlm, mark) == [mark]


@pytest.mark.parametrize("text", ["naïve café 笑对人生 🙂", "\x00\x07 odd", "a" * 500, "ÀÉ"])
def test_any_text_survives_but_for_case(vlm, text):
    import unicodedata

    ids = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
    back = vlm.tokenizer.decode(ids).removeprefix(" ")
    assert back == unicodedata.normalize("NFC", text).lower()


def test_images_are_widened_to_their_grid(vlm):
    (one,) = vlm.encode([ModelRequest("look", (Image.new("RGB", (64, 64)),))])
    assert int((one.input_ids == vlm.image_token_id).sum()) == 16
    assert one.pixel_values.shape == (64, 3 * 2 * 8 * 8)
    (two,) = vlm.encode([ModelRequest("look", (Image.new("RGB", (64, 64)), Image.new("RGB", (32, 64))))])
    assert int((two.input_ids == vlm.image_token_id).sum()) == 16 + 8


def test_padding_side_does_not_change_the_last_hidden_state(vlm):
    prompts = vlm.encode(
        [
            ModelRequest("recolor", (Image.new("RGB", (64, 64), (200, 9, 9)),)),
            ModelRequest("a longer one without a picture"),
        ]
    )
    with torch.no_grad():
        left = vlm.model.model(**collate(vlm, prompts, side="left"), use_cache=False).last_hidden_state[:, -1]
        alone = [vlm.model.model(**collate(vlm, [p]), use_cache=False).last_hidden_state[0, -1] for p in prompts]
    assert (left - torch.stack(alone)).abs().max() < 1e-5


def test_control_tokens_are_banned_but_not_the_end(vlm):
    assert vlm.image_token_id in vlm.banned_ids and vlm.pad_id in vlm.banned_ids
    assert vlm.eos_id not in vlm.banned_ids
    for tokenizer in (
        vlm.tokenizer,
        AutoTokenizer.from_pretrained(TINY),
    ):  # made by the recipe, and kept in the repository
        banned = {tokenizer.decode([i]) for i in replace(vlm, tokenizer=tokenizer).banned_ids if i < len(tokenizer)}
        assert banned == set(CONTROL) - {"<|im_end|>"}


def test_saved_and_loaded_by_us_and_by_plain_transformers(vlm, tmp_path):
    save_vlm(vlm, tmp_path)
    ours, theirs = load_vlm(tmp_path), Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path)
    for a, b, c in zip(vlm.model.parameters(), ours.model.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("the red star")["input_ids"]
        == vlm.tokenizer("the red star")["input_ids"]
    )
    request = [ModelRequest("x", (Image.new("RGB", (64, 64), (3, 200, 9)),))]
    assert torch.equal(ours.encode(request)[0].pixel_values, vlm.encode(request)[0].pixel_values)


def test_the_same_seed_builds_the_same_model(vlm):
    again = build_tiny_vlm(TEXTS, SMALL)
    assert json.loads(again.tokenizer.backend_tokenizer.to_str()) == json.loads(
        vlm.tokenizer.backend_tokenizer.to_str()
    )
    assert all(torch.equal(a, b) for a, b in zip(vlm.model.parameters(), again.model.parameters(), strict=True))


def test_errors_name_the_file(vlm, tmp_path):
    with pytest.raises(MissingFile, match="config.json"):
        load_vlm(tmp_path / "nowhere")
    save_vlm(vlm, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(BadData, match=str(tmp_path)):
        load_vlm(tmp_path)
    weights.unlink()
    with pytest.raises(MissingFile, match="safetensors"):
        load_vlm(tmp_path)
