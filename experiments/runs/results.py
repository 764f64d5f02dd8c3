"""results.json of a run, and its rows in the form that the reports of runs use.

A run's folder is an evaluation's folder; `experiments.evaluation.load` reads it. `Evaluation.load(folder)` gives the rows of the
run's own benchmark, joined: one dictionary for each item, in the order of the items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conf.schema import RunConfig
from experiments.evaluation.core import decomposition_rows, times
from experiments.evaluation.layout import CLAIM
from experiments.evaluation.load import Column, Section, load
from experiments.evaluation.means import aspect_means, average, decomposition_scores
from experiments.evaluation.names import ARMS, EXTRA_ARMS, WHEN
from experiments.runs.identity import load_config

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """The rows of a run's evaluation of itself. Files that are not there yet are empty lists.

    decompositions: {"before" | "after": rows with "i", "id", "kind", "request", "gold", "text", "error", "scores"}
    arms: {arm: rows with "i", "id", "kind", "request", "scores", "valid", "reason", and of the arms with pictures "text", "error",
        "source", "sub_requests", "calls"}
    calls: rows with "i", "id", "kind", "request", "variants" (the verdicts on each variant of the editor alone)
    """

    decompositions: dict[str, list[dict[str, Any]]]
    arms: dict[str, list[dict[str, Any]]]
    calls: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Raises MissingFile without the run's configuration, BadData naming a file that is damaged."""
        config = load_config(folder)
        section = own_section(folder, config)
        if section is None:
            return cls({w: [] for w in WHEN}, {a: [] for a in (*ARMS, *EXTRA_ARMS)})
        column = own_column(section, config)
        return cls(
            {when: decomposition_rows(section, when) for when in WHEN},
            {arm: arm_rows(section, column, arm) for arm in (*ARMS, *EXTRA_ARMS)},
            call_rows(section, column),
        )


def own_section(folder: Path, config: RunConfig) -> Section | None:
    """The benchmark that the run evaluates itself on; None before anything was evaluated."""
    if not any(folder.glob(f"*/{CLAIM}")):
        return None
    return next((s for s in load(folder) if s.listing.card.name == config.benchmark.name), None)


def own_column(section: Section, config: RunConfig) -> Column | None:
    """The verdicts of the run's own judge; None before there are any."""
    return next((c for c in section.columns if c.claim.get("name") == config.judge.name), None)


def arm_rows(section: Section, column: Column | None, arm: str) -> list[dict[str, Any]]:
    """An arm's rows that have a verdict, with what was edited."""
    if column is None or arm not in column.rows:
        return []
    edits, verdicts = section.edits.get(arm, {}), column.rows[arm]
    out = []
    for n, item in enumerate(section.listing.items):
        if item.key in verdicts:
            edit, verdict = edits.get(item.key, {}), verdicts[item.key]
            row = {k: v for k, v in edit.items() if k not in ("failure", "seconds")}
            row |= {"i": n, "id": item.id, "kind": item.kind, "request": item.request}
            scored = {k: verdict[k] for k in ("scores", "valid", "reason")}
            out.append(row | scored | ({"reason": edit["failure"]} if edit.get("failure") else {}))
    return out


def call_rows(section: Section, column: Column | None) -> list[dict[str, Any]]:
    """The verdicts on all variants of the editor alone."""
    variants = {} if column is None else column.variants.get("", {})
    return [
        {"i": n, "id": i.id, "kind": i.kind, "request": i.request, "variants": list(variants[i.key])}
        for n, i in enumerate(section.listing.items)
        if i.key in variants
    ]


def results(folder: Path, config: RunConfig) -> dict[str, Any]:
    """The content of results.json: the core of the format that every command writes. Raises BadData where no verdict of an arm
    is valid."""
    rows = Evaluation.load(folder)
    name = config.benchmark.name
    arms: dict[str, Any] = {arm: {name: aspect_means(rows.arms[arm])} if rows.arms[arm] else {} for arm in ARMS}
    if rows.calls:
        k = average([len(r["variants"]) for r in rows.calls])
        arms |= {arm: {name: aspect_means(rows.arms[arm]) | {"calls": k}} for arm in EXTRA_ARMS}
    return {
        "scale": config.scale.name,
        "editor": config.editor.name,
        "editor_settings": config.editor.settings(),
        "reward": config.reward.name,
        "execution": config.execution.name,
        "algo": config.algo.name,
        "seed": config.seed,
        "decomposition": decomposition_scores(rows.decompositions),
        "arms": arms,
        "time_s": times(folder),
    }


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a/b": 1}, for trackers."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        out |= flat(item, f"{prefix}{key}/") if isinstance(item, Mapping) else {prefix + key: item}
    return out


__all__ = ["Evaluation", "Row", "arm_rows", "flat", "own_column", "own_section", "results"]
