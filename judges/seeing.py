"""What the sandbox's judges see in a picture: perceived once, however often it is judged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from benchmarks.sandbox.perceive import Perception, perceive_fully

FOREIGN = 15.0  # mean error of the perceived scene from which a picture is none of this world
REMEMBERED = 512  # pictures; in a session each is the result of one turn and what the next turn is made on


def perceived(picture: np.ndarray, labels: tuple[str, ...] | None = None) -> Perception:
    """What uint8[S, S, 3] shows; `labels`: all that things in it can bear, None for any (`perceive_fully`)."""
    return _perceived(np.ascontiguousarray(picture).tobytes(), len(picture), labels)


@lru_cache(maxsize=REMEMBERED)
def _perceived(pixels: bytes, side: int, labels: tuple[str, ...] | None) -> Perception:
    return perceive_fully(np.frombuffer(pixels, np.uint8).reshape(side, side, 3), labels)


__all__ = ["FOREIGN", "perceived"]
