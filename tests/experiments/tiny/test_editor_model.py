"""The tiny editors while they are pretrained: what learns, what stays, and how instructions are padded."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from editors.conditioning import Conditioning
from experiments.tiny.autoencoder import set_latent_scale, to_tensor
from experiments.tiny.edit_pairs import EditPairs, vocabulary
from experiments.tiny.editor_model import EMPTY, LENGTHS, SIDE, TinyEditor, tiny_kontext, tiny_qwen

PAIRS = EditPairs(0)
WORDS = ["remove the red circle", "add a small green star at the top left"]


@pytest.fixture(params=["flux_kontext", "qwen"])
def editor(request: pytest.FixtureRequest) -> TinyEditor:
    if request.param == "qwen":
        return tiny_qwen("assets/tiny/decomposer", steps=3)
    return tiny_kontext(vocabulary(PAIRS, 50), steps=3)


def sources(count: int) -> list[Image.Image]:
    return [Image.fromarray(PAIRS.pair(True, i).before) for i in range(count)]


def test_latents_have_unit_scale_once_it_is_set(editor: TinyEditor) -> None:
    images = to_tensor([PAIRS.pair(True, i).before for i in range(16)])
    set_latent_scale(editor.model, images)
    config = dict(editor.model.pipe.vae.config)
    with torch.no_grad():
        packed = editor.model.pack(editor.model.encode_pixels(images))
    assert packed.shape == (16, 64, 64)
    assert packed.mean().item() == pytest.approx(0, abs=1e-3)
    assert packed.std().item() == pytest.approx(1, abs=0.02)
    set_latent_scale(editor.model, images)
    assert dict(editor.model.pipe.vae.config) == config  # the scale is measured anew, not on top of the old one


def test_training_and_editing_encode_alike(editor: TinyEditor) -> None:
    """What `prepare` gives an edit is what the training steps compute from pixels and instructions."""
    model = editor.model
    prepared = model.prepare(sources(2), WORDS)
    with torch.no_grad():
        pixels = to_tensor([PAIRS.pair(True, i).before for i in range(2)])
        torch.testing.assert_close(model.pack(model.encode_pixels(pixels)), prepared.source, atol=1e-5, rtol=1e-5)
        text = model.encode_text(sources(2), WORDS)
    torch.testing.assert_close(text.embeds, prepared.text.embeds, atol=1e-5, rtol=1e-5)


def test_text_of_one_instruction_does_not_depend_on_the_others(editor: TinyEditor) -> None:
    with torch.no_grad():
        both = editor.model.encode_text(sources(2), WORDS, editor.text_length(WORDS))
        alone = editor.model.encode_text(sources(1), WORDS[:1], editor.text_length(WORDS[:1]))
    length = alone.embeds.shape[1]
    torch.testing.assert_close(both.embeds[:1, :length], alone.embeds, atol=1e-5, rtol=1e-5)
    if both.mask is not None:
        assert both.mask[0].sum() == length and not both.mask[0, length:].any()


def test_the_velocity_trains_what_learns_and_nothing_else(editor: TinyEditor) -> None:
    text = editor.model.encode_text(sources(2), ["remove the red circle", EMPTY])
    x = torch.randn(2, 64, 64)
    conditioning = Conditioning((SIDE, SIDE), torch.randn(2, 64, 64), text)
    v = editor.model.velocity(conditioning, x, torch.tensor([0.3, 0.9]))
    assert v.shape == x.shape
    v.square().mean().backward()
    for module in editor.trained.values():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    others = [
        m for n, m in editor.model.pipe.components.items() if isinstance(m, torch.nn.Module) and n not in editor.trained
    ]
    assert others and all(p.grad is None for module in others for p in module.parameters())


def test_flux_pads_instructions_to_the_smallest_length_that_holds_them() -> None:
    editor = tiny_kontext(["remove", "the", "red", "circle"], steps=3)
    assert editor.text_length(["remove the red circle"]) == LENGTHS[0]
    assert editor.text_length(["remove the red circle"], minimum=LENGTHS[0] + 1) == LENGTHS[1]
    assert editor.text_length(["the " * 200]) == LENGTHS[1]
