"""Sequence lengths of known cases, scaling laws, and memory estimates against what a forward really allocates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLQwenImage, FluxTransformer2DModel, QwenImageTransformer2DModel

from common.errors import BadData, BadInput, MissingFile
from editors.costs import transformer_activations
from editors.estimate import Workload, activation_bytes, edit_flops, forward_flops, shapes
from editors.parts import count_parameters, parts_of
from editors.published import PUBLISHED, PublishedModel
from editors.vae_costs import decoder_layers, encoder_layers, vae_activations

QWEN = Workload("QwenImageEditPipeline", steps=50, area=1024 * 1024, guided=True, multiple=32)
PLUS = replace(QWEN, pipeline="QwenImageEditPlusPipeline", steps=40)
KONTEXT = Workload("FluxKontextPipeline", steps=28, area=1024 * 1024, guided=False)
CASES = {
    "Qwen/Qwen-Image-Edit": QWEN,
    "Qwen/Qwen-Image-Edit-2509": PLUS,
    "Qwen/Qwen-Image-Edit-2511": PLUS,
    "black-forest-labs/FLUX.1-Kontext-dev": KONTEXT,
}


def test_tokens_of_a_square_megapixel() -> None:
    """1024 pixels are 64 tokens of 16; Qwen2.5-VL sees 1024 as 37 x 28 and 384 as 14 x 28 pixels."""
    qwen = shapes(QWEN, PUBLISHED["Qwen/Qwen-Image-Edit"])
    assert (qwen.grid, qwen.result, qwen.reference, qwen.patches) == ((1024, 1024), 4096, 4096, (74, 74))
    assert qwen.text == (37 * 37 + 7 + 30, 37 * 37 + 7 + 1)
    plus = shapes(PLUS, PUBLISHED["Qwen/Qwen-Image-Edit-2509"])
    assert (plus.patches, plus.text[0]) == ((28, 28), 14 * 14 + 11 + 30)
    kontext = shapes(KONTEXT, PUBLISHED["black-forest-labs/FLUX.1-Kontext-dev"])
    assert (kontext.result, kontext.text, kontext.patches) == (4096, (512,), None)
    assert kontext.prompts == {"text_encoder_2": (512,), "text_encoder": (77,)}


def test_compute_of_the_published_transformers() -> None:
    """One forward at a megapixel with a reference of as much: attention 4 n² d and matrices 24 n d² in each of 60 (57) blocks."""
    by_hand = {}
    for name, work in CASES.items():
        s = shapes(work, PUBLISHED[name])
        n, d, blocks = s.image + s.text[0], 3072, 57 if work is KONTEXT else 60
        by_hand[name] = blocks * (24 * n * d * d + 4 * n * n * d)
        assert forward_flops(PUBLISHED[name], s) == pytest.approx(by_hand[name], rel=0.005)
    assert by_hand["Qwen/Qwen-Image-Edit"] / 1e12 == pytest.approx(198, rel=0.01)
    assert by_hand["Qwen/Qwen-Image-Edit-2509"] / 1e12 == pytest.approx(167, rel=0.01)


@pytest.mark.parametrize("name", CASES)
def test_guidance_doubles_denoising_and_steps_multiply_it(name: str) -> None:
    parts, work = PUBLISHED[name], replace(CASES[name], guided=False, instruction_tokens=1)
    guided, more = replace(work, guided=True), replace(work, steps=3 * work.steps)
    plain = edit_flops(work, parts, shapes(work, parts))["denoising"]
    assert edit_flops(guided, parts, shapes(guided, parts))["denoising"] == pytest.approx(2 * plain)
    assert edit_flops(more, parts, shapes(more, parts))["denoising"] == pytest.approx(3 * plain)


@pytest.mark.parametrize("name", CASES)
def test_a_smaller_grid_costs_less_in_every_phase(name: str) -> None:
    parts, large = PUBLISHED[name], CASES[name]
    small = replace(large, area=large.area // 4)
    costs = [edit_flops(w, parts, shapes(w, parts)) for w in (small, large)]
    held = [activation_bytes(w, parts, shapes(w, parts), 2) for w in (small, large)]
    fixed = (
        ("text encoding",) if "text" in name or name != "Qwen/Qwen-Image-Edit" else ()
    )  # its picture or padding stays
    for phase in costs[0]:
        if phase in fixed:
            assert costs[0][phase] == pytest.approx(costs[1][phase], rel=1e-6)
        else:
            assert costs[0][phase] < costs[1][phase] / 3 and held[0][phase] < held[1][phase] / 2


@pytest.mark.parametrize("name", CASES)
def test_activations_of_the_denoiser_are_those_of_the_batch(name: str) -> None:
    parts, work = PUBLISHED[name], CASES[name]
    one = activation_bytes(work, parts, shapes(work, parts), 2)["denoising"]
    eight = replace(work, batch_size=8)
    assert activation_bytes(eight, parts, shapes(eight, parts), 2)["denoising"] == pytest.approx(8 * one)


def test_tiles_need_less_memory_for_the_vae_alone() -> None:
    parts = PUBLISHED["Qwen/Qwen-Image-Edit"]
    whole, tiles = (activation_bytes(w, parts, shapes(w, parts), 2) for w in (QWEN, replace(QWEN, tiled=True)))
    changed = {phase for phase in whole if tiles[phase] != whole[phase]}
    assert changed == {"VAE encoding", "VAE decoding"}
    assert all(tiles[phase] == pytest.approx(whole[phase] / 16) for phase in changed)


def test_what_is_not_known_is_named(tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="Flux2Pipeline"):
        shapes(replace(QWEN, pipeline="Flux2Pipeline"), PUBLISHED["Qwen/Qwen-Image-Edit"])
    with pytest.raises(MissingFile, match="someone/something"):
        parts_of("someone/something")
    assert parts_of(tmp_path / "Qwen-Image-Edit") is PUBLISHED["Qwen/Qwen-Image-Edit"]
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadData, match="config.json"):
        parts_of(tmp_path)
    with pytest.raises(BadData, match="NoSuchModel"):
        count_parameters(PublishedModel("NoSuchModel", {}))


# ------------------------------------------------------------------------------------------------------------ memory
def allocated(run: Callable[[], Any]) -> int:
    """Most bytes alive at a time, of those that `run` allocates on the CPU."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak


