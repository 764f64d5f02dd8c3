"""The short way through Qwen-Image's VAE gives the long way's numbers."""

import pytest
import torch
from diffusers import AutoencoderKLQwenImage

from editors.frames import single_frame


@pytest.fixture(params=[[False, False], [False, True]])
def vae(request: pytest.FixtureRequest) -> AutoencoderKLQwenImage:
    torch.manual_seed(0)
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=request.param,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).eval()


@torch.no_grad()
def test_a_picture_is_encoded_and_decoded_alike(vae: AutoencoderKLQwenImage) -> None:
    x = torch.randn(2, 3, 1, 24, 40)
    latents = vae.encode(x).latent_dist.mode()
    picture = vae.decode(latents).sample
    with single_frame(vae):
        torch.testing.assert_close(vae.encode(x).latent_dist.mode(), latents, atol=1e-5, rtol=0)
        torch.testing.assert_close(vae.decode(latents).sample, picture, atol=1e-5, rtol=0)


@torch.no_grad()
def test_videos_and_what_comes_after_are_untouched(vae: AutoencoderKLQwenImage) -> None:
    video = torch.randn(1, 3, 5, 16, 16)
    wanted = vae.encode(video).latent_dist.mode()
    with single_frame(vae):
        torch.testing.assert_close(vae.encode(video).latent_dist.mode(), wanted)
    assert not any("forward" in vars(m) for m in vae.modules())
    torch.testing.assert_close(vae.encode(video).latent_dist.mode(), wanted)


def test_gradients_are_the_same(vae: AutoencoderKLQwenImage) -> None:
    x = torch.randn(1, 3, 1, 16, 16)
    vae.encode(x).latent_dist.mode().square().sum().backward()
    wanted = {n: p.grad.clone() for n, p in vae.named_parameters() if p.grad is not None}
    vae.zero_grad()
    with single_frame(vae):
        vae.encode(x).latent_dist.mode().square().sum().backward()
    for name, gradient in wanted.items():
        torch.testing.assert_close(dict(vae.named_parameters())[name].grad, gradient, atol=1e-4, rtol=1e-4)
