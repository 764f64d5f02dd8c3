"""Runs side by side: the keys of their configurations that differ, and their scores with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.cells import Cell, remarks
from common.errors import BadData
from common.files import read_json
from common.statistics import holm
from conf.schema import RunConfig
from experiments.catalogue.configs import text
from experiments.reports.run.terminal import interval
from experiments.reports.sweep.comparisons import behind, test_samples, unfit
from experiments.reports.sweep.differences import Difference, difference
from experiments.reports.sweep.jobs import measures_of_jobs
from experiments.reports.sweep.measures import Measure, MeasureSet
from experiments.reports.sweep.runs import Run, load
from experiments.reports.sweep.summary import over
from experiments.reports.words import p_text
from experiments.runs.identity import load_config

ABSENT = "–"  # a key that a run does not have, or a score that was not measured


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dotted keys whose values differ, or that some run lacks; in the order of the files."""
    keys = list(dict.fromkeys(key for config in configs for key in config))
    return [key for key in keys if len({_said(config, key) for config in configs}) > 1]


def _said(config: Mapping[str, Any], key: str) -> str:
    return text(config[key]) if key in config else ABSENT


def with_scores(folders: Sequence[Path]) -> tuple[list[Run | None], MeasureSet, list[str]]:
    """Each run with its scores, None where it has none; what is measured; and a line for each whose files do not fit this
    version of the code."""
    configs: dict[Path, RunConfig] = {}
    unread = []
    for folder in folders:
        try:
            if (folder / "results.json").is_file():
                configs[folder] = load_config(folder)
        except BadData as error:
            unread.append(str(error))
    jobs = (config.job for config in configs.values())
    measures = measures_of_jobs(jobs, [read_json(folder / "results.json") for folder in configs])
    return [load(folder, measures) if folder in configs else None for folder in folders], measures, unread


@dataclass(frozen=True)
class ScoreRow:
    """One measure: of each run its mean, and of each run after the first its difference from the first one; None where the two
    cannot be paired."""

    measure: Measure
    means: tuple[Cell, ...]
    differences: tuple[Difference | None, ...]


def score_rows(runs: Sequence[Run | None], measures: MeasureSet) -> tuple[list[ScoreRow], list[str]]:
    """The measures that some run has, and for each run that cannot be paired with the first one the reason. None: a run without
    scores. P-values are one family over all differences."""
    first, others = runs[0], runs[1:]
    pairs = [(first, other) if first and other else None for other in others]
    reasons = [unfit([(0, a.evaluation), (0, b.evaluation)], once=False) for a, b in filter(None, pairs)]
    why = iter(reasons)
    paired = [pair if pair and not next(why) else None for pair in pairs]
    rows = []
    for measure in measures.measures:
        means = tuple(over([run], measure) if run else Cell.empty() for run in runs)
        if any(m.value is not None for m in means):
            rows.append(ScoreRow(measure, means, tuple(pair and _difference(*pair, measure) for pair in paired)))
    adjusted = iter(holm([d.p for row in rows for d in row.differences if d is not None]))
    corrected = [
        replace(row, differences=tuple(d and replace(d, adjusted=next(adjusted)) for d in row.differences))
        for row in rows
    ]
    asked = [pair[1] for pair in pairs if pair]
    return corrected, [f"{run.folder.name}: {reason}" for run, reason in zip(asked, reasons, strict=True) if reason]


def _difference(first: Run, second: Run, measure: Measure) -> Difference | None:
    if measure.samples is None:
        return None
    before, after = measure.samples(first.evaluation), measure.samples(second.evaluation)
    if not before or not after:
        return None
    rows = behind([(first.evaluation, before), (second.evaluation, after)])
    return difference({0: before}, {0: after}, [i for i in test_samples(first.evaluation) if i in rows])


def letters(n: int) -> list[str]:
    """A, B, … names of the runs in the tables."""
    return [ascii_uppercase[i] if i < 26 else f"run {i + 1}" for i in range(n)]


def config_table(configs: Sequence[Mapping[str, Any]]) -> Table:
    """One line for each key that differs."""
    printed = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    printed.add_column("key", overflow="fold")
    for name in letters(len(configs)):
        printed.add_column(name, overflow="fold")
    for key in differing_keys(configs):
        printed.add_row(Text(key), *(Text(_said(config, key)) for config in configs))
    return printed


def score_table(rows: Sequence[ScoreRow]) -> Table:
    """Means with their intervals below them, then the differences from A with interval and p."""
    names = letters(len(rows[0].means))
    printed = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    printed.add_column("score", overflow="fold")
    for name in (*names, *(f"{name} − A" for name in names[1:])):
        printed.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        digits = row.measure.unit.digits
        gaps = [_gap(d, digits) for d in row.differences]
        printed.add_row(Text(row.measure.name), *(interval(cell, digits) for cell in row.means), *gaps)
    return printed


def _gap(d: Difference | None, digits: int) -> Text:
    if d is None:
        return Text(ABSENT, "dim")
    if not d.differing:
        return Text("the same", "dim")
    number, under = d.samples.parts(digits, sign=True)
    said = Text(number, "bold" if d.significant else "")
    return said.append(f"\n{under}" if under else "", "not bold dim").append(
        f"\np {p_text(d.adjusted)}", "not bold dim"
    )


def notes(rows: Sequence[ScoreRow]) -> list[str]:
    """What the stars stand for, and what the differences are."""
    gaps = [d for row in rows for d in row.differences if d is not None]
    stars = remarks([*(cell for row in rows for cell in row.means), *(d.samples for d in gaps)])
    said = "Differences are paired by test sample, with 95 % intervals; p by Holm over all of them, bold at most 0.05."
    return [*([said] if gaps else []), *stars]


def as_values(
    folders: Sequence[Path], configs: Sequence[Mapping[str, Any]], rows: Sequence[ScoreRow]
) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "runs": [str(folder) for folder in folders],
        "config": {key: [config.get(key) for config in configs] for key in differing_keys(configs)},
        "scores": {
            row.measure.key: {
                "means": [cell.as_dict() for cell in row.means],
                "differences": [
                    None if d is None else d.samples.as_dict() | {"p": d.p, "p_holm": d.adjusted}
                    for d in row.differences
                ],
            }
            for row in rows
        },
    }


__all__ = [
    "ScoreRow",
    "as_values",
    "config_table",
    "differing_keys",
    "letters",
    "notes",
    "score_rows",
    "score_table",
    "with_scores",
]
