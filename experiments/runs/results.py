"""results.json of a run, and its rows in the form that the reports of runs use.

A run's folder is an evaluation's folder; `experiments.evaluation.load` reads it. `Evaluation.load(folder)` gives the rows of the
run's own benchmark, joined: one dictionary for each item, in the order of the items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from conf.schema import RunConfig
from experiments.evaluation.core import decomposition_rows, drawn_rows, times
from experiments.evaluation.kinds import decomposition_scores
from experiments.evaluation.layout import CLAIM
from experiments.evaluation.load import Column, Section, load
from experiments.evaluation.means import aspect_means, average
from experiments.evaluation.names import ARMS, COMPLEX, EXTRA_ARMS, WHEN, complex_place
from experiments.evaluation.spec import place_of
from experiments.runs.identity import load_config

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """The rows of a run's evaluation of itself. Files that are not there yet are empty lists.

    decompositions: {"before" | "after": rows with "i", "id", "kind", "request", "gold", "text", "error", "scores"}
    drawn: rows with "i", "id", "kind", "request", "texts", "exact": answers drawn from the decomposer before RL, for pass@`pass_at`
    arms: {arm: rows with "i", "id", "kind", "request", "scores", "valid", "reason", and of the arms with pictures "text", "error",
        "source", "sub_requests", "calls"}
    calls: rows with "i", "id", "kind", "request", "variants" (the verdicts on each variant of the editor alone)
    complex: the same on the complex requests that were evaluated beside these; None where none were
    """

    decompositions: dict[str, list[dict[str, Any]]]
    arms: dict[str, list[dict[str, Any]]]
    calls: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[dict[str, Any]] = field(default_factory=list)
    pass_at: int = 0
    complex: Evaluation | None = None
    what: str = "test samples"  # what was evaluated, in words
    approximate: tuple[str, ...] = ()  # what makes the arms' pictures approximate

    @property
    def splits(self) -> list[tuple[str, Evaluation]]:
        """(name, rows): "" for the run's benchmark, then the complex requests."""
        return [("", self), *([(COMPLEX, self.complex)] if self.complex is not None else [])]

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Raises MissingFile without the run's configuration, BadData naming a file that is damaged."""
        config = load_config(folder)
        sections = {s.name: s for s in load(folder)} if any(folder.glob(f"*/{CLAIM}")) else {}
        place = place_of(config.benchmark)
        validated = getattr(config.benchmark, "split", "") == "validation"
        own = cls.of(sections.get(place), config, "validation samples" if validated else "test samples")
        beside = sections.get(complex_place(place))
        return own if beside is None else replace(own, complex=cls.of(beside, config, "complex requests"))

    @classmethod
    def of(cls, section: Section | None, config: RunConfig, what: str) -> Evaluation:
        """The rows of one benchmark; empty lists for None, before anything was evaluated."""
        if section is None:
            return cls({w: [] for w in WHEN}, {a: [] for a in (*ARMS, *EXTRA_ARMS)}, what=what)
        column = own_column(section, config)
        return cls(
            {when: decomposition_rows(section, when) for when in WHEN},
            {arm: arm_rows(section, column, arm) for arm in (*ARMS, *EXTRA_ARMS)},
            call_rows(section, column),
            drawn_rows(section),
            section.pass_at,
            what=what,
            approximate=config.editor.approximations,
        )

    def decomposition(self) -> dict[str, Any]:
        """The section `decomposition` of results.json."""
        return decomposition_scores(self.decompositions, self.drawn, self.pass_at)


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
    evaluation = Evaluation.load(folder)
    place = place_of(config.benchmark)
    arms: dict[str, Any] = {arm: {} for arm in ARMS}
    for split, rows in evaluation.splits:
        name = complex_place(place) if split else place
        for arm in ARMS:
            arms[arm] |= {name: aspect_means(rows.arms[arm])} if rows.arms[arm] else {}
        if rows.calls:
            k = average([len(r["variants"]) for r in rows.calls])
            for arm in EXTRA_ARMS:
                arms.setdefault(arm, {})[name] = aspect_means(rows.arms[arm]) | {"calls": k}
    complex_too = {} if evaluation.complex is None else {COMPLEX: evaluation.complex.decomposition()}
    return {
        "scale": config.scale.name,
        "editor": config.editor.name,
        "editor_settings": config.editor.settings(),
        "reward": config.reward.name,
        "execution": config.execution.name,
        "algo": config.algo.name,
        "seed": config.seed,
        "decomposition": evaluation.decomposition() | complex_too,
        "arms": arms,
        "time_s": times(folder),
    }


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a/b": 1}, for trackers."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        out |= flat(item, f"{prefix}{key}/") if isinstance(item, Mapping) else {prefix + key: item}
    return out


__all__ = ["Evaluation", "Row", "arm_rows", "flat", "own_column", "results"]
