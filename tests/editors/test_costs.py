"""FLOPs by formula against torch's own counter on small models of the same classes; known sizes of the published ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLQwenImage, FluxTransformer2DModel, QwenImageTransformer2DModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

from common.errors import BadInput
from editors.costs import kv_cache, one_device_bytes, text_encoder_flops, transformer_flops, zero_bytes
from editors.frames import single_frame
from editors.parts import count_parameters
from editors.published import PUBLISHED
from editors.vae_costs import decoder_layers, encoder_layers, shrinks_by, vae_flops

CLOSE = 0.02  # of the counter's number
GIB = 2**30


def counted(run: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("zero_cond_t", [False, True])
@pytest.mark.parametrize(("side", "text"), [(4, 3), (8, 40)])
def test_qwen_image_transformer(zero_cond_t: bool, side: int, text: int) -> None:
    image = 2 * side * side
    with torch.device("meta"):
        model = QwenImageTransformer2DModel(
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=4,
            joint_attention_dim=48,
            axes_dims_rope=(4, 6, 6),
            in_channels=16,
            out_channels=4,
            zero_cond_t=zero_cond_t,
        )
        result = counted(
            lambda: model(
                hidden_states=torch.zeros(1, image, 16),
                encoder_hidden_states=torch.zeros(1, text, 48),
                timestep=torch.ones(1),
                img_shapes=[[(1, side, side), (1, side, side)]],
                return_dict=False,
            )
        )
    expected = transformer_flops("QwenImageTransformer2DModel", model.config, image, text)
    assert expected == pytest.approx(result, rel=CLOSE)


@pytest.mark.parametrize("guidance", [False, True])
@pytest.mark.parametrize(("image", "text"), [(32, 3), (128, 40)])
def test_flux_transformer(guidance: bool, image: int, text: int) -> None:
    with torch.device("meta"):
        model = FluxTransformer2DModel(
            num_layers=2,
            num_single_layers=3,
            attention_head_dim=16,
            num_attention_heads=4,
            joint_attention_dim=48,
            pooled_projection_dim=24,
            axes_dims_rope=(4, 6, 6),
            in_channels=16,
            guidance_embeds=guidance,
        )
        result = counted(
            lambda: model(
                hidden_states=torch.zeros(1, image, 16),
                encoder_hidden_states=torch.zeros(1, text, 48),
                pooled_projections=torch.zeros(1, 24),
                timestep=torch.ones(1),
                img_ids=torch.zeros(image, 3),
                txt_ids=torch.zeros(text, 3),
                guidance=torch.ones(1) if guidance else None,
                return_dict=False,
            )
        )
    expected = transformer_flops("FluxTransformer2DModel", model.config, image, text)
    assert expected == pytest.approx(result, rel=CLOSE)


@pytest.mark.parametrize("logits", [1, 0])  # 0: transformers' way to say all
@pytest.mark.parametrize("grid", [(20, 18), (8, 16), None])
def test_qwen_vl(grid: tuple[int, int] | None, logits: int) -> None:
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 64,
            "intermediate_size": 160,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 300,
            "bos_token_id": None,
            "eos_token_id": None,
            "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 4,
            "hidden_size": 32,
            "intermediate_size": 80,
            "num_heads": 2,
            "fullatt_block_indexes": [1, 3],
            "out_hidden_size": 64,
        },
        image_token_id=299,
        vision_start_token_id=298,
    )
    model = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    height, width = grid or (0, 0)
    picture = torch.full((height * width // 4,), 299)
    ids = torch.cat([torch.arange(10), torch.tensor([298]), picture, torch.arange(20)])[None]
    seen = {}
    if grid:
        pixels = torch.zeros(height * width, 3 * 2 * 14 * 14)
        kinds = (ids == 299).long()
        seen = {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, *grid]]), "mm_token_type_ids": kinds}
    result = counted(lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=logits, **seen))
    kind, tokens = "Qwen2_5_VLForConditionalGeneration", ids.shape[1]
    expected = text_encoder_flops(kind, config.to_dict(), tokens, grid, logits or tokens)
    assert expected == pytest.approx(result, rel=CLOSE)


@pytest.mark.parametrize("projection", ["relu", "gated-gelu"])
def test_t5_encoder(projection: str) -> None:
    config = T5Config(
        d_model=64, d_ff=96, d_kv=8, num_heads=4, num_layers=3, vocab_size=99, feed_forward_proj=projection
    )
    result = counted(lambda: T5EncoderModel(config)(torch.arange(30)[None]))
    assert text_encoder_flops("T5EncoderModel", config.to_dict(), 30) == pytest.approx(result, rel=CLOSE)


def test_clip_text_encoder() -> None:
    config = CLIPTextConfig(
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=4,
        num_hidden_layers=3,
        vocab_size=99,
        bos_token_id=97,
        eos_token_id=98,
    )
    model = CLIPTextModel._from_config(config, attn_implementation="eager")
    result = counted(lambda: model(torch.arange(30)[None]))
    assert text_encoder_flops("CLIPTextModel", config.to_dict(), 30) == pytest.approx(result, rel=CLOSE)


def test_qwen_vae_as_it_is_and_on_single_frames() -> None:
    with torch.device("meta"):
        vae = AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 2, 4],
            num_res_blocks=1,
            temperal_downsample=[False, True],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        )
        pixels, latents = torch.zeros(1, 3, 1, 64, 48), torch.zeros(1, 4, 1, 16, 12)
        plain = counted(lambda: vae.encode(pixels)), counted(lambda: vae.decode(latents))
        with single_frame(vae):
            short = counted(lambda: vae.encode(pixels)), counted(lambda: vae.decode(latents))
    for flat, result in ((False, plain), (True, short)):
        layers = [f("AutoencoderKLQwenImage", vae.config, 64, 48, flat) for f in (encoder_layers, decoder_layers)]
        assert [vae_flops(part) for part in layers] == pytest.approx(result, rel=CLOSE)
    assert shrinks_by("AutoencoderKLQwenImage", vae.config) == 4


@pytest.mark.parametrize("quant", [False, True])
def test_flux_vae(quant: bool) -> None:
    with torch.device("meta"):
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 16, 16),
            layers_per_block=2,
            latent_channels=4,
            norm_num_groups=4,
            use_quant_conv=quant,
            use_post_quant_conv=quant,
        )
        result = (
            counted(lambda: vae.encode(torch.zeros(1, 3, 64, 48))),
            counted(lambda: vae.decode(torch.zeros(1, 4, 16, 12))),
        )
    layers = [f("AutoencoderKL", vae.config, 64, 48) for f in (encoder_layers, decoder_layers)]
    assert [vae_flops(part) for part in layers] == pytest.approx(result, rel=CLOSE)


def test_classes_without_a_formula_are_named() -> None:
    with pytest.raises(BadInput, match="UNet2DConditionModel"):
        transformer_flops("UNet2DConditionModel", {}, 1, 1)
    with pytest.raises(BadInput, match="BertModel"):
        text_encoder_flops("BertModel", {}, 1)
    with pytest.raises(BadInput, match="VQModel"):
        encoder_layers("VQModel", {}, 64, 64)


@pytest.mark.parametrize(
    ("repository", "part", "billions", "gib"),
    [
        ("Qwen/Qwen-Image-Edit", "transformer", 20.43, 38.1),
        ("Qwen/Qwen-Image-Edit-2511", "transformer", 20.43, 38.1),
        ("Qwen/Qwen-Image-Edit", "vae", 0.1269, 0.236),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "model", 8.292, 15.4),
        ("Qwen/Qwen3-VL-4B-Instruct", "model", 4.438, 8.27),
        ("Qwen/Qwen3-VL-8B-Instruct", "model", 8.767, 16.3),
        ("black-forest-labs/FLUX.1-Kontext-dev", "transformer", 11.90, 22.2),
        ("black-forest-labs/FLUX.1-Kontext-dev", "text_encoder_2", 4.762, 8.87),
        ("black-forest-labs/FLUX.1-Kontext-dev", "text_encoder", 0.123, 0.23),
        ("black-forest-labs/FLUX.1-Kontext-dev", "vae", 0.0838, 0.156),
    ],
)
def test_published_models_have_their_known_sizes(repository: str, part: str, billions: float, gib: float) -> None:
    parameters = count_parameters(PUBLISHED[repository][part]).parameters
    assert parameters / 1e9 == pytest.approx(billions, rel=0.002)
    assert 2 * parameters / GIB == pytest.approx(gib, rel=0.006)


@given(
    st.integers(1, 9000),
    st.integers(1, 2000),
    st.sampled_from(["Qwen/Qwen-Image-Edit", "black-forest-labs/FLUX.1-Kontext-dev"]),
)
@settings(max_examples=50, deadline=None)
def test_compute_grows_with_tokens_between_linearly_and_quadratically(image: int, text: int, repository: str) -> None:
    part = PUBLISHED[repository]["transformer"]
    one = transformer_flops(part.kind, part.config, image, text)
    two = transformer_flops(part.kind, part.config, 2 * image, 2 * text)
    constant = transformer_flops(part.kind, part.config, 0, 0)
    assert 2 * (one - constant) < two - constant < 4 * (one - constant)


def test_zero_stages_by_hand() -> None:
    """16 bytes a parameter in all; 8 devices share 12, 14 and 16 of them (arXiv 1910.02054, figure 1, whose example is 7.5 B)."""
    known = {
        0: 120.0,
        1: 41.25,
        2: 28.125,
        3: 15.0,
    }  # figure 1 for 7.5 B parameters, GB; there on 64 devices: 31.4, 16.6, 1.9
    for stage, gigabytes in known.items():
        assert zero_bytes(7.5e9, 8, stage, False).total / 1e9 == pytest.approx(gigabytes)
    assert [round(zero_bytes(7.5e9, 64, s, False).total / 1e9, 1) for s in range(4)] == [120.0, 31.4, 16.6, 1.9]
    assert zero_bytes(7.5e9, 8, 2, True).total - zero_bytes(7.5e9, 8, 2, False).total == 15e9
    assert one_device_bytes(1e9, 2, True).total == 10e9
    with pytest.raises(BadInput, match="stage 4"):
        zero_bytes(1.0, 1, 4, False)


def test_keys_and_values_by_hand() -> None:
    """28 layers x 4 heads of 128, keys and values, two bytes: 57,344 bytes a token."""
    assert kv_cache(PUBLISHED["Qwen/Qwen2.5-VL-7B-Instruct"]["model"].config, 1, 2) == 57_344
    assert kv_cache(PUBLISHED["Qwen/Qwen3-VL-4B-Instruct"]["model"].config, 1, 2) == 2 * 36 * 8 * 128 * 2
