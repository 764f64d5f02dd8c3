"""The training of the decomposer: curves of reward, KL, entropy, lengths, shares and speed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import Chart, curves

COMPONENT = re.compile(r"reward/(.+)/mean")  # the metric of a component of the reward
COMPONENT_ORDER = ("format", "action", "subject", "goal", "linked", "outcome")  # others follow by the alphabet
NOT_SHOWN = {"exact", "soft", "calls"}  # the first two are logged by every reward of the sandbox, close to `linked`
LOOP = (
    "The same by part, of a closed loop: gain of an answer, score of the last picture (final), shares of readable answers "
    "(format), of answers that take a call back (again), and of loops that ended by a stop (stopped)."
)
ONE = (0.0, 1.0)
OTHER_CHARTS = (
    Chart("Calls of the editor", (("reward/calls/mean", "calls"),), "Mean number of calls that a closed loop made."),
    Chart(
        "KL to the start (nats per token)",
        (("kl/mean", "KL"),),
        "How far the trained model's answers have moved from those of the model before RL.",
    ),
    Chart(
        "Entropy (nats per token)",
        (("entropy/mean", "entropy"),),
        "How undecided the model is at each token; near 0 it always answers the same.",
    ),
    Chart(
        "Length of a decomposition (tokens)",
        (("tokens/mean", "mean"), ("tokens/max", "longest")),
        "Tokens of an answer in each step's batch.",
    ),
    Chart(
        "Shares",
        (
            ("groups/no_spread", "groups without spread"),
            ("tokens/truncated", "truncated"),
            ("trained/clip_high/mean", "clipped high"),
            ("trained/clip_low/mean", "clipped low"),
        ),
        "Groups without spread: all answers to a prompt have one reward, so there is nothing to learn from them. "
        "Truncated: answers that reached the longest allowed length. Clipped high, low: tokens whose probability had "
        "already moved up or down as far as one update allows, among the answers that were trained on.",
        ONE,
    ),
    Chart("Gradient norm", (("grad_norm", "before clipping"),), "Length of the gradient of each update."),
    Chart(
        "Speed (tokens per second)",
        (("tokens_per_s", "whole step"), ("tokens_per_s/rollout", "rollout")),
        "Answer tokens a second, over the whole step and while answers are sampled.",
    ),
)


def charts(rows: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The reward, whatever components it logs, then the rest."""
    names = {match[1] for row in rows for key in row if (match := COMPONENT.fullmatch(key))} - NOT_SHOWN
    ordered = [name for name in COMPONENT_ORDER if name in names]
    components = [*ordered, *sorted(names - set(ordered))]
    return [
        Chart("Reward", (("reward/mean", "mean"),), "Mean reward of the sampled answers of each step, 0 to 1.", ONE),
        Chart(
            "Reward components",
            tuple((f"reward/{name}/mean", name) for name in components),
            LOOP
            if "final" in names
            else "The same by part: readable format, and F1 of actions, subjects, goals and whole triples (linked).",
            ONE,
        ),
        *OTHER_CHARTS,
    ]


def section(run: FinishedRun) -> list[str]:
    """Nothing where nothing was trained: an evaluation of a run's arms with other parts."""
    figures = "".join(f"<figure>{svg}</figure>" for svg in curves(run.metrics, charts(run.metrics)))
    return [f'<div class="grid">{figures}</div>'] if run.metrics else []


PANEL = Panel("Training", 50, section)

__all__ = ["PANEL", "charts"]
