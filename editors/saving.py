"""A trained editor as a folder of its own: its transformer, and links to the parts that training left alone."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from common.atomic import atomic_folder

TRANSFORMER = "transformer"


def save_with_transformer(transformer: nn.Module, checkpoint: Path, out: Path) -> None:
    """Write `out` so that it loads as the pipeline in the folder `checkpoint` with this transformer. Raises SaveFailed."""
    remedy = "The checkpoints are intact; free space and give the same command again"
    with atomic_folder(out, remedy=remedy) as draft:
        transformer.save_pretrained(draft / TRANSFORMER)  # type: ignore[operator]
        for part in sorted(checkpoint.resolve().iterdir()):
            if part.name != TRANSFORMER:
                os.symlink(part, draft / part.name)


__all__ = ["save_with_transformer"]
