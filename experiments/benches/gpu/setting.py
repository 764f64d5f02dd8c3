"""Where the parts of `make check-gpu` run: on the card, or on the CPU as a rehearsal of the same code with small shapes."""

from __future__ import annotations

import os

VARIABLE = "IMAGEEDIT_CHECK_DEVICE"  # how a part's process learns of it


def device() -> str:
    import torch

    return os.environ.get(VARIABLE) or ("cuda" if torch.cuda.is_available() else "cpu")


def rehearsal() -> bool:
    """Whether a part that measures the card is tried with small shapes instead."""
    return os.environ.get(VARIABLE) == "cpu"


__all__ = ["VARIABLE", "device", "rehearsal"]
