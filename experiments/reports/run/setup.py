"""The configuration of a run: in one sentence, as a list of all its values, and how long it took."""

from __future__ import annotations

from html import escape
from typing import Any

from conf.parts import config_values
from experiments.reports.html import card
from experiments.reports.panels import FinishedRun, Panel


def lead(run: FinishedRun) -> str:
    config = run.config
    return (
        f"Decomposer {config.decomposer.name}, {config.algo.name} for {config.algo.steps} steps of "
        f"{config.algo.prompts_per_step} prompts × {config.algo.group_size}, reward {config.reward.name}; editor "
        f"{config.editor.name}, {config.execution.name} execution; benchmark {config.benchmark.name}, scale "
        f"{config.scale.name}, seed {config.seed}. Scores are on samples never trained on; intervals are 95 % bootstrap."
    )


def cards(run: FinishedRun) -> list[str]:
    times = run.results["time_s"]
    return [card(f"{(times['train'] + times['evaluate']) / 60:.1f} min", "training and evaluation")]


def section(run: FinishedRun) -> list[str]:
    """One line per group; values that are empty or zero are left out."""
    lines = []
    for group, value in config_values(run.config).items():
        if value in (None, ""):
            continue
        text = (
            ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v not in (None, "", 0.0, []))
            if isinstance(value, dict)
            else str(value)
        )
        lines.append(f"<dt>{escape(group)}</dt><dd>{escape(text)}</dd>")
    return [f'<dl class="config">{"".join(lines)}</dl>']


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


PANEL = Panel("Configuration", 100, section, cards, lead)

__all__ = ["PANEL"]
