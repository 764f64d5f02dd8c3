"""The core of results.json, which every command writes: `decomposition`, `arms` and `time_s`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.jsonl import read_jsonl
from common.statistics import holm_adjusted, paired
from experiments.evaluation.kinds import decomposition_scores
from experiments.evaluation.load import Rows, Section
from experiments.evaluation.means import aspect_means, average, clusters_of, row_f1
from experiments.evaluation.names import COMPLEX, EXTRA_ARMS, WHEN, complex_place


def arms_section(sections: Sequence[Section], judges: Mapping[str, Any]) -> dict[str, Any]:
    """Means over judges whose verdicts are all there, no more of them invalid than allowed; a benchmark of which nothing is
    complete is left out. `n` counts what was judged, the `invalid` among it (a cell's `n` counts the valid alone)."""
    out: dict[str, Any] = {}
    for section in sections:
        for arm in section.scored_arms:
            done = {c.label: judges[section.name][c.label]["arms"][arm] for c in section.columns if arm in c.rows}
            done = {
                label: a
                for label, a in done.items()
                if not (a["partial"] or a["too_many_invalid"]) and a["overall"]["value"] is not None
            }
            if not done:
                out.setdefault(arm, {})
                continue
            shared = [n for n in next(iter(done.values()))["aspects"] if all(n in a["aspects"] for a in done.values())]
            means = {label: arm_means(section, label, arm, a) for label, a in done.items()}
            values = {n: average([m[n] for m in means.values()]) for n in shared}
            counts = {k: max(a[k] for a in done.values()) for k in ("n", "invalid")}
            more = {"calls": calls_of(section, arm)} if arm.rpartition("/")[2] in EXTRA_ARMS else {}
            out.setdefault(arm, {})[section.name] = values | counts | more | {"judges": sorted(done)}
    return out


def arm_means(section: Section, label: str, arm: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """An arm's mean of every aspect by one judge. On the benchmarks that runs train on it is summed in the order of the items, as
    a run's results always were; on the others it is the cell's, whose sum is exact. They differ in the last bit at most."""
    if section.listing.card.trainable:
        (column,) = (c for c in section.columns if c.label == label)
        return aspect_means(list(column.rows[arm].values()))
    return {name: cell["value"] for name, cell in entry["aspects"].items()}


def calls_of(section: Section, arm: str) -> float:
    """How many calls of the editor alone an item has, on average."""
    variants = section.columns[0].variants[arm.rpartition("/")[0]]
    return average([len(several) for several in variants.values()])


def decomposition_section(sections: Sequence[Section], benchmark: str | None) -> dict[str, Any]:
    """Of the last command's benchmark, or of the first that has decompositions; nothing where there are none. Complex requests
    that were evaluated beside it are its section "complex"."""
    scored = sorted(
        (s for s in sections if s.decompositions), key=lambda s: benchmark not in (s.name, complex_place(s.name))
    )
    if not scored:
        return {}
    rows = {when: decomposition_rows(scored[0], when) for when in scored[0].decompositions}
    last = rows.get("after") or rows["before"]
    beside = next((s for s in scored if s.name == complex_place(scored[0].name)), None)
    return {
        "decomposition": section_scores(scored[0]) | ({COMPLEX: section_scores(beside)} if beside else {}),
        "decomposed": scored[0].name,
        "n": len(last),
        "unreadable": average([float(r["error"] is not None) for r in last]),
        **f1_change(scored[0]),
    }


def section_scores(section: Section) -> dict[str, Any]:
    """What results.json says of the decompositions of one benchmark."""
    rows = {when: decomposition_rows(section, when) for when in WHEN}
    return decomposition_scores(rows, drawn_rows(section), section.pass_at)


def f1_change(section: Section) -> dict[str, Any]:
    """{"f1_change": after − before RL in mean F1, paired over the items that have both}, in all and by category where there
    are cm and cu (their p-values are one family); nothing where the decomposer was scored once."""
    if not all(section.decompositions.get(when) for when in WHEN):
        return {}
    both = [i for i in section.listing.items if all(i.key in section.decompositions[when] for when in WHEN)]
    kinds = sorted({i.kind for i in both} & {"cm", "cu"})
    parts = {"": both} | {kind: [i for i in both if i.kind == kind] for kind in kinds}
    changes = [
        paired(*([row_f1(section.decompositions[w][i.key]) for i in part] for w in WHEN), clusters=clusters_of(part))
        for part in parts.values()
    ]
    return {"f1_change": {kind: d.as_dict() for kind, d in zip(parts, holm_adjusted(changes), strict=True)}}


def decomposition_rows(section: Section, when: str) -> list[dict[str, Any]]:
    """The rows in the order of the items, each with its item's request and kind."""
    return item_rows(section, section.decompositions.get(when, {}))


def drawn_rows(section: Section) -> list[dict[str, Any]]:
    """The answers that were drawn from the decomposer before RL, likewise."""
    return item_rows(section, section.drawn.get(WHEN[0], {}))


def item_rows(section: Section, rows: Rows) -> list[dict[str, Any]]:
    return [
        {**rows[i.key], "i": n, "kind": i.kind, "request": i.request, "cluster": i.cluster or i.session}
        for n, i in enumerate(section.listing.items)
        if i.key in rows
    ]


TRAINING = ("sft", "train", "data")  # phases of timing.jsonl that are no evaluation


def times(folder: Path) -> dict[str, float]:
    """Seconds of training and of evaluation, over all processes that worked in the folder."""
    timing = [row for path in sorted(folder.glob("timing*.jsonl")) for row in read_jsonl(path)]
    path = folder / "metrics.jsonl"
    steps = read_jsonl(path) if path.is_file() else []
    grpo = sum(r.get("time/step", 0.0) + r.get("time/checkpoint", 0.0) for r in steps)
    other = sum(r["seconds"] for r in timing if r["phase"] in TRAINING)
    evaluate = sum(r["seconds"] for r in timing if r["phase"] not in TRAINING)
    return {"train": round(grpo + other, 3), "evaluate": round(evaluate, 3)}


__all__ = ["arms_section", "decomposition_rows", "decomposition_section", "drawn_rows", "section_scores", "times"]
