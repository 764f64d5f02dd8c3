"""Warm-up of a tiny vision tower: from its tokens, linear read-outs name what stands in each of the sandbox's nine cells.

A big VLM comes with a trained vision tower; the tiny one has to learn to see first. Dense labels for every cell teach that
far quicker than the answers of a language model do. The read-outs are thrown away afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from agents.backends.vlm import VLM
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.scene import Scene

NOTHING = "nothing"
# what is asked about each cell, and about the whole picture
CELL_LABELS: dict[str, tuple[str, ...]] = {
    "shape": (NOTHING, *S.SHAPES),
    "colour": (NOTHING, *S.COLOURS),
    "material": (NOTHING, *S.MATERIALS),
    "size": (NOTHING, *S.SIZES),
    "count": tuple(str(n) for n in range(S.MAX_COUNT + 1)),
    "labelled": ("no", "yes"),
}
PICTURE_LABELS: dict[str, tuple[str, ...]] = {
    "background": S.BACKGROUNDS,
    "light": ("", *S.LIGHTS),
    "tone": ("", *S.TONES),
    "captioned": ("no", "yes"),
}


def labels(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """Class ids: [B, 9] for each cell label, [B] for each picture label."""
    out: dict[str, list] = {k: [] for k in (*CELL_LABELS, *PICTURE_LABELS)}
    for scene in scenes:
        by_cell = {t.cell: t for t in scene.things}
        rows = [_cell(by_cell.get(c)) for c in S.CELLS]
        for key, names in CELL_LABELS.items():
            out[key].append([names.index(row[key]) for row in rows])
        whole = {
            "background": scene.background,
            "light": scene.light,
            "tone": scene.tone,
            "captioned": "yes" if scene.caption else "no",
        }
        for key, names in PICTURE_LABELS.items():
            out[key].append(names.index(whole[key]))
    return {k: torch.tensor(v) for k, v in out.items()}


def _cell(thing: S.Thing | None) -> dict[str, str]:
    if thing is None:
        return {
            "shape": NOTHING,
            "colour": NOTHING,
            "material": NOTHING,
            "size": NOTHING,
            "count": "0",
            "labelled": "no",
        }
    return {
        "shape": thing.shape,
        "colour": thing.colour,
        "material": thing.material,
        "size": thing.size,
        "count": str(thing.count),
        "labelled": "yes" if thing.label else "no",
    }


class Readout(nn.Module):
    """Linear maps from all vision tokens of a picture [B, N*D] to the classes of every label."""

    def __init__(self, tokens: int, width: int):
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
    """Summed mean cross-entropies of all labels, and the accuracy of each (cells with a thing in them only)."""
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
