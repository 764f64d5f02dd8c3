"""The judge of an evaluation's share: what one process may ask of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conf.schema import JudgeConfig, TrackerConfig
from experiments.evaluation.asked import Asked
from experiments.evaluation.places import Share
from experiments.judges import PictureJudge, SandboxPictures, make_judge_of, missing_judge
from experiments.preflight import missing_keys
from judges.rubrics import make_rubric


def judge_for(asked: Asked, rubric: str, share: Share) -> PictureJudge:
    """Raises BadInput for settings that cannot work, MissingFile for a checkpoint that is not there."""
    judge = shared(asked.used.judge, share.shards)
    if judge.kind == "sandbox":
        return SandboxPictures()
    budget = None if asked.config.budget is None else asked.config.budget / share.shards
    cache = Path(judge.cache or Path(asked.used.paths.outputs) / "cache" / "judge")
    return make_judge_of(judge, asked.used.engine, make_rubric(rubric), cache, budget)


def missing_for_judge(judge: JudgeConfig) -> list[str]:
    """Keys and checkpoints that are not there; nothing is loaded or asked."""
    return [*missing_keys(judge, TrackerConfig(name="jsonl")), *missing_judge(judge)]


def shared(judge: JudgeConfig, shards: int) -> JudgeConfig:
    """Limits are of the whole evaluation: each of its processes takes its part of them."""
    return replace(
        judge,
        concurrency=max(1, judge.concurrency // shards),
        requests_per_minute=judge.requests_per_minute / shards,
        tokens_per_minute=judge.tokens_per_minute / shards,
    )


__all__ = ["judge_for", "missing_for_judge", "shared"]
