"""The training of the decomposer: curves of reward, KL, entropy, lengths, shares and speed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import Chart, curves

COMPONENT = re.compile(r"reward/(.+)/mean")  # the metric of a component of the reward
COMPONENT_ORDER = ("format", "action", "subject", "goal", "linked", "outcome")  # others follow by the alphabet
NOT_SHOWN = {"exact", "soft"}  # logged by every reward of the sandbox, close to `linked`
OTHER_CHARTS = (
    Chart("KL to the start (nats per token)", (("kl/mean", "KL"),)),
    Chart("Entropy (nats per token)", (("entropy/mean", "entropy"),)),
    Chart("Length of a decomposition (tokens)", (("tokens/mean", "mean"), ("tokens/max", "longest"))),
    Chart(
        "Shares",
        (
            ("groups/no_spread", "groups without spread"),
            ("tokens/truncated", "truncated"),
            ("trained/clip_high/mean", "clipped high"),
            ("trained/clip_low/mean", "clipped low"),
        ),
    ),
    Chart("Gradient norm", (("grad_norm", "before clipping"),)),
    Chart("Speed (tokens per second)", (("tokens_per_s", "whole step"), ("tokens_per_s/rollout", "rollout"))),
)


def charts(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The reward, whatever components it logs, then the rest."""
    names = {match[1] for row in rows for key in row if (match := COMPONENT.fullmatch(key))} - NOT_SHOWN
    ordered = [name for name in COMPONENT_ORDER if name in names]
    components = [*ordered, *sorted(names - set(ordered))]
    return [
        Chart("Reward", (("reward/mean", "mean"),)),
        Chart("Reward components", tuple((f"reward/{name}/mean", name) for name in components)),
        *OTHER_CHARTS,
    ]


def section(run: FinishedRun) -> list[str]:
    """Nothing where nothing was trained: an evaluation of a run's arms with other parts."""
    figures = "".join(f"<figure>{svg}</figure>" for svg in curves(run.metrics, charts(run.metrics)))
    return [f'<div class="grid">{figures}</div>'] if run.metrics else []


PANEL = Panel("Training", 50, section)

__all__ = ["PANEL", "charts"]
