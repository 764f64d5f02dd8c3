"""The recipe of the VAE: its loss falls, and its pictures are a function of the step."""

from __future__ import annotations

import pytest
import torch

from conf.schema import AutoencoderConfig
from experiments.tiny.autoencoder import AutoencoderTraining, autoencoder_loss
from experiments.tiny.editor_model import tiny_kontext, tiny_qwen


@pytest.mark.parametrize("family", ["flux_kontext", "qwen"])
def test_the_autoencoder_learns(family: str) -> None:
    editor = tiny_qwen("assets/tiny/decomposer", 3) if family == "qwen" else tiny_kontext(["remove"], 3)
    config = AutoencoderConfig(batch_size=4)
    training = AutoencoderTraining(editor.model, config, seed=0)
    images = training.pictures(0, 4)
    optimizer = torch.optim.AdamW(training.vae.parameters(), lr=2e-3)
    losses = []
    for k in range(8):
        noise = torch.randn(4, 16, 16, 16, generator=torch.Generator().manual_seed(k))
        loss, parts = autoencoder_loss(editor.model, images, noise, config)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        assert set(parts) == {"vae/l1", "vae/edges", "vae/scale"}
    assert losses[-1] < 0.9 * losses[0]
    training.finish()
    assert not any(p.requires_grad for p in training.vae.parameters())


def test_pictures_are_a_function_of_the_step() -> None:
    model = tiny_kontext(["remove"], 3).model
    first, again = (AutoencoderTraining(model, AutoencoderConfig(), seed) for seed in (0, 0))
    assert torch.equal(first.pictures(3, 2), again.pictures(3, 2))
    assert not torch.equal(first.pictures(3, 2), first.pictures(4, 2))
