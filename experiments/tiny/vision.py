"""Recipe: warm-up of the tiny vision tower. Linear read-outs of its tokens name what stands in each cell of a sandbox scene.

A big VLM comes with a trained vision tower; the tiny one has to learn to see first. Dense labels for every cell teach that
far quicker than the answers of a language model do. The read-outs are thrown away afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from agents.backends.vlm import VLM
from benchmarks.sandbox.generate import random_scene
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from conf.schema import VisionWarmupConfig
from experiments.tiny.scene_labels import CELL_LABELS, PICTURE_LABELS, labels
from rl.clock import Clock
from rl.loop import StepResult
from rl.schedule import Cosine

TOKENS = 16  # of a picture: 64 px / (8 px patches x 2) on each side


class Readout(nn.Module):
    """Linear maps from all vision tokens of a picture [B, N*D] to the classes of every label."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.cells = nn.ModuleDict({k: nn.Linear(tokens * width, 9 * len(v)) for k, v in CELL_LABELS.items()})
        self.picture = nn.ModuleDict({k: nn.Linear(tokens * width, len(v)) for k, v in PICTURE_LABELS.items()})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """[B, N, D] -> logits [B, 9, classes] per cell label, [B, classes] per picture label."""
        flat = self.norm(features).flatten(1)
        cells = {k: m(flat).unflatten(-1, (9, -1)) for k, m in self.cells.items()}
        return cells | {k: m(flat) for k, m in self.picture.items()}


def perception_loss(
    vlm: VLM, readout: Readout, images: Sequence[Image.Image], scenes: Sequence[Scene]
) -> tuple[Tensor, dict[str, float]]:
    """Summed mean cross-entropies of all labels, and the accuracy of each (that of cell labels over filled cells only)."""
    pixels, grids = vlm.preprocess(images)
    device = vlm.model.device
    features = vlm.model.model.visual(pixels.to(device), grid_thw=grids.to(device)).pooler_output
    logits = readout(features.unflatten(0, (len(images), -1)))
    target = {k: v.to(device) for k, v in labels(scenes).items()}
    filled = target["shape"] > 0
    loss = torch.zeros((), device=device)
    accuracy = {}
    for key, value in logits.items():
        loss = loss + nn.functional.cross_entropy(value.flatten(0, -2), target[key].flatten())
        hits = value.argmax(-1) == target[key]
        accuracy[f"vision/{key}"] = float((hits[filled] if key in CELL_LABELS else hits).float().mean())
    return loss, accuracy


class VisionWarmup:
    """The warm-up as an algorithm for `rl.loop.run_loop`; trains the vision tower of `vlm` in place."""

    def __init__(self, vlm: VLM, config: VisionWarmupConfig, seed: int) -> None:
        torch.manual_seed(seed)
        self.vlm, self.config, self.seed = vlm, config, seed
        self.tower = vlm.model.model.visual
        self.readout = Readout(TOKENS, vlm.model.config.text_config.hidden_size)
        self.parameters = [*self.tower.parameters(), *self.readout.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay, fused=True
        )
        self.schedule = Cosine(config.lr, config.steps, config.warmup, config.final_lr_share)

    def step(self, k: int, clock: Clock) -> StepResult:
        """One update on `batch_size` random scenes, which are a function of k."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.lr_at(k)
        scenes = [random_scene(Random(f"vision/{self.seed}/{k}/{j}"), "train") for j in range(self.config.batch_size)]
        images = [Image.fromarray(render(scene, 64)) for scene in scenes]
        loss, accuracy = perception_loss(self.vlm, self.readout, images, scenes)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepResult({"vision/loss": float(loss.detach()), **accuracy})

    def state_dict(self) -> dict[str, Any]:
        return {
            "tower": self.tower.state_dict(),
            "readout": self.readout.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tower.load_state_dict(state["tower"])
        self.readout.load_state_dict(state["readout"])
        self.optimizer.load_state_dict(state["optimizer"])


__all__ = ["Readout", "VisionWarmup", "perception_loss"]
