"""What a sweep shows of a job: the measures of its runs, and the questions that are answered by their differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.runs.results import Evaluation

RL, RAW_EDITOR, CHOICE = "RL", "raw editor", "choice"  # kinds of questions


@dataclass(frozen=True)
class Unit:
    """What several measures have in common, so that they share an axis and a table."""

    name: str
    digits: int  # after the point, in tables
    title: str  # of the figure of their means
    scale: tuple[float, float] | None = None  # the smallest and largest value there can be


@dataclass(frozen=True)
class Measure:
    """One number of a run, and the values of its test samples that it is the mean of, where it is such a mean."""

    key: str
    name: str  # in the tables of runs and in results
    heading: str  # the same, short enough for a column
    phrase: str  # in a comparison
    unit: Unit
    colour: str
    value: Callable[[Mapping[str, Any]], float | None]  # of results.json; None where it was not measured
    samples: Callable[[Evaluation], dict[str, float]] | None = None  # by id, valid ones only; None: one number per run


@dataclass(frozen=True)
class Question:
    """second − first within one configuration; both are keys of measures."""

    second: str
    first: str
    kind: str  # RL or RAW_EDITOR
    text: str


@dataclass(frozen=True)
class ForestPlot:
    """The differences in one unit, of some kinds of questions."""

    title: str
    unit: Unit
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class MeasureSet:
    """Everything that a sweep shows of one job."""

    measures: tuple[Measure, ...]  # in the order of tables
    within: tuple[Question, ...]  # asked of every configuration
    between: tuple[str, ...]  # keys of measures that are compared between configurations
    forests: tuple[ForestPlot, ...]
    notes: tuple[tuple[str, str], ...] = ()  # (key of a measure, what must be said where it is shown)

    def measure(self, key: str) -> Measure:
        return next(m for m in self.measures if m.key == key)

    @property
    def units(self) -> list[Unit]:
        return list(dict.fromkeys(m.unit for m in self.measures))


__all__ = ["CHOICE", "RAW_EDITOR", "RL", "ForestPlot", "Measure", "MeasureSet", "Question", "Unit"]
