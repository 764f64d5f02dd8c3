"""How well a tiny editor makes held-out single edits: the sandbox's judge over its pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from editors.flow import sample as sample_latents
from editors.pipeline import PipelineModel
from experiments.tiny.edit_pairs import SINGLE
from judges.sandbox import SandboxJudge


def held_out(split: str, count: int) -> list[SandboxSample]:
    """Explicit single edits that no training pair comes from."""
    bench = SandboxBenchmark(split, 7, kinds={"direct": 1.0}, lengths=SINGLE)
    return [bench.sample(i) for i in range(count)]


@torch.no_grad()
def judge_edits(model: PipelineModel, samples: Sequence[SandboxSample]) -> list[dict[str, Any]]:
    """One row per sample: `sample`, `edited` (the picture), `scores` of the sandbox's judge, and `action` (of the gold edit).
    Noise depends on the number of the batch, so that two models are compared on the same noise."""
    judge, rows = SandboxJudge(), []
    size = model.settings.batch_size
    for k in range(0, len(samples), size):
        batch = samples[k : k + size]
        conditioning = model.prepare([s.image for s in batch], [s.request for s in batch])
        noise = torch.randn(conditioning.source.shape, generator=torch.Generator().manual_seed(k)).to(model.device)
        latents = sample_latents(model, conditioning, noise, model.settings)
        for s, edited in zip(batch, model.decode(conditioning, latents), strict=True):
            scores = judge.judge(s.image, edited, s).scores
            rows.append({"sample": s, "edited": edited, "scores": scores, "action": s.gold[0].action})
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean scores over all and per action, with the number of edits."""
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        if row["scores"]:
            groups["all"].append(row["scores"])
            groups[row["action"]].append(row["scores"])
    return {
        name: {key: round(sum(s[key] for s in scores) / len(scores), 2) for key in scores[0]} | {"n": len(scores)}
        for name, scores in sorted(groups.items())
    }


def line(scores: Mapping[str, Mapping[str, float]]) -> str:
    """A summary in one line: all scores over all edits, then the overall score of each action."""
    head = " ".join(f"{key} {value:.2f}" for key, value in scores["all"].items() if key != "n")
    return head + " | " + " ".join(f"{k} {v['overall']:.1f}" for k, v in scores.items() if k != "all")


__all__ = ["held_out", "judge_edits", "line", "summary"]
