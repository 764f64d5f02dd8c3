"""Read-outs of the scene inside a tiny editor while it learns: from an early block, what stands in each cell of the source;
from a later one, what will stand in the result.

The flow loss alone teaches slowly which thing an instruction means, since that decides a few latents of many. A label for
every cell teaches it directly (aligning inner representations: arXiv 2410.06940). The read-outs are thrown away after training.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.sandbox.scene import Scene
from experiments.tiny.scene_labels import CELL_LABELS, PICTURE_LABELS, labels

ROWS, COLS = (0, 2, 4), (0, 3, 5)  # first token row and column of each cell's 3 x 3 window among 8 x 8 tokens
CHANGED_WEIGHT = 4.0  # added where a cell or the whole picture changes, as in the flow loss


class SceneReadout(nn.Module):
    """Linear maps from the tokens around each cell to that cell's labels, and from all tokens to the picture's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        near = [[(r + i) * 8 + c + j for i in range(3) for j in range(3)] for r in ROWS for c in COLS]
        self.register_buffer("near", torch.tensor(near), persistent=False)  # [9 cells, 9 tokens]
        self.norm = nn.LayerNorm(width)
        self.cells = nn.Linear(9 * width, sum(map(len, CELL_LABELS.values())))
        self.picture = nn.Linear(width, sum(map(len, PICTURE_LABELS.values())))

    def forward(self, tokens_BND: Tensor) -> dict[str, Tensor]:
        """[B, 64, D] -> logits: [B, 9, classes] per label of a cell, [B, classes] per label of the picture."""
        x = self.norm(tokens_BND)
        cells = self.cells(x[:, self.near].flatten(2)).split([len(v) for v in CELL_LABELS.values()], -1)
        picture = self.picture(x.mean(1)).split([len(v) for v in PICTURE_LABELS.values()], -1)
        return dict(zip((*CELL_LABELS, *PICTURE_LABELS), (*cells, *picture), strict=True))


def readout_loss(
    logits: dict[str, Tensor], scenes: Sequence[Scene], others: Sequence[Scene], used: Sequence[bool]
) -> Tensor:
    """Summed cross-entropies of the scenes' labels, each a mean over the samples that are `used`. Labels that differ from those
    of `others` weigh more. Zoomed scenes are left out: their things are not in their cells."""
    device = logits["shape"].device
    target, other = ({k: v.to(device) for k, v in labels(s).items()} for s in (scenes, others))
    used_B = torch.tensor([u and not s.zoom for u, s in zip(used, scenes, strict=True)], device=device).float()
    changed = torch.stack([target[k] != other[k] for k in CELL_LABELS]).any(0)  # [B, 9]
    loss = torch.zeros((), device=device)
    for key, value in logits.items():
        differs = changed if key in CELL_LABELS else target[key] != other[key]
        weight = (1 + CHANGED_WEIGHT * differs.float()) * (used_B[:, None] if key in CELL_LABELS else used_B)
        error = nn.functional.cross_entropy(value.flatten(0, -2), target[key].flatten(), reduction="none")
        loss = loss + (error * weight.flatten()).sum() / weight.sum().clamp_min(1e-6)
    return loss


class BlockOutputs:
    """`with BlockOutputs(early, late) as outputs`: after a forward pass `outputs.early` and `outputs.late` are the picture
    tokens [B, 2 N, D] that these blocks of the transformer returned."""

    early: Tensor
    late: Tensor

    def __init__(self, early: nn.Module, late: nn.Module) -> None:
        self.blocks = {"early": early, "late": late}

    def __enter__(self) -> BlockOutputs:
        def keep(name: str) -> Any:
            def hook(module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
                setattr(self, name, output[1])  # the blocks of both families return (text, picture)

            return hook

        self.handles = [block.register_forward_hook(keep(name)) for name, block in self.blocks.items()]
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for handle in self.handles:
            handle.remove()


__all__ = ["BlockOutputs", "SceneReadout", "readout_loss"]
