"""Explicit single edits on held-out scenes: what an editor itself can do, with no team before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from common.cells import Cell
from common.progress import bar
from common.statistics import mean
from conf.schema import RunConfig
from experiments.build.editors import make_editor
from judges.sandbox import SandboxJudge

SEED, SINGLE = 7, (1.0, 0, 0, 0, 0)  # lengths of requests: one edit each
CHUNK = 32  # samples edited at a time

Scores = dict[str, float]
ByAction = dict[str, dict[str, dict[str, Cell]]]  # action (or "all") -> editor -> aspect -> mean


def held_out(count: int) -> list[SandboxSample]:
    """Test scenes and wordings; one explicit edit each."""
    bench = SandboxBenchmark("test", SEED, kinds={"direct": 1.0}, lengths=SINGLE)
    return [bench.sample(i) for i in range(count)]


def edit(config: RunConfig, samples: Sequence[SandboxSample], name: str) -> list[Image.Image]:
    editor = make_editor(config.editor, config.engine)
    edited: list[Image.Image] = []
    with bar(name, len(samples)) as progress:
        for k in range(0, len(samples), CHUNK):
            part = samples[k : k + CHUNK]
            edited += editor.edit([s.image for s in part], [s.request for s in part], range(k, k + len(part)))
            progress.update(len(edited))
    return edited


def judge(samples: Sequence[SandboxSample], edited: Sequence[Image.Image]) -> list[Scores]:
    """One verdict each; a sandbox picture can always be judged."""
    judge = SandboxJudge()
    return [dict(judge.judge(s.image, after, s.gold).scores) for s, after in zip(samples, edited, strict=True)]


def by_action(samples: Sequence[SandboxSample], scores: Mapping[str, Sequence[Scores]]) -> ByAction:
    groups: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        groups["all"].append(i)
        groups[sample.gold[0].action].append(i)
    return {
        action: {name: {a: mean([rows[i][a] for i in chosen]) for a in rows[0]} for name, rows in scores.items()}
        for action, chosen in sorted(groups.items(), key=lambda item: (item[0] != "all", item[0]))
    }


def means_of(table: ByAction) -> dict[str, Any]:
    return {
        name: {
            action: {a: None if m.value is None else round(m.value, 3) for a, m in row[name].items()}
            | {"n": row[name]["overall"].n}
            for action, row in table.items()
        }
        for name in table["all"]
    }


__all__ = ["ByAction", "Scores", "by_action", "edit", "held_out", "judge", "means_of"]