@pytest.mark.parametrize("text", [40, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_transformers_keep_at_most_what_was_estimated(dtype: torch.dtype, text: int) -> None:
    image, element = 512, torch.finfo(dtype).bits // 8
    common: Mapping[str, Any] = {
        "attention_head_dim": 32,
        "num_attention_heads": 4,
        "joint_attention_dim": 48,
        "axes_dims_rope": (8, 12, 12),
        "in_channels": 16,
        "num_layers": 2,
    }
    tokens = {"hidden_states": torch.zeros(1, image, 16, dtype=dtype), "timestep": torch.ones(1, dtype=dtype)}
    tokens["encoder_hidden_states"] = torch.zeros(1, text, 48, dtype=dtype)
    qwen = QwenImageTransformer2DModel(out_channels=4, **common).to(dtype)
    result = allocated(lambda: qwen(img_shapes=[[(1, 16, 16), (1, 16, 16)]], return_dict=False, **tokens))
    assert (
        result
        <= transformer_activations("QwenImageTransformer2DModel", qwen.config, image, text, element)
        <= 1.6 * result
    )
    flux = FluxTransformer2DModel(num_single_layers=2, pooled_projection_dim=24, **common).to(dtype)
    pooled, ids = torch.zeros(1, 24, dtype=dtype), {"img_ids": torch.zeros(image, 3), "txt_ids": torch.zeros(text, 3)}
    result = allocated(lambda: flux(pooled_projections=pooled, return_dict=False, **ids, **tokens))
    assert (
        result <= transformer_activations("FluxTransformer2DModel", flux.config, image, text, element) <= 1.6 * result
    )


def test_autoencoders_keep_at_most_what_was_estimated() -> None:
    """In bf16: on the CPU a 3-D convolution in fp32 unrolls its input, which no GPU does."""
    dtype = torch.bfloat16
    pixels = torch.zeros(1, 3, 1, 64, 64, dtype=dtype)
    qwen = AutoencoderKLQwenImage(
        base_dim=16,
        z_dim=4,
        dim_mult=[1, 2, 4],
        num_res_blocks=2,
        temperal_downsample=[False, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).to(dtype)
    flux = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=4,
    ).to(dtype)
    for kind, vae, picture, latent in (
        ("AutoencoderKLQwenImage", qwen, pixels, torch.zeros(1, 4, 1, 16, 16, dtype=dtype)),
        ("AutoencoderKL", flux, pixels[:, :, 0], torch.zeros(1, 4, 16, 16, dtype=dtype)),
    ):
        result = allocated(lambda v=vae, x=picture: v.encode(x)), allocated(lambda v=vae, z=latent: v.decode(z))
        layers = encoder_layers(kind, vae.config, 64, 64), decoder_layers(kind, vae.config, 64, 64)
        for part, bytes_ in zip(layers, result, strict=True):
            assert bytes_ <= vae_activations(part, 2) <= 2.2 * bytes_
