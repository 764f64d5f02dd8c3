"""What a comparison of runs shows, from the runs' own files: which metrics there are, and what the runs differ in.

Nothing here knows the service whose page it becomes. Metrics have the names that trackers give them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.reports.sweep.runs import choices, differing_keys
from experiments.runs.identity import identity, load_config
from experiments.runs.metric_names import step_metric, tracked
from experiments.runs.run import Run
from experiments.runs.stages import load_stages
from experiments.runs.trainings import rows_of, trainings
from experiments.runs.wandb_results import summary_of

# Regular expressions for whole names, in the order in which their charts come; the first section that a metric fits has it.
LEARNING = (
    r"reward/mean", r"loss", r"token_accuracy", r"reward/.+/mean", r"watch/score/mean", r"kl/mean", r"entropy/mean",
    r"(train/)?grad_norm", r"(train/)?lr", r"(text|edit)/(kl/mean|grad_norm|lr)",
)  # fmt: skip
HEALTH = (
    r"groups/.+", r"reward/missing", r"tokens/.+", r"rollout/.+", r"update/.+", r"train/.+", r"watch/.+", r"turns/.+",
    r"intents/.+", r"corrupted/.+",
)  # fmt: skip
COST = (r"perf/.+", r"examples_per_s")
TOGETHER = ("time", "memory")  # groups whose metrics share a chart
MOST = 40  # charts of a section


@dataclass(frozen=True)
class Chart:
    """Curves over `axis`, the steps of one training."""

    title: str
    metrics: tuple[str, ...]
    axis: str


@dataclass(frozen=True)
class Section:
    """`bars`: final numbers, each with its own bars. `samples`: the table of samples with pictures."""

    title: str
    about: str
    charts: tuple[Chart, ...] = ()
    bars: tuple[str, ...] = ()
    samples: bool = False


@dataclass(frozen=True)
class Contents:
    """`ids` of the runs as trackers know them; `keys`: paths in their configurations whose values differ, the seed left out."""

    title: str
    ids: tuple[str, ...]
    keys: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def final(self) -> tuple[str, ...]:
        return tuple(name for section in self.sections for name in section.bars)


def contents(runs: Sequence[Path], title: str) -> Contents:
    """Raises MissingFile or BadData for a folder that is no run."""
    configs = [load_config(run) for run in runs]
    values = [identity(config) for config in configs]
    differing = differing_keys([choices(config) for config in configs])
    learning, health, cost = charts(names_of(runs))
    final = tuple(dict.fromkeys(name for run in runs for name in final_numbers(run)))
    by = ", ".join(differing) or "the seed"
    sections = (
        Section("Learning curves", f"Means over runs that differ in the seed alone, by {by}.", learning),
        Section("Final results", "Scores on samples that were never trained on.", bars=final),
        Section("Rollout health", "Whether rollouts have something to learn from, and how far updates move.", health),
        Section("Time and memory", "Seconds of the phases of a step, MiB at their peak, and speed.", cost),
        Section("Samples", "A few test samples with the pictures of every arm.", samples=True),
    )
    ids = tuple(run.resolve().name.rpartition("-")[2] for run in runs)
    return Contents(title, ids, tuple(config_path(values, key) for key in differing), sections)


def config_path(values: Sequence[Mapping[str, Any]], key: str) -> str:
    """The path of a choice in the runs' configurations: a group stands for its name there."""
    for whole in values:
        node: Any = whole
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping):
            return f"{key}.name"
    return key


def names_of(runs: Iterable[Path]) -> dict[str, list[str]]:
    """The trainings of these runs by name, each with its metrics as trackers call them, without the training's own name."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for training in trainings(run):
            own = found.setdefault(training.name, {})
            before = f"{training.name}/" if training.name else ""
            for row in rows_of(run, training):
                numbers = {k: v for k, v in row.items() if isinstance(v, int | float)}
                own |= dict.fromkeys(name.removeprefix(before) for name in tracked(numbers, training.name))
    return {training: [name for name in names if name != "step"] for training, names in found.items()}


def charts(names: Mapping[str, Sequence[str]]) -> tuple[tuple[Chart, ...], tuple[Chart, ...], tuple[Chart, ...]]:
    """Of learning, of rollout health, and of time and memory; those of the main training first."""
    learning: list[Chart] = []
    health: list[Chart] = []
    cost: list[Chart] = []
    for training in sorted(names):
        left = list(names[training])
        for section, patterns in ((learning, LEARNING), (health, HEALTH), (cost, COST)):
            chosen = list(matching(left, patterns))
            section += [_chart(training, name, [name]) for name in chosen]
            left = [name for name in left if name not in chosen]
        for group in TOGETHER:
            if own := [name for name in left if name.startswith(f"{group}/")]:
                cost.append(_chart(training, group, own))
    return tuple(learning[:MOST]), tuple(health[:MOST]), tuple(cost[:MOST])


def _chart(training: str, title: str, names: Sequence[str]) -> Chart:
    before = f"{training}/" if training else ""
    return Chart(before + title, tuple(before + name for name in names), step_metric(training))


def matching(names: Iterable[str], patterns: Sequence[str]) -> Iterator[str]:
    """The names that fit one of the patterns, in the order of the patterns."""
    left = list(names)
    for pattern in patterns:
        for name in left:
            if re.fullmatch(pattern, name):
                yield name
        left = [name for name in left if not re.fullmatch(pattern, name)]


def final_numbers(run: Path) -> list[str]:
    """The final numbers of a finished run that are worth a bar: its headline scores, and what a sweep of it optimises."""
    if not (run / "results.json").is_file():
        return []
    headline = [name for name in summary_of(run) if name.rpartition("/")[2] not in ("low", "high")]
    config = load_config(run)
    keys = [key for stage in load_stages(config.job) if (key := stage.objective(Run(config, run)))]
    return [*(key.replace(".", "/") for key in [config.objective or "", *keys[-1:]] if key), *headline]


__all__ = ["Chart", "Contents", "Section", "charts", "contents"]
