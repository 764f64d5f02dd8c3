"""The tiny pipelines are the real classes, the same each time, and come back from disk as they were."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FluxKontextPipeline, QwenImageEditPipeline
from PIL import Image

from agents.backends.vlm import VLM, load_vlm
from editors.tiny import clip_tokenizer, t5_tokenizer, tiny_kontext_pipeline, tiny_qwen_pipeline

WORDS = ["change", "the", "color", "of", "a", "red", "circle", "to", "blue"]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
SMALL = {"height": 64, "width": 64, "max_area": 64 * 64, "_auto_resize": False, "max_sequence_length": 64}


def test_known_words_are_one_token_and_others_are_spelt() -> None:
    t5 = t5_tokenizer(WORDS, 64)
    assert t5.convert_ids_to_tokens(t5("red hat").input_ids) == ["▁red", "▁", "h", "a", "t", "</s>"]
    clip = clip_tokenizer(WORDS)
    assert clip.convert_ids_to_tokens(clip("Red hat;").input_ids) == [
        *("<|startoftext|>", "red</w>", "h", "a", "t</w>", ";</w>", "<|endoftext|>")
    ]
    for tokenizer in (t5, clip):  # nothing a user may type becomes unknown
        assert tokenizer.unk_token_id not in tokenizer("write 'AZ09', please!").input_ids[1:-1]


def test_quoted_capitals_are_kept_by_t5() -> None:
    t5 = t5_tokenizer(WORDS, 64)
    assert t5("'A1'").input_ids != t5("'a1'").input_ids


def test_kontext_comes_back_bit_identical(tmp_path: Path) -> None:
    pipe = tiny_kontext_pipeline(WORDS, seed=3)
    again = tiny_kontext_pipeline(WORDS, seed=3)
    for name, value in pipe.transformer.state_dict().items():
        assert torch.equal(value, again.transformer.state_dict()[name])

    def edit(p: FluxKontextPipeline) -> np.ndarray:
        out = p(PICTURE, "change the red circle", num_inference_steps=2, generator=torch.manual_seed(0), **SMALL)
        return np.asarray(out.images[0])

    pipe.save_pretrained(tmp_path)
    loaded = FluxKontextPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert (edit(pipe) == edit(loaded)).all()
    assert pipe.vae_scale_factor == 4


@pytest.fixture
def vlm() -> VLM:
    return load_vlm("assets/tiny/decomposer")


def test_qwen_comes_back_with_the_decomposer_as_its_text_encoder(vlm: VLM, tmp_path: Path) -> None:
    pipe = tiny_qwen_pipeline(vlm)
    pipe.save_pretrained(tmp_path)
    loaded = QwenImageEditPipeline.from_pretrained(tmp_path, processor=pipe.processor)
    ours, theirs = (p._get_qwen_prompt_embeds(["make it red"], [PICTURE])[0] for p in (pipe, loaded))
    assert torch.equal(ours, theirs)
    assert pipe.vae_scale_factor == 4
