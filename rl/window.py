"""Which steps of a trajectory are noisy, and which of these are trained: functions of the step of training alone.

Steps outside the window are plain Euler steps, which cost no training: Flow-GRPO-Fast draws a window at random within the first
half of the steps, MixGRPO (arXiv 2507.21802) slides it from the noise towards the picture.
"""

from __future__ import annotations

import math
from random import Random

from rl.flow_config import NoisyStepsConfig
from rl.rollouts import counter_seed


def noisy_steps(config: NoisyStepsConfig, step: int, seed: int) -> range:
    """The noisy ones of S denoising steps, at a step of training; never the last one, whose noise would stay in the picture."""
    size, last = config.window_size, config.sampling_steps - 1
    if size == 0:
        return range(config.window_first, last)
    if config.window == "random":
        latest = max(0, math.floor(config.sampling_steps * config.window_range) - size)
        start = Random(counter_seed(seed, step, 1)).randint(0, min(latest, last - size))
    elif config.window == "sliding":
        starts = range(config.window_first, last - size + 1, config.window_stride)
        start = starts[step // config.window_every % len(starts)]
    else:
        start = config.window_first
    return range(start, start + size)


def trained_places(config: NoisyStepsConfig, count: int, step: int, seed: int) -> list[int]:
    """Which of `count` noisy steps are trained: the share `trained_share` of them, at least one, in order."""
    kept = max(1, round(count * config.trained_share))
    return sorted(Random(counter_seed(seed, step, 2)).sample(range(count), kept))


__all__ = ["noisy_steps", "trained_places"]
