"""A judge's scores against people's ratings of the same edits (ImagenHub, arXiv 2310.01596; VIEScore, arXiv 2312.14867).

Human overall of an edit: the mean over its raters of sqrt(SC · PQ), each in {0, 0.5, 1}. Per editing model Spearman's rho
over its edits, then the average over models by Fisher's z (`correlation.fisher_mean`, which says how others got it wrong).
Models on which either side never varies have no correlation and are left out, named in the note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.preferences.base import PreferenceSet
from common.cells import Cell
from common.correlation import fisher_mean, fleiss_kappa, spearman_rows
from common.intervals import statistic_interval
from common.resampling import Floats, Ints, codes, statistic_draws
from judges.answers import Scores, aspect_score


@dataclass(frozen=True)
class Rated:
    """One edit: what the raters gave it (overall, per rater), and the judge's score; None: invalid, or `missing`."""

    model: str
    cluster: str  # the request
    people: tuple[float, ...]
    aspects: tuple[tuple[float, ...], ...]  # per rater, in the order of the set's aspects
    judge: float | None
    missing: bool = False


View = Callable[[Rated], tuple[float | None, float]]


def overall(rating: Sequence[float]) -> float:
    """sqrt(SC · PQ) of one rater."""
    return math.sqrt(math.prod(rating))


def rated(data: PreferenceSet, scores: Scores) -> list[Rated]:
    out = []
    for group in data.groups:
        for c in group.candidates:
            given = scores.get(c.key)
            judge = None if given is None else aspect_score(given, group.aspect)[0]
            people = tuple(overall(r) for r in c.ratings)
            out.append(Rated(c.model, group.cluster or group.id, people, c.ratings, judge, c.key not in scores))
    return out


def correlation_by_model(rows: Sequence[Rated], seed: int = 0) -> dict[str, Cell]:
    """Spearman's rho per model, and "average" by Fisher's z; intervals over requests, drawn for all models together."""
    return _by_model(rows, [lambda r: (r.judge, float(np.mean(r.people)))], seed)


def human_ceiling(rows: Sequence[Rated], seed: int = 0) -> dict[str, Cell]:
    """The same between people: each rater against the mean of the others, averaged over raters by Fisher's z. What a judge
    that is as good as one rater would reach."""
    raters = min((len(r.people) for r in rows), default=0)
    if raters < 2:
        return {"average": Cell.empty(note="fewer than two raters")}

    def one(i: int) -> View:
        return lambda r: (r.people[i], float(np.mean([p for k, p in enumerate(r.people) if k != i])))

    return _by_model([_known(r) for r in rows], [one(i) for i in range(raters)], seed)


def rater_agreement(rows: Sequence[Rated], aspects: Sequence[str], seed: int = 0) -> dict[str, Cell]:
    """Fleiss' kappa among the raters on each aspect's levels, over all edits; intervals over requests."""
    out = {}
    unit, units = codes([r.cluster for r in rows])
    for place, name in enumerate(aspects):
        values = [tuple(rating[place] for rating in r.aspects) for r in rows]
        levels = sorted({v for per in values for v in per})
        counts = np.array([[per.count(level) for level in levels] for per in values], dtype=np.float64)
        value = fleiss_kappa(counts)
        if value is None:
            out[name] = Cell(None, None, None, len(rows), note="undefined: all ratings are one level")
            continue
        draws = statistic_draws(lambda i, c=counts: fleiss_kappa(c[i]), unit, seed)  # type: ignore[misc]
        out[name] = _cell(value, draws, units, len(rows), 0, 0)
    return out


def _known(row: Rated) -> Rated:
    return Rated(row.model, row.cluster, row.people, row.aspects, 0.0)


def _by_model(rows: Sequence[Rated], views: Sequence[View], seed: int) -> dict[str, Cell]:
    """Per model the correlation of (x, y) as a view shows a row, averaged over the views; and the average over models."""
    here = [r for r in rows if not r.missing]
    valid = [r for r in here if r.judge is not None]
    invalid, missing = len(here) - len(valid), len(rows) - len(here)
    if not valid:
        return {"average": Cell.empty(invalid, missing)}
    models, names = np.array([r.model for r in valid]), sorted({r.model for r in valid})
    tables = [np.array([view(r) for r in valid], dtype=np.float64) for view in views]
    x_VN, y_VN = np.stack(tables)[:, :, 0], np.stack(tables)[:, :, 1]

    def per_model(i: Ints) -> dict[str, float | None]:
        correlations = {}
        for name in names:
            mine = i[models[i] == name]
            correlations[name] = fisher_mean(spearman_rows(x_VN[:, mine], y_VN[:, mine]))
        return correlations

    unit, units = codes([r.cluster for r in valid])
    value = per_model(np.arange(len(valid)))
    per_draw: list[dict[str, float | None]] = []

    def statistic(i: Ints) -> float | None:
        per_draw.append(per_model(i))
        return fisher_mean([per_draw[-1][n] for n in names if value[n] is not None])

    draws = statistic_draws(statistic, unit, seed) if units > 1 else np.array([])
    average = _cell(fisher_mean(list(value.values())), draws, units, len(valid), invalid, missing)
    lost = [n for n in names if value[n] is None]
    note = "; ".join(filter(None, [f"without {', '.join(lost)}: one side never varies" if lost else "", average.note]))
    out = {}
    for name in names:
        mine = np.array([math.nan if d[name] is None else d[name] for d in per_draw], dtype=np.float64)
        of = [r for r in rows if r.model == name]
        bad, left = sum(r.judge is None and not r.missing for r in of), sum(r.missing for r in of)
        out[name] = _cell(value[name], mine, units, len(of) - bad - left, bad, left)
    return out | {"average": Cell(average.value, average.low, average.high, average.n, invalid, missing, note)}


def _cell(value: float | None, draws: Floats, units: int, n: int, invalid: int, missing: int) -> Cell:
    if value is None:
        return Cell(None, None, None, n, invalid, missing, "undefined: one side never varies")
    if units < 2:
        return Cell(value, None, None, n, invalid, missing)
    bounds, note = statistic_interval(draws, units)
    low, high = bounds or (None, None)
    return Cell(value, low, high, n, invalid, missing, note)


def human_means(rows: Sequence[Rated]) -> Mapping[str, float]:
    """Mean human overall per model."""
    names = sorted({r.model for r in rows})
    return {n: float(np.mean([np.mean(r.people) for r in rows if r.model == n])) for n in names}


__all__ = ["Rated", "correlation_by_model", "human_ceiling", "human_means", "overall", "rated", "rater_agreement"]
