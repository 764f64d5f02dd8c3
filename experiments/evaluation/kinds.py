"""Decompositions by kind of request: what the decomposer scores before and after RL, what its start finds by luck, and what RL
changes, paired over the samples.

A set's F1 hides a guessed subject, for action and goal are often right; therefore the F1 of whole triples and the share of
exact answers stand beside it, for every kind and over all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.pass_at import pass_at
from common.statistics import Difference, holm_adjusted, paired
from experiments.evaluation.means import average, component_means, row_f1
from experiments.evaluation.names import EXACT, WHEN

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]  # by "before" and "after"
MEAN_F1 = "mean_f1"
MEASURES = (MEAN_F1, "subject", "linked", EXACT)
OVER_PASS = "exact_over_pass"  # exact answers after RL − pass@k of the start


def measured(row: Row, measure: str) -> float | None:
    """One decomposition's value, 0 to 1; None where the row does not have it."""
    value = row_f1(row) if measure == MEAN_F1 else row["scores"].get(measure)
    return None if value is None else float(value)


def row_pass(row: Row, k: int) -> float:
    """pass@k of one item, from its drawn answers, or from `passes` where it is known already (a mean over runs)."""
    if "passes" in row:
        return float(row["passes"][k])
    exact = row[EXACT]
    return pass_at(k, sum(e == 1.0 for e in exact), len(exact))


def kind_scores(rows: Rows, drawn: Sequence[Row] = (), k: int = 0) -> dict[str, Any]:
    """{"n", "before", "after", "change"}, and "by_kind" with the same for every kind where there are several.

    `before` and `after` are means: those of `component_means`; before has also pass1 and pass<k>, the chance that one of so
    many answers drawn from the start is exact. `change` is after − before of each of MEASURES, and OVER_PASS, as
    `Difference.as_dict`; the p-values of the whole table are one family."""
    kinds = sorted({r["kind"] for when in WHEN for r in rows.get(when, ())})
    parts = {"": rows} | ({kind: of_kind(rows, kind) for kind in kinds} if len(kinds) > 1 else {})
    draws = {kind: [r for r in drawn if kind in ("", r["kind"])] for kind in parts}
    gaps = {kind: changes(part, draws[kind], k) for kind, part in parts.items()}
    flat = [(kind, name) for kind, by_name in gaps.items() for name in by_name]
    for (kind, name), gap in zip(flat, holm_adjusted([gaps[kind][name] for kind, name in flat]), strict=True):
        gaps[kind][name] = gap
    out = {kind: entry(part, draws[kind], k, gaps[kind]) for kind, part in parts.items()}
    whole = out.pop("")
    return whole | ({"by_kind": out} if out else {})


def decomposition_scores(rows: Rows, drawn: Sequence[Row] = (), k: int = 0) -> dict[str, Any]:
    """`kind_scores`, and by_category (of after) and by_category_before where samples are of the categories cm and cu."""
    out = kind_scores(rows, drawn, k)
    for when, name in (("after", "by_category"), ("before", "by_category_before")):
        kinds = sorted({r["kind"] for r in rows.get(when, ())} & {"cm", "cu"})
        if kinds:
            out[name] = {c: component_means([r for r in rows[when] if r["kind"] == c]) for c in kinds}
    return out


def entry(rows: Rows, drawn: Sequence[Row], k: int, change: Mapping[str, Difference]) -> dict[str, Any]:
    means = {when: component_means(rows.get(when, ())) for when in WHEN}
    if drawn:
        means["before"] |= {f"pass{m}": average([row_pass(r, m) for r in drawn]) for m in dict.fromkeys((1, k))}
    n = max(len(rows.get(when, ())) for when in WHEN)
    gaps = {name: gap.as_dict() for name, gap in change.items()}
    return {"n": n, **means, **({"change": gaps} if gaps else {})}


def changes(rows: Rows, drawn: Sequence[Row], k: int) -> dict[str, Difference]:
    """after − before RL over the samples that have both; nothing where the decomposer was scored once."""
    before, after = ({r["id"]: r for r in rows.get(when, ())} for when in WHEN)
    out: dict[str, Difference] = {}
    for name in MEASURES:
        gap = paired_by_id(before, after, lambda r, name=name: measured(r, name))  # type: ignore[misc]
        if gap is not None:
            out[name] = gap
    lucky = {r["id"]: {**r, "scores": {EXACT: row_pass(r, k)}} for r in drawn}
    gap = paired_by_id(lucky, after, lambda r: measured(r, EXACT))
    return out if gap is None else out | {OVER_PASS: gap}


def paired_by_id(
    first: Mapping[str, Row], second: Mapping[str, Row], value: Callable[[Row], float | None]
) -> Difference | None:
    """second − first; None where no sample has both."""
    both = [i for i in second if i in first and None not in (value(first[i]), value(second[i]))]
    labels = [second[i].get("cluster") or i for i in both]
    clusters = labels if len(set(labels)) < len(labels) else None
    if not both:
        return None
    return paired([value(first[i]) for i in both], [value(second[i]) for i in both], clusters=clusters)


def of_kind(rows: Rows, kind: str) -> dict[str, list[Row]]:
    return {when: [r for r in rows.get(when, ()) if r["kind"] == kind] for when in WHEN}


__all__ = ["MEAN_F1", "MEASURES", "OVER_PASS", "decomposition_scores", "kind_scores", "measured", "row_pass"]
