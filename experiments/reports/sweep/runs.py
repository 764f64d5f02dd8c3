"""The runs of a sweep: their choices, their numbers, and which of them differ in the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.files import read_json
from conf.options import TARGET
from conf.parts import config_values
from conf.schema import RunConfig
from experiments.reports.sweep.measures import Measure, MeasureSet
from experiments.runs.identity import load_config
from experiments.runs.results import Evaluation

CHANGE = "change"


@dataclass(frozen=True)
class Run:
    folder: Path
    choices: dict[str, str]  # dotted keys of the configuration, the seed left out
    seed: int
    measures: dict[str, float]  # by the measure's name; only those that were measured
    evaluation: Evaluation = field(repr=False)
    results: Mapping[str, Any] = field(default_factory=dict, repr=False)  # results.json

    def value(self, measure: Measure) -> float | None:
        """Of a measure of the sweep, or of another one that results.json has."""
        return self.measures.get(measure.name, measure.value(self.results) if self.results else None)


def load(folder: Path, measures: MeasureSet) -> Run:
    """A finished run with the values of `measures`. Raises MissingFile or BadData naming the file."""
    config, results = load_config(folder), read_json(folder / "results.json")
    values = {m.name: value for m in measures.measures if (value := m.value(results)) is not None}
    return Run(folder, choices(config), config.seed, values, Evaluation.load(folder), results)


def choices(config: RunConfig) -> dict[str, str]:
    """Dotted keys and values of what defines a run; a group's own name stands for it where it has one. What an ablation changes
    (`change=`) comes first: its values define the run, and its name says which they are."""
    flat: dict[str, str] = {CHANGE: config.change}

    def walk(value: Mapping[str, Any], prefix: str) -> None:
        for key, item in value.items():
            dotted = prefix + key
            if dotted == "seed" or key == TARGET:
                continue
            if isinstance(item, Mapping):
                walk(item, f"{dotted}.")
            else:
                flat[dotted.removesuffix(".name")] = f"{item:g}" if isinstance(item, float) else str(item)

    walk(config_values(config, defining=True), "")
    return flat


def differing(runs: Sequence[Run]) -> list[str]:
    """`differing_keys` of runs."""
    return differing_keys([r.choices for r in runs])


def differing_keys(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys whose values differ. What follows from a named choice that differs (the weights of a reward, what a `change` sets) is
    left out."""
    keys = [k for k in runs[0] if len({r.get(k) for r in runs}) > 1]

    def follows(key: str) -> bool:
        group = key.partition(".")[0]
        own = "algo.name" if group == "algo" else group
        leading = [k for k in (own, "scale") if k in keys]  # a scale has its own settings for every group
        if own in leading and key not in leading and _decided(runs, key, leading):
            return True
        return CHANGE in keys and key != CHANGE and _decided(runs, key, [CHANGE])

    return [k for k in keys if not follows(k)]


def _decided(runs: Sequence[Mapping[str, str]], key: str, leading: Sequence[str]) -> bool:
    """Whether the leading keys' values leave `key` no choice in any of the runs."""
    values = {(tuple(r[k] for k in leading), r.get(key)) for r in runs}
    return len(values) == len({chosen for chosen, _ in values})


def grouped(runs: Sequence[Run], keys: Sequence[str]) -> dict[tuple[str, ...], list[Run]]:
    """Runs that differ in the seed alone, together."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run.choices[k] for k in keys), []).append(run)
    return groups
