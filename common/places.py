"""Where the project's own files lie, wherever a command is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]  # of the checkout
ASSETS = "IMAGEEDIT_ASSETS"  # an environment variable: another folder with the tiny checkpoints


def assets_folder() -> str:
    """The folder with the tiny checkpoints: that of the environment, `assets` where a command is called in the checkout, and
    else the checkout's by its whole path."""
    if given := os.environ.get(ASSETS):
        return given
    return "assets" if Path("assets/tiny").is_dir() else str(ROOT / "assets")


def moved(values: Any, old: str, new: str) -> Any:
    """Plain values with every text that begins with the folder `old` in the folder `new` instead."""
    if isinstance(values, dict):
        return {key: moved(value, old, new) for key, value in values.items()}
    if isinstance(values, list):
        return [moved(value, old, new) for value in values]
    if isinstance(values, str) and (values == old or values.startswith(f"{old}/")):
        return new + values[len(old) :]
    return values


__all__ = ["ASSETS", "ROOT", "assets_folder", "moved"]
