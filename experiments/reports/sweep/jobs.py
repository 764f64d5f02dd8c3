"""What a sweep shows of the jobs of its runs: the team's measures, and the numbers that other stages declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conf.schema import MAIN_JOB
from experiments.reports.plots import COLOURS
from experiments.reports.sweep.measures import Measure, MeasureSet, Unit
from experiments.reports.sweep.team import TEAM

DIGITS = 3


def measures_of_jobs(jobs: Iterable[Sequence[str]]) -> MeasureSet:
    """`jobs` are lists of class paths of stages. A key that a stage declares under `metrics` is a measure of its own where it
    leads to a number in results.json. Raises BadInput for a path that is no stage."""
    paths = list(dict.fromkeys(path for job in jobs for path in job if path not in MAIN_JOB))
    if not paths:
        return TEAM
    from experiments.runs.stages import load_stages

    keys = list(dict.fromkeys(key for stage in load_stages(paths) for key in stage.metrics))
    notes = tuple((key, f"{key} is one number per run: its interval is over seeds alone.") for key in keys)
    measures = (*TEAM.measures, *map(result_measure, keys))
    return replace(TEAM, measures=measures, notes=(*TEAM.notes, *notes))


def result_measure(key: str) -> Measure:
    """A dotted key of results.json."""

    def value(results: Mapping[str, Any]) -> float | None:
        entry: Any = results
        for name in key.split("."):
            entry = entry.get(name) if isinstance(entry, Mapping) else None
        return float(entry) if isinstance(entry, int | float) and not isinstance(entry, bool) else None

    return Measure(key, key, key, key, Unit(key, DIGITS, key), COLOURS[0], value)


__all__ = ["measures_of_jobs", "result_measure"]
