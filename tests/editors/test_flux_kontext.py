"""FLUX Kontext through the flow core against diffusers' own pipeline, on random weights of the real classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import FirstBlockCacheConfig, FluxTransformer2DModel

from agents.editing import EditingAgent
from common.errors import BadInput
from editors.conditioning import Conditioning
from editors.flow import sample
from editors.flow_editor import FlowEditor
from editors.flux_kontext import KontextModel
from editors.settings import FlowSettings
from tests.editor_pipelines import PixelVAE, noise_picture, shift_between, small_kontext, soft_picture

SETTINGS = FlowSettings(steps=3, area=64 * 64, max_sequence_length=24)
GUIDED = replace(SETTINGS, true_cfg=3.0)
TEXTS = ["make the sky darker", "add a red hat", "remove", "turn the circle into a blue square and make the hat darker"]


@pytest.fixture
def pipe():
    return small_kontext()


@pytest.fixture
def distilled(pipe):
    """The same with a guidance embedding, as the published checkpoint has."""
    torch.manual_seed(0)
    config = {**pipe.transformer.config, "guidance_embeds": True}
    pipe.register_modules(transformer=FluxTransformer2DModel.from_config(config).eval())
    return pipe


@pytest.mark.parametrize("size", [(64, 64), (96, 40)], ids=str)
@pytest.mark.parametrize("true_cfg", [1.0, 3.0])
def test_the_latents_are_the_pipelines_own(pipe, true_cfg, size):
    _compare(pipe, replace(SETTINGS, true_cfg=true_cfg), size)


@pytest.mark.parametrize("true_cfg", [1.0, 3.0])
def test_the_same_with_embedded_guidance(distilled, true_cfg):
    _compare(distilled, replace(SETTINGS, true_cfg=true_cfg, guidance=2.5), (64, 64))


def _compare(pipe, settings, size):
    picture, model = noise_picture(size), KontextModel(pipe, settings)
    prepared = model.prepare([picture], [TEXTS[0]])
    ours = sample(model, prepared, model.noise(prepared, [7]), settings)
    theirs = pipe(
        image=picture,
        prompt=TEXTS[0],
        negative_prompt=" " if settings.guided else None,
        true_cfg_scale=settings.true_cfg,
        guidance_scale=settings.guidance or 1.0,
        num_inference_steps=3,
        width=size[0],
        height=size[1],
        max_area=size[0] * size[1],
        _auto_resize=False,
        max_sequence_length=24,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
    ).images
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-4 < theirs.std()


def test_alone_and_in_a_batch_it_is_the_same_picture(pipe):
    model = KontextModel(pipe, GUIDED)
    pictures, texts = [noise_picture((64, 64), seed) for seed in range(8)], TEXTS * 2
    together = _pixels(model, pictures, texts, range(8))
    for b in (0, 2, 3, 7):
        assert (together[b] - _pixels(model, [pictures[b]], [texts[b]], [b])[0]).abs().max() <= 1e-3
    shown = FlowEditor(replace_batch(model, 3)).edit(pictures, texts, range(8))  # batches of 3, 3 and 2
    for row, image in zip(together, shown, strict=True):
        assert np.abs(np.asarray(image, float) - row.permute(1, 2, 0).numpy() * 255).max() <= 1


def test_guidance_is_really_on(distilled):
    picture = noise_picture((64, 64))

    def velocity(settings):
        model = KontextModel(distilled, settings)
        prepared = model.prepare([picture], [TEXTS[0]])
        return model.velocity(prepared, model.noise(prepared, [0]), 0.5)

    weak, strong = (velocity(replace(SETTINGS, guidance=value)) for value in (1.0, 4.0))
    against = velocity(replace(GUIDED, guidance=1.0))
    assert (weak - strong).abs().max() > 1e-4 and (weak - against).abs().max() > 1e-4


@pytest.mark.parametrize("size", [(64, 64), (101, 67), (64, 200), (400, 300), (1024, 75)], ids=str)
def test_geometry_through_the_real_adapter(size, monkeypatch):
    """A VAE that loses nothing and a velocity that leads to the source: what is left is what the adapter does to a picture."""
    pipe = small_kontext(latents=48)
    pipe.register_modules(vae=PixelVAE())
    model = KontextModel(pipe, replace(SETTINGS, area=128 * 128))
    monkeypatch.setattr(model, "velocity", lambda prepared, latents, sigma: (latents - prepared.source) / sigma)
    picture = soft_picture(size)
    (edited,) = FlowEditor(model).edit([picture], [TEXTS[0]], [0])
    assert edited.size == size
    assert shift_between(picture, edited) < 0.5
    assert np.abs(np.asarray(edited, float) - np.asarray(picture, float)).mean() < 4
    _, fit = model.fit(picture)
    if fit.grid == size:
        assert edited.tobytes() == picture.tobytes()


def test_at_one_megapixel_the_grids_are_the_ones_it_was_trained_on(pipe):
    model = KontextModel(pipe, replace(SETTINGS, area=1024 * 1024))
    for size, grid in (((1000, 1000), (1024, 1024)), ((832, 1216), (832, 1248)), ((1600, 900), (1392, 752))):
        image, fit = model.fit(soft_picture(size))
        assert image.size == fit.grid == grid
        left, top, right, below = fit.box
        assert abs((right - left) / (below - top) / (size[0] / size[1]) - 1) < 0.01
    assert KontextModel(pipe, SETTINGS).grids is None


def test_what_is_equal_is_encoded_once(pipe):
    model, a, b = KontextModel(pipe, GUIDED), noise_picture((64, 64), 0), noise_picture((64, 64), 1)
    rows = []
    handle = pipe.text_encoder_2.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    prepared = model.prepare([a, b, a], ["add a hat", "add a hat", "remove"])
    handle.remove()
    assert rows == [3]  # two instructions and one negative prompt, whatever the pictures
    assert torch.equal(prepared.source[0], prepared.source[2])
    assert prepared.negative is not None and len(prepared.negative.embeds) == 3


def test_the_cache_has_the_context_that_the_pipeline_forgets(pipe):
    model, pictures = KontextModel(pipe, GUIDED), [noise_picture((64, 64), s) for s in (0, 1)]
    plain = _pixels(model, pictures, TEXTS[:2], [0, 1])
    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=1e-9))
    for rows in (2, 1):
        cached = _pixels(model, pictures[:rows], TEXTS[:rows], list(range(rows)))
        assert (cached - plain[:rows]).abs().max() <= 1e-3


def test_offloading_hooks_see_every_part(pipe):
    """Model offloading moves a part when its forward (or the VAE's encode and decode) is called; here from CPU to CPU."""
    model = KontextModel(pipe, GUIDED)
    before = FlowEditor(model).edit([noise_picture((64, 64))], [TEXTS[0]], [0])
    pipe.enable_model_cpu_offload(device="cpu")
    calls = []
    for name in ("text_encoder", "text_encoder_2", "transformer", "vae"):
        hook = getattr(pipe, name)._hf_hook
        original = hook.pre_forward
        hook.pre_forward = lambda *a, own=original, part=name, **k: calls.append(part) or own(*a, **k)
    after = FlowEditor(model).edit([noise_picture((64, 64))], [TEXTS[0]], [0])
    assert np.abs(np.asarray(after[0], int) - np.asarray(before[0], int)).max() <= 1
    assert list(dict.fromkeys(calls)) == ["text_encoder", "text_encoder_2", "vae", "transformer"] and calls[-1] == "vae"


def test_what_the_pipeline_would_ignore_is_refused(pipe, distilled):
    with pytest.raises(BadInput, match="say which guidance"):
        KontextModel(distilled, SETTINGS)
    with pytest.raises(BadInput, match="guidance=2.5 would be ignored"):
        KontextModel(small_kontext(), replace(SETTINGS, guidance=2.5))
    with pytest.raises(BadInput, match="at most 512"):
        KontextModel(small_kontext(), replace(SETTINGS, max_sequence_length=600))
    with pytest.raises(BadInput, match="needs a FluxKontextPipeline"):
        KontextModel(object(), SETTINGS)  # type: ignore[arg-type]


def replace_batch(model: KontextModel, batch_size: int) -> KontextModel:
    return KontextModel(model.pipe, replace(model.settings, batch_size=batch_size))


def _pixels(model, pictures, texts, seeds):
    prepared = model.prepare(pictures, texts)
    return model.decode_pixels(prepared, sample(model, prepared, model.noise(prepared, seeds), model.settings))


LONG = "turn the circle into a blue square and the hat darker"


def test_an_instruction_longer_than_in_training_is_read_to_its_end(pipe):
    """Its end changes the picture, and the shorter ones beside it stay as they are, to the last bit."""
    model = KontextModel(pipe, replace(SETTINGS, max_sequence_length=8))
    assert model.token_counts([LONG])[0] > 8 and model.text_length(LONG) == 64 and model.text_length("remove") == 8
    assert model.unread([LONG, "remove"]) == ["", ""]
    pictures = [noise_picture((64, 64))] * 3
    shown = FlowEditor(model).edit(pictures, ["remove", LONG, LONG + " blue"], [1, 1, 1])
    alone = FlowEditor(model).edit(pictures[:1], ["remove"], [1])
    assert np.array_equal(np.asarray(shown[0]), np.asarray(alone[0]))
    assert not np.array_equal(np.asarray(shown[1]), np.asarray(shown[2]))
    prepared = model.prepare(pictures[:1], [LONG])
    assert prepared.text.embeds.shape[1] == 64
    guided = KontextModel(pipe, replace(GUIDED, max_sequence_length=8)).prepare(pictures[:1], [LONG])
    assert guided.negative is not None and guided.negative.embeds.shape[1] == 8


def test_what_is_beyond_the_familys_length_is_said(pipe):
    model = KontextModel(pipe, SETTINGS)
    (said,) = model.unread(["blue square " * 400])
    assert "the editor reads 512 of " in said
    results = EditingAgent(FlowEditor(model), "multi").run(
        ["a"], [noise_picture((64, 64))], [["remove", "blue square " * 400]]
    )
    assert results[0].cuts == (f"call 2: {said}",) and len(results[0].calls) == 2


def test_rows_of_different_lengths_do_not_share_a_batch_unseen(pipe):
    model = KontextModel(pipe, replace(SETTINGS, max_sequence_length=8))
    parts = [model.prepare([noise_picture((64, 64))], [text]) for text in ("remove", LONG)]
    mixed = Conditioning.concat(parts)
    with pytest.raises(BadInput, match="no mask for padding"):
        model.velocity(mixed, model.noise(mixed, [0, 1]), 0.5)
