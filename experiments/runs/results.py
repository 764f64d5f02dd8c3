"""results.json from a run's rows: means by arm and aspect, decomposition before and after, times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import BadData
from common.jsonl import read_jsonl
from conf.schema import EditorConfig, RunConfig
from experiments.evaluation.names import ARMS, CALLS, COMPONENTS, EXTRA_ARMS, WHEN

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """All rows of a run's evaluation, by file; missing files are empty. `arms` has the EXTRA_ARMS too, made of `calls`."""

    decompositions: dict[str, list[dict[str, Any]]]
    arms: dict[str, list[dict[str, Any]]]
    calls: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        def rows(name: str) -> list[dict[str, Any]]:
            path = folder / "eval" / f"{name}.jsonl"
            return read_jsonl(path) if path.is_file() else []

        calls = rows(CALLS)
        extra = {"editor_chance": [by_chance(r) for r in calls], "editor_best": [best_by_judge(r) for r in calls]}
        return cls({w: rows(f"decompose_{w}") for w in WHEN}, {a: rows(a) for a in ARMS} | extra, calls)


def by_chance(row: Row) -> dict[str, Any]:
    """What one of the variants picked at random scores in expectation: the mean over the valid ones."""
    valid = [v["scores"] for v in row["variants"] if v["valid"]]
    return _one_of(row, {a: average([s[a] for s in valid]) for a in valid[0]} if valid else {})


def best_by_judge(row: Row) -> dict[str, Any]:
    """The variant with the best overall, the first of several. The judge that picks is the one that scores, so this is an
    upper bound on what picking can give: a real picker does not know the score it will get."""
    valid = [v["scores"] for v in row["variants"] if v["valid"]]
    return _one_of(row, max(valid, key=lambda s: s["overall"], default={}))


def _one_of(row: Row, scores: Mapping[str, float]) -> dict[str, Any]:
    """A row as the other arms have it, from a row of variants."""
    reason = "" if scores else row["variants"][0]["reason"]
    return {k: row[k] for k in ("i", "id", "kind", "request")} | {
        "scores": dict(scores),
        "valid": bool(scores),
        "reason": reason,
    }


def calls_made(row: Row) -> int:
    """Calls of the editor that a row of an arm stands for, at least 1; where one failed, up to that one (`agents.editing`
    stops there and says which it was)."""
    failed = None if row["valid"] else re.match(r"call (\d+): ", row["reason"])
    return max(1, int(failed[1]) if failed else len(row.get("calls", ())))


def results(folder: Path, config: RunConfig) -> dict[str, Any]:
    """The content of results.json (design: one format for every command)."""
    found = Evaluation.load(folder)
    arms = {arm: {config.benchmark.name: aspect_means(rows)} if (rows := found.arms[arm]) else {} for arm in ARMS}
    if found.calls:
        k = average([len(r["variants"]) for r in found.calls])
        arms |= {arm: {config.benchmark.name: aspect_means(found.arms[arm]) | {"calls": k}} for arm in EXTRA_ARMS}
    return {
        "scale": config.scale.name,
        "editor": config.editor.name,
        "editor_settings": editor_settings(config.editor),
        "reward": config.reward.name,
        "execution": config.execution.name,
        "algo": config.algo.name,
        "seed": config.seed,
        "decomposition": decomposition_scores(found.decompositions),
        "arms": arms,
        "time_s": times(folder),
    }


def editor_settings(config: EditorConfig) -> dict[str, Any] | None:
    """The resolved values that decide what an editor's pictures look like; None for one that has no settings."""
    if config.checkpoint:
        names = ("checkpoint", "steps", "true_cfg", "guidance", "area", "dtype", "lora")
        return {n: getattr(config, n) for n in names}
    return {"model": config.api.model, **config.api.parameters} if config.api.model else None


def decomposition_scores(rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """{"before": means, "after": means}, and by_category (of after) where samples are of the categories cm and cu."""
    out: dict[str, Any] = {when: component_means(rows[when]) for when in WHEN}
    for when, name in (("after", "by_category"), ("before", "by_category_before")):
        kinds = sorted({r["kind"] for r in rows[when]} & {"cm", "cu"})
        if kinds:
            out[name] = {k: component_means([r for r in rows[when] if r["kind"] == k]) for k in kinds}
    return out


def component_means(rows: Sequence[Row]) -> dict[str, float]:
    return {c: average([r["scores"][c] for r in rows]) for c in COMPONENTS} if rows else {}


def aspect_means(rows: Sequence[Row]) -> dict[str, float]:
    """Mean overall and per aspect over the valid verdicts, how many, and how many were invalid."""
    valid = [r for r in rows if r["valid"]]
    if not valid:
        raise BadData(f"none of {len(rows)} verdicts is valid: there is no mean to report")
    names = ["overall", *(a for a in valid[0]["scores"] if a != "overall")]
    means = {a: average([r["scores"][a] for r in valid]) for a in names}
    return means | {"n": len(rows), "invalid": len(rows) - len(valid)}


def times(folder: Path) -> dict[str, float]:
    """Seconds of training and of evaluation, over all processes that worked on the run."""

    def rows(name: str) -> list[dict[str, Any]]:
        return read_jsonl(folder / name) if (folder / name).is_file() else []

    spent = rows("timing.jsonl")
    grpo = sum(r.get("time/step", 0.0) + r.get("time/checkpoint", 0.0) for r in rows("metrics.jsonl"))
    sft = sum(r["seconds"] for r in spent if r["phase"] == "sft")
    evaluate = sum(r["seconds"] for r in spent if r["phase"] != "sft")
    return {"train": round(grpo + sft, 3), "evaluate": round(evaluate, 3)}


def average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a/b": 1}, for trackers."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        out |= flat(item, f"{prefix}{key}/") if isinstance(item, Mapping) else {prefix + key: item}
    return out
