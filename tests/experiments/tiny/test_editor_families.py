"""What the tiny editors are trained through agrees with the pipelines' own functions."""

import numpy as np
import pytest
import torch
from diffusers import FluxKontextPipeline
from PIL import Image

from agents.backends.vlm import load_vlm
from editors.tiny import tiny_kontext_pipeline, tiny_qwen_pipeline
from experiments.tiny.autoencoder import autoencoder_loss, set_latent_scale, to_tensor
from experiments.tiny.editor_data import EditPairs, vocabulary
from experiments.tiny.editor_families import BUCKETS, EMPTY, Family, Kontext, Qwen, euler, pack, unpack

PAIRS = EditPairs(0)


@pytest.fixture(params=["flux_kontext", "qwen"])
def family(request: pytest.FixtureRequest) -> Family:
    if request.param == "qwen":
        return Qwen(tiny_qwen_pipeline(load_vlm("assets/tiny/decomposer")))
    return Kontext(tiny_kontext_pipeline(vocabulary(PAIRS, 50)))


def pictures(count: int) -> torch.Tensor:
    return to_tensor([PAIRS.pair(True, i).before for i in range(count)])


def test_packing_is_the_pipelines() -> None:
    latents = torch.randn(2, 5, 6, 8)
    ours = pack(latents)
    assert torch.equal(ours, FluxKontextPipeline._pack_latents(latents, 2, 5, 6, 8))
    assert torch.equal(unpack(ours, 6, 8), latents)


def test_latents_have_unit_scale_once_it_is_set(family: Family) -> None:
    images = pictures(16)
    set_latent_scale(family.pipe.vae, images)
    packed = family.pack(images)
    assert packed.shape == (16, 64, 64)
    assert packed.mean().item() == pytest.approx(0, abs=1e-3)
    assert packed.std().item() == pytest.approx(1, abs=0.02)


def test_source_latents_are_those_of_the_pipeline(family: Family) -> None:
    images = pictures(2)
    set_latent_scale(family.pipe.vae, images)
    given = images.unsqueeze(2) if isinstance(family, Qwen) else images
    latents = family.pipe._encode_vae_image(given, torch.Generator()).reshape(2, 16, 16, 16)
    torch.testing.assert_close(family.pack(images), pack(latents), atol=1e-5, rtol=1e-5)


def test_text_of_one_instruction_does_not_depend_on_the_others(family: Family) -> None:
    images = [Image.fromarray(PAIRS.pair(True, i).before) for i in range(2)]
    words = ["remove the red circle", "add a small green star at the top left"]
    with torch.no_grad():
        both = family.text(words, images, BUCKETS[0])
        alone = family.text(words[:1], images[:1], BUCKETS[0])
    kept = alone.states_BLD.shape[1]
    torch.testing.assert_close(both.states_BLD[:1, :kept], alone.states_BLD, atol=1e-5, rtol=1e-5)
    if both.mask_BL is not None:
        assert both.mask_BL[0].sum() == kept and not both.mask_BL[0, kept:].any()


def test_velocity_learns_and_the_frozen_parts_do_not(family: Family) -> None:
    images = [Image.fromarray(PAIRS.pair(True, i).before) for i in range(2)]
    text = family.text(["remove the red circle", EMPTY], images)
    x = torch.randn(2, 64, 64)
    v = family.velocity(x, torch.randn(2, 64, 64), torch.tensor([0.3, 0.9]), text)
    assert v.shape == x.shape
    v.square().mean().backward()
    for module in family.learning.values():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert all(p.grad is None for p in family.pipe.vae.parameters())


def test_euler_steps_follow_a_straight_path_exactly(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    goal = torch.randn(3, 64, 64)
    monkeypatch.setattr(family, "velocity", lambda x, source, t, text: (x - goal) / t[:, None, None])
    end = euler(family, goal, None, 5, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    torch.testing.assert_close(end, goal, atol=1e-5, rtol=1e-5)


def test_the_autoencoder_learns(family: Family) -> None:
    vae, images = family.pipe.vae.train(), pictures(4)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3)
    losses = []
    for k in range(8):
        noise = torch.randn(4, 16, 16, 16, generator=torch.Generator().manual_seed(k))
        loss, parts = autoencoder_loss(vae, images, noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        assert set(parts) == {"vae/l1", "vae/edges", "vae/scale"}
    assert losses[-1] < 0.8 * losses[0]


def test_pairs_are_a_function_of_the_counter_and_stay_in_the_training_split() -> None:
    again = EditPairs(0)
    for a, b in zip(PAIRS.batch(3, 4), again.batch(3, 4), strict=True):
        assert a.instruction == b.instruction
        assert np.array_equal(a.before, b.before) and np.array_equal(a.after, b.after)
    assert any(p.instruction == EMPTY and np.array_equal(p.before, p.after) for p in PAIRS.batch(5, 64))
    assert {b.split for b in (PAIRS.single, PAIRS.several)} == {"train"}
