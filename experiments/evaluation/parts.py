"""The judge of an evaluation's share: what one process may ask of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.jsonl import read_jsonl
from conf.schema import JudgeConfig, TrackerConfig
from experiments.build.judges import make_judge_of, missing_judge
from experiments.evaluation.layout import Share
from experiments.evaluation.spec import EvaluationSpec
from experiments.preflight.run import missing_keys
from judges.base import Judge
from judges.rubrics import make_rubric
from judges.sandbox import SandboxJudge


def judge_for(asked: EvaluationSpec, rubric: str, share: Share, folder: Path) -> Judge:
    """The judge whose rows and ledgers lie in `folder`. Raises BadInput for settings that cannot work, MissingFile for a
    checkpoint that is not there."""
    judge = shared(asked.used.judge, share.shards)
    if judge.kind == "sandbox":
        return SandboxJudge()
    budget = None if asked.config.budget is None else budget_left(asked.config.budget, folder, share)
    cache = Path(judge.cache or Path(asked.used.paths.outputs) / "cache" / "judge")
    return make_judge_of(judge, asked.used.engine, make_rubric(rubric), cache, budget, asked.config.retry)


def budget_left(budget: float, folder: Path, share: Share) -> float:
    """Dollars that this share may still spend. The budget is of the whole evaluation, whatever the number of starts: what
    earlier ones paid for is noted in the judge's folder (at the latest 10 s after it was spent; a kill may lose that). Shards
    take equal parts of what was left before there were so many of them, and each subtracts its own spending: so it does not
    matter which of them starts first."""
    mine, others = 0.0, 0.0
    for path in sorted(folder.glob("usage-*.jsonl")):
        dollars = sum(row.get("dollars", 0.0) for row in read_jsonl(path))
        if path.stem == f"usage-{share.name}":
            mine = dollars
        elif not path.stem.endswith(f"-of-{share.shards}"):
            others += dollars
    return max(0.0, (budget - others) / share.shards - mine)


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


__all__ = ["budget_left", "judge_for", "missing_for_judge", "shared"]
