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
NO_MEASURES = {"value", "low", "high", "n", "p", "p_holm"}


def measures_of_jobs(jobs: Iterable[Sequence[str]], results: Iterable[Mapping[str, Any]] = ()) -> MeasureSet:
    """`jobs` are lists of class paths of stages. A key that a stage declares under `metrics` is a measure of its own where it
    leads to a number in results.json; where it leads to several in some of `results`, each is one. Raises BadInput for a path
    that is no stage."""
    paths = list(dict.fromkeys(path for job in jobs for path in job if path not in MAIN_JOB))
    if not paths:
        return TEAM
    from experiments.runs.stages import load_stages

    declared = list(dict.fromkeys(key for stage in load_stages(paths) for key in stage.metrics))
    several = list(results)
    keys = list(dict.fromkeys(k for key in declared for k in [key, *(n for r in several for n in numbers_at(r, key))]))
    notes = tuple((key, noted(key, declared)) for key in keys)
    own = [result_measure(key, "" if key in declared else key.rpartition(".")[0], n) for n, key in enumerate(keys)]
    measures = (*TEAM.measures, *own)
    return replace(TEAM, measures=measures, notes=(*TEAM.notes, *notes))


def at(results: Mapping[str, Any], key: str) -> Any:
    """What a dotted key leads to; None where there is nothing."""
    entry: Any = results
    for name in key.split("."):
        entry = entry.get(name) if isinstance(entry, Mapping) else None
    return entry


def numbers_at(results: Mapping[str, Any], key: str) -> list[str]:
    """Dotted keys of the numbers below `key`: its own, and those of one group of them. Intervals and counts are no measures."""
    found = []
    entry = at(results, key)
    for name, value in entry.items() if isinstance(entry, Mapping) else ():
        inner = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {name: value}
        if not NO_MEASURES & {k.rpartition(".")[2] for k in inner}:
            found += [f"{key}.{k}" for k, v in inner.items() if isinstance(v, int | float) and not isinstance(v, bool)]
    return found


def noted(key: str, declared: Sequence[str]) -> str:
    """What must be said of a measure; the same for all numbers of one declared key."""
    of = key if key in declared else f"{next(d for d in declared if key.startswith(f'{d}.'))}.…"
    return f"{of} is one number per run: its interval is over seeds alone."


def result_measure(key: str, group: str = "", colour: int = 0) -> Measure:
    """A dotted key of results.json. `group`: what it shares its axis and table with, named without it."""

    def value(results: Mapping[str, Any]) -> float | None:
        entry = at(results, key)
        return float(entry) if isinstance(entry, int | float) and not isinstance(entry, bool) else None

    short = key.removeprefix(f"{group}.") if group else key
    unit = Unit(group or key, DIGITS, group or key)
    return Measure(key, key, short, key, unit, COLOURS[colour % len(COLOURS)], value)


__all__ = ["measures_of_jobs", "result_measure"]
