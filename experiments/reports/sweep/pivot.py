"""One measure of all runs by two sets of configuration keys: rows=reward cols=editor value=overall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.cells import Cell
from common.dotted import nearest
from common.errors import BadInput
from common.statistics import holm
from experiments.catalogue.scores import ALIASES, numbers
from experiments.reports.sweep.comparisons import rank
from experiments.reports.sweep.jobs import result_measure
from experiments.reports.sweep.matched import matched_difference
from experiments.reports.sweep.measures import Measure
from experiments.reports.sweep.runs import Run
from experiments.reports.sweep.summary import Sweep, over

PREFERRED = ("agents_rl", "after")  # what a table shows where nothing is asked for
MARK = "†"
ALL = "all runs"  # the single column of a table without cols=


@dataclass(frozen=True)
class Asked:
    """Keys separated by commas, and a measure or a dotted key of results.json; "" where it is left to the report."""

    rows: str = ""
    cols: str = ""
    value: str = ""


@dataclass(frozen=True)
class Pivot:
    """`cells` by (row, column); `marked` those that differ from the first row of their column, p by Holm over the table at most
    0.05. `averaged`: keys that differ within a cell besides the seed."""

    measure: Measure
    row_keys: tuple[str, ...]
    col_keys: tuple[str, ...]
    rows: list[tuple[str, ...]]
    cols: list[tuple[str, ...]]
    cells: dict[tuple[tuple[str, ...], tuple[str, ...]], Cell]
    marked: frozenset[tuple[tuple[str, ...], tuple[str, ...]]]
    averaged: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.measure.name} by {', '.join((*self.row_keys, *self.col_keys))}"

    @property
    def note(self) -> str:
        mean = f" Mean over {', '.join(self.averaged)}, too." if self.averaged else ""
        mark = (
            f" {MARK}: differs from the first row of its column, paired, p by Holm at most 0.05." if self.marked else ""
        )
        return f"{self.measure.unit.title}; mean over seeds with 95 % interval.{mean}{mark}"

    def text(self, row: tuple[str, ...], col: tuple[str, ...]) -> tuple[str, str]:
        """(value with its mark, interval) of a cell."""
        value, interval = self.cells[row, col].parts(self.measure.unit.digits)
        return value + (MARK if (row, col) in self.marked else ""), interval

    @staticmethod
    def label(values: tuple[str, ...]) -> str:
        return ", ".join(values) or ALL


def pivot(sweep: Sweep, asked: Asked) -> Pivot | None:
    """The table that is asked for; by default the first two keys that differ and the team's overall score. None where nothing was
    asked for and fewer than two keys differ. Raises BadInput naming the nearest key or measure."""
    if asked == Asked() and len(sweep.keys) < 2:
        return None
    row_keys = _keys(sweep, asked.rows, "rows") or tuple(sweep.keys[:1])
    left = [k for k in sweep.keys if k not in row_keys]
    col_keys = _keys(sweep, asked.cols, "cols") or (() if asked.rows else tuple(left[:1]))
    measure = _measure(sweep, asked.value)
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Run]] = {}
    for run in sweep.runs:
        places.setdefault((_values(run, row_keys), _values(run, col_keys)), []).append(run)
    rows = sorted({row for row, _ in places}, key=lambda v: _order(row_keys, v))
    cols = sorted({col for _, col in places}, key=lambda v: _order(col_keys, v))
    cells = {(r, c): over(places.get((r, c), []), measure) for r in rows for c in cols}
    used = {*row_keys, *col_keys}
    averaged = tuple(k for k in sweep.keys if k not in used)
    return Pivot(
        measure, row_keys, col_keys, rows, cols, cells, _marked(places, rows, cols, measure, averaged), averaged
    )


def _marked(
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Run]],
    rows: Sequence[tuple[str, ...]],
    cols: Sequence[tuple[str, ...]],
    measure: Measure,
    averaged: Sequence[str],
) -> frozenset[tuple[tuple[str, ...], tuple[str, ...]]]:
    found = {}
    for col in cols:
        first = places.get((rows[0], col), [])
        for row in rows[1:]:
            d = matched_difference(first, places.get((row, col), []), measure, averaged)
            if d is not None:
                found[row, col] = d
    adjusted = holm([d.p for d in found.values()])
    corrected = {place: replace(d, adjusted=p) for (place, d), p in zip(found.items(), adjusted, strict=True)}
    return frozenset(place for place, d in corrected.items() if d.significant)


def _keys(sweep: Sweep, text: str, option: str) -> tuple[str, ...]:
    keys = tuple(k.strip() for k in text.split(",") if k.strip())
    known = list(dict.fromkeys(k for run in sweep.runs for k in (*run.choices, "seed")))
    for key in keys:
        if key not in known:
            raise BadInput(f"{option}={key}: no run has this key{nearest(key, known)}")
    return keys


def _values(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(run.seed) if k == "seed" else run.choices.get(k, "–") for k in keys)


def _order(keys: Sequence[str], values: tuple[str, ...]) -> list[tuple[int, float, str]]:
    return [rank(k, v) for k, v in zip(keys, values, strict=True)]


def _measure(sweep: Sweep, value: str) -> Measure:
    """By key, name or heading, or any number of results.json by its dotted key or the short name that `experiments.ls` shows."""
    if not value:
        named = {m.key: m for m in sweep.measures}
        found = next((named[k] for k in PREFERRED if k in named), None) or next(iter(sweep.measures), None)
        if found is None:
            raise BadInput("these runs have no measure of their own; name a number of results.json: value=<dotted key>")
        return found
    for m in sweep.measures:
        if value in (m.key, m.name, m.heading):
            return m
    if value == "overall":
        return _measure(sweep, "agents_rl")
    key = ALIASES.get(value, value)
    known = list(dict.fromkeys(k for run in sweep.runs for k in numbers(run.results)))
    if key not in known:
        every = [*(m.key for m in sweep.measures), *known]
        raise BadInput(f"value={value}: no run has this number{nearest(value, every)}")
    return result_measure(key)


__all__ = ["MARK", "Asked", "Pivot", "pivot"]
