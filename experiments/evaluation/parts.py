"""The judge of an evaluation's share: what one process may ask of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from benchmarks.item import Item
from conf.schema import JudgeConfig
from experiments.evaluation.asked import Asked
from experiments.evaluation.judging import PictureJudge
from experiments.evaluation.places import Share
from judges.base import Verdict
from judges.question import Usage
from judges.sandbox import SandboxJudge


@dataclass(frozen=True)
class SandboxPictures:
    """The sandbox's judge as a judge of items: pixels against gold edits. It computes, so one thread is enough."""

    concurrency: int = 1

    @property
    def usage(self) -> Usage:
        return Usage()

    def judge(self, before: Image.Image, after: Image.Image, item: Item) -> Verdict:
        return SandboxJudge().judge(before, after, item.gold)


def judge_for(asked: Asked, rubric: str, share: Share) -> PictureJudge:
    judge = shared(asked.used.judge, share.shards)
    if judge.kind == "sandbox":
        return SandboxPictures()
    from experiments.judges import make_judge_of

    budget = None if asked.config.budget is None else asked.config.budget / share.shards
    cache = Path(judge.cache or Path(asked.used.paths.outputs) / "cache" / "judge")
    return make_judge_of(judge, asked.used.engine, rubric, cache, budget)


def shared(judge: JudgeConfig, shards: int) -> JudgeConfig:
    """Limits are of the whole evaluation: each of its processes takes its part of them."""
    return replace(
        judge,
        concurrency=max(1, judge.concurrency // shards),
        requests_per_minute=judge.requests_per_minute / shards,
        tokens_per_minute=judge.tokens_per_minute / shards,
    )


__all__ = ["SandboxPictures", "judge_for", "shared"]
