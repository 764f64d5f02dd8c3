"""Class labels of a sandbox scene: what stands in each of its nine cells, and what is true of the whole picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.sandbox import scene as S
from benchmarks.sandbox.scene import Scene

NOTHING = "nothing"
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
EMPTY_CELL = {
    "shape": NOTHING,
    "colour": NOTHING,
    "material": NOTHING,
    "size": NOTHING,
    "count": "0",
    "labelled": "no",
}


def labels(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """Class ids: [B, 9] for each cell label, [B] for each picture label."""
    ids: dict[str, list] = {k: [] for k in (*CELL_LABELS, *PICTURE_LABELS)}
    for scene in scenes:
        by_cell = {thing.cell: thing for thing in scene.things}
        cells = [_cell(by_cell[c]) if c in by_cell else EMPTY_CELL for c in S.CELLS]
        for key, names in CELL_LABELS.items():
            ids[key].append([names.index(cell[key]) for cell in cells])
        picture = {
            "background": scene.background,
            "light": scene.light,
            "tone": scene.tone,
            "captioned": "yes" if scene.caption else "no",
        }
        for key, names in PICTURE_LABELS.items():
            ids[key].append(names.index(picture[key]))
    return {k: torch.tensor(v) for k, v in ids.items()}


def _cell(thing: S.Thing) -> dict[str, str]:
    return {
        "shape": thing.shape,
        "colour": thing.colour,
        "material": thing.material,
        "size": thing.size,
        "count": str(thing.count),
        "labelled": "yes" if thing.label else "no",
    }


__all__ = ["CELL_LABELS", "PICTURE_LABELS", "labels"]
