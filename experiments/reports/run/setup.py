"""The configuration of a run: in one sentence, as a table of what differs from the default, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Any

from conf.options import TARGET
from conf.parts import config_values
from experiments.reports.html import card, table
from experiments.reports.panels import FinishedRun, Panel

NOT_SHOWN = ("paths", "sweep", "force", "verbose")  # where a run lies and how it was started, not what it is


def lead(run: FinishedRun) -> str:
    config = run.config
    return (
        f"Decomposer {config.decomposer.name}, {config.algo.name} for {config.algo.steps} steps of "
        f"{config.algo.prompts_per_step} prompts × {config.algo.group_size}, reward {config.reward.name}; editor "
        f"{config.editor.name}, {config.execution.name} execution; benchmark {config.benchmark.name}, scale "
        f"{config.scale.name}, seed {config.seed}; scores by judge {config.judge.name}. Scores are on samples never trained on; "
        "intervals are 95 %, a star marks those that are rough."
    )


def cards(run: FinishedRun) -> list[str]:
    times = run.results["time_s"]
    return [card(f"{(times['train'] + times['evaluate']) / 60:.1f} min", "training and evaluation")]


def section(run: FinishedRun) -> list[str]:
    """A table of the keys whose values differ from those of `python -m experiments.run` without any option."""
    own, usual = flat(config_values(run.config)), defaults()
    rows = [
        ([escape(key), escape(own.get(key, "–")), escape(usual.get(key, "–"))], False)
        for key in dict.fromkeys([*own, *usual])
        if own.get(key) != usual.get(key) and not key.startswith(NOT_SHOWN)
    ]
    files = "All values are in config.yaml beside this page."
    if not rows:
        return [f'<p class="muted">Everything is as by default. {files}</p>']
    said = f"What differs from the default of python -m experiments.run; everything else is as there. {files}"
    return [f'<p class="muted">{said}</p>', table(["key", "this run", "default"], rows, "words")]


@lru_cache(1)
def defaults() -> dict[str, str]:
    from experiments.runs.cli import compose, typed

    return flat(config_values(typed(compose("run", []))))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and their values as text; a group's own name stands for it."""
    out: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{key}.")
        elif key != TARGET:
            out[f"{prefix}{key}".removesuffix(".name") if prefix else key] = _plain(value)
    return out


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "[]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


PANEL = Panel("Configuration", 100, section, cards, lead)

__all__ = ["PANEL", "defaults", "flat"]
