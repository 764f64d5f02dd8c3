"""Stop a run of a sweep early where it is worse than most of its sweep at the same step: the median stopping rule (Golovin et al.,
"Google Vizier", KDD 2017, section 3.2.2).

Hydra's Optuna sweeper only hears of a run when it has ended, so Optuna's own pruners cannot be used with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from common.errors import RunFailed
from common.jsonl import read_jsonl
from experiments.runs.sweeps import LISTING, sweep_folder

if TYPE_CHECKING:
    from conf.schema.run import PruneConfig
    from experiments.runs.run import Run


class Pruned(RunFailed):
    """A run that was stopped because others of its sweep do better. It is no failure."""


class Pruner:
    """Is told every step of a training; raises Pruned at one that is worse than the median. The mean of the metric up to a step is
    compared with that of every run of the sweep that came as far; the larger one is the better one."""

    def __init__(self, config: PruneConfig, others: Sequence[Path], own: Sequence[Mapping[str, Any]] = ()) -> None:
        self.config, self.others = config, others
        self.values = self._values(own)  # those of the steps before this process

    def step(self, row: Mapping[str, Any]) -> None:
        self.values |= self._values([row])
        step, c = int(row["step"]), self.config
        if step < c.start or (step - c.start) % c.every or not self.values:
            return
        known = [self._values(read_jsonl(path)) for path in self.others if path.is_file()]
        means = [_mean(values, step) for values in known if max(values, default=0) >= step]
        if len(means) >= c.runs and (mine := _mean(self.values, step)) < median(means):
            raise Pruned(
                f"pruned at step {step}: the mean {c.metric} so far is {mine:.4g}, and half of the sweep's {len(means)} other runs "
                f"that came as far have {median(means):.4g} or more"
            )

    def _values(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
        return {int(r["step"]): float(r[self.config.metric]) for r in rows if r.get(self.config.metric) is not None}


def _mean(values: Mapping[int, float], step: int) -> float:
    so_far = [value for at, value in values.items() if at <= step]
    return sum(so_far) / len(so_far)


def pruner_of(run: Run, journal: str) -> Pruner | None:
    """None where nothing is to be pruned, or where the run is part of no sweep."""
    c = run.config
    if not c.prune.metric or not c.sweep:
        return None
    listing = sweep_folder(c.paths.outputs, c.sweep) / LISTING
    folders = map(Path, listing.read_text().splitlines()) if listing.is_file() else ()
    others = [folder / journal for folder in folders if folder.resolve() != run.folder.resolve()]
    own = run.folder / journal
    return Pruner(c.prune, others, read_jsonl(own) if own.is_file() else ())


__all__ = ["Pruned", "Pruner", "pruner_of"]
