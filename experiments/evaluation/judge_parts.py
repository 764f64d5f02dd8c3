"""The judge of an evaluation's share: what one process may ask of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from experiments.build.judges import judge_tools, make_judge_of, make_session_judge_of
from experiments.evaluation.ledger import budget_left
from experiments.evaluation.shares import Share
from experiments.evaluation.spec import EvaluationSpec
from experiments.preflight.machine import missing_of
from judges.base import Judge
from judges.question import Usage
from judges.sessions.base import SessionJudge


class SessionJudgeWithUsage(SessionJudge, Protocol):
    @property
    def usage(self) -> Usage: ...


def judge_for(spec: EvaluationSpec, rubric: str, share: Share, folder: Path) -> Judge | SessionJudgeWithUsage:
    """The judge, of single pictures or of whole sessions, whose rows and ledgers lie in `folder`. Limits are of the whole
    evaluation: each of its processes takes its part of them. Raises BadInput for settings that cannot work, MissingFile for a
    checkpoint that is not there."""
    judge = spec.used.judge.share(share.shards)
    budget = None if spec.budget is None else budget_left(spec.budget, folder, share)
    tools = judge_tools(judge, spec.used.engine, spec.used.paths.outputs, rubric, budget, spec.retry)
    if judge.sessions:
        return make_session_judge_of(judge, tools)  # type: ignore[no-any-return]
    return make_judge_of(judge, tools)


def missing_for_judge(judge: Any) -> list[str]:
    """Keys and checkpoints that are not there; nothing is loaded or asked."""
    return missing_of(judge)


__all__ = ["SessionJudgeWithUsage", "judge_for", "missing_for_judge"]
