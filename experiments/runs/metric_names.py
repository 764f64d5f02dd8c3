"""What trackers call a metric of a journal: every one has a group before its slash, which their pages show as a section.

The groups are reward, tokens, groups, kl, entropy, rollout, train, update, watch, turns, time, memory, perf, and others that a
reward or a stage of one's own brings. Trainings of a run besides the main one have their name before it: gcpo/reward/mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

STEP = "step"
RENAMED = (
    (re.compile(r"(\w+_per_s(/.+)?)"), r"perf/\1"),
    (re.compile(r"(lr|grad_norm)"), r"train/\1"),
    (re.compile(r"trained/(.+)"), r"train/\1"),
)


def grouped(name: str) -> str:
    """One metric of a journal as trackers call it."""
    for pattern, new in RENAMED:
        if found := pattern.fullmatch(name):
            return found.expand(new)
    return name


def tracked(metrics: Mapping[str, Any], training: str = "") -> dict[str, Any]:
    """A row of a journal as trackers get it; `training`: the name of its training, empty for the main one."""
    if not training:
        return {grouped(key): value for key, value in metrics.items()}
    own = {f"{training}/{key.removeprefix('sft/')}": value for key, value in metrics.items() if key.startswith("sft/")}
    return own | {f"{training}/{grouped(k)}": v for k, v in metrics.items() if not k.startswith("sft/")}


def step_metric(training: str) -> str:
    """What the steps of a training are counted by, the x axis of its curves."""
    return f"{training}/{STEP}" if training else STEP


__all__ = ["STEP", "grouped", "step_metric", "tracked"]
