"""The warm-up of the vision tower."""

from __future__ import annotations

from random import Random

import torch
from PIL import Image

from agents.backends.tiny import TinyShape, build_tiny_vlm
from benchmarks.sandbox.generate import random_scene
from benchmarks.sandbox.render import render
from experiments.tiny.vision import Readout, perception_loss


def test_the_vision_tower_learns_to_see():
    vlm = build_tiny_vlm(
        ["a b"], TinyShape(vocab=300, hidden=32, layers=1, heads=2, kv_heads=1, inter=32, vision_hidden=32)
    )
    torch.manual_seed(0)
    readout = Readout(16, 32)
    learning = [*vlm.model.model.visual.parameters(), *readout.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=3e-3)
    scenes = [random_scene(Random(i), "train") for i in range(16)]
    images = [Image.fromarray(render(s, 64)) for s in scenes]
    losses = []
    for _ in range(25):
        loss, accuracy = perception_loss(vlm, readout, images, scenes)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert accuracy["vision/background"] > 0.5
