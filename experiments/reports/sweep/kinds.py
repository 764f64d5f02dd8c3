"""Decompositions by kind of request on the page of a sweep: of each configuration the mean over its seeds, paired over samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from experiments.evaluation.kinds import kind_scores, row_pass
from experiments.evaluation.names import WHEN
from experiments.reports.kinds import COMPLEX_TITLE, kinds_section
from experiments.reports.sweep.comparisons import label, unfit
from experiments.reports.sweep.summary import Sweep
from experiments.runs.results import Evaluation

NOTE = (
    "F1 before → after RL, and exact answers, each sample's mean over the seeds; intervals are over test samples alone."
)


def kinds_part(sweep: Sweep) -> list[str]:
    """A heading, and the tables of every configuration whose runs can be paired; nothing where none has decompositions."""
    out: list[str] = []
    for key, members in sweep.groups.items():
        runs = [(r.seed, r.evaluation) for r in members]
        splits = [dict(evaluation.splits) for _, evaluation in runs]
        for split in splits[0] if not unfit(runs, once=False) else ():
            parts = [by_name[split] for by_name in splits if split in by_name]
            tables = kinds_section(over_seeds(parts))
            what = f", {COMPLEX_TITLE.lower()}" if split else ""
            out += [f"<h3>{escape(label(sweep.keys, key))}{what}</h3>", *tables] if tables else []
    return ["<h2>By kind of request</h2>", f'<p class="muted">{NOTE}</p>', *out] if out else []


def over_seeds(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """`kind_scores` of rows that are each sample's mean over the runs."""
    rows = {when: sample_means([e.decompositions[when] for e in evaluations]) for when in WHEN}
    k = max(e.pass_at for e in evaluations)
    lucky = [[r | {"scores": {"1": row_pass(r, 1), "k": row_pass(r, k)}} for r in e.drawn] for e in evaluations]
    if not all(lucky) or any(e.pass_at != k for e in evaluations):
        return kind_scores(rows)
    drawn = [r | {"passes": {1: r["scores"]["1"], k: r["scores"]["k"]}} for r in sample_means(lucky)]
    return kind_scores(rows, drawn, k)


def sample_means(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """One row for each sample that all runs have, with the means of its scores."""
    by_id = [{r["id"]: r for r in rows} for rows in runs]
    shared = [i for i in by_id[0] if all(i in rows for rows in by_id)]
    out = []
    for i in shared:
        several = [rows[i]["scores"] for rows in by_id]
        names = [n for n in several[0] if all(n in scores for scores in several)]
        means = {n: sum(scores[n] for scores in several) / len(several) for n in names}
        out.append({**by_id[0][i], "scores": means})
    return out


__all__ = ["kinds_part", "over_seeds", "sample_means"]
