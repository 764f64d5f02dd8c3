"""The judge of an evaluation's share: what one process may ask of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conf.schema import JudgeConfig, TrackerConfig
from experiments.build.judges import make_judge_of, missing_judge
from experiments.evaluation.ledger import budget_left
from experiments.evaluation.shares import Share
from experiments.evaluation.spec import EvaluationSpec
from experiments.preflight.run import missing_keys
from judges.base import Judge
from judges.rubrics import make_rubric
from judges.sandbox import SandboxJudge


def judge_for(spec: EvaluationSpec, rubric: str, share: Share, folder: Path) -> Judge:
    """The judge whose rows and ledgers lie in `folder`. Raises BadInput for settings that cannot work, MissingFile for a
    checkpoint that is not there."""
    judge = shared(spec.used.judge, share.shards)
    if judge.kind == "sandbox":
        return SandboxJudge()
    budget = None if spec.budget is None else budget_left(spec.budget, folder, share)
    cache = Path(judge.cache or Path(spec.used.paths.outputs) / "cache" / "judge")
    return make_judge_of(judge, spec.used.engine, make_rubric(rubric), cache, budget, spec.retry)


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
