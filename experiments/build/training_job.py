"""What a launcher starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingJob:
    """What a launcher starts: `train` does it in this process."""

    config: Any
    folder: Path
    stage: str  # its name
    log: Callable[[Any], None]
    show: Callable[..., None]
    train: Callable[[], None]
    journal: str  # in the folder: a row for each step
    steps: int


__all__ = ["TrainingJob"]
