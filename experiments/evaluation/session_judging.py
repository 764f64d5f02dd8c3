"""Verdicts on sessions as wholes: a judge of sessions is given the pictures of several sessions, from the first to the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.base import EditSession
from benchmarks.item import Benchmark
from common.errors import BadInput
from common.pictures import to_rgb
from common.work import run_tasks
from experiments.evaluation.judge_parts import SessionJudgeWithUsage
from experiments.evaluation.layout import Layout
from experiments.evaluation.pictures import open_picture
from experiments.evaluation.session_scores import as_row_scores
from experiments.evaluation.shares import Share
from experiments.evaluation.verdict_files import Judged, JudgeTask, VerdictFiles
from judges.base import Verdict
from judges.question import BudgetSpent, Usage
from judges.sessions.base import PlayedSession

Batch = tuple[tuple[JudgeTask, ...], ...]  # of each session the turns whose verdicts are missing, oldest first


@dataclass(frozen=True)
class SessionJudging:
    """As `judging.Judging`, for a judge of whole sessions: `at_once` sessions are judged together, and their verdicts kept then.
    A session is shown until its last turn that has no verdict yet."""

    layout: Layout
    label: str  # the judge's folder
    benchmark: Benchmark
    judge: SessionJudgeWithUsage
    share: Share
    at_once: int = 8

    def run(self, tasks: Iterable[JudgeTask], on_progress: Callable[[int, Usage], object] | None = None) -> bool:
        """Returns whether all tasks were done; False where the budget was spent. Raises as `Judging.run`."""
        done = 0
        with ExitStack() as stack:
            files = VerdictFiles(self.layout, self.label, self.share, self.judge, stack)

            def keep(results: Sequence[tuple[Batch, list[Judged]]]) -> None:
                nonlocal done
                for _, judged in results:
                    files.write(judged)
                    done += len(judged)
                if on_progress is not None:
                    on_progress(done, self.judge.usage)

            spent = run_tasks(
                self._batches(tasks), self._judge, keep, threads=1, mild=BudgetSpent, noun="batches of sessions"
            )
        return spent is None

    def _batches(self, tasks: Iterable[JudgeTask]) -> Iterator[Batch]:
        sessions: dict[tuple[str, int], list[JudgeTask]] = {}
        for task in tasks:
            sessions.setdefault((task.arm, task.key[0]), []).append(task)
        turns = [tuple(sorted(tasks, key=lambda task: task.key)) for tasks in sessions.values()]
        for start in range(0, len(turns), self.at_once):
            yield tuple(turns[start : start + self.at_once])

    def _judge(self, batch: Batch) -> list[Judged]:
        verdicts = self.judge.judge_sessions([self._played(turns[-1]) for turns in batch])
        judged: list[Judged] = []
        for turns, of_session in zip(batch, verdicts, strict=True):
            unit = self.benchmark.unit(turns[0].key[0])
            judged += [(task, (unit[task.key[1]], _as_row(of_session[task.key[1]]))) for task in turns]
        return judged

    def _played(self, last: JudgeTask) -> PlayedSession:
        """The session until this turn."""
        unit, turn = last.key
        items = self.benchmark.unit(unit)
        source = items[0].image
        if source is None:
            raise BadInput(
                f"{items[0].id} has no picture; a judge of sessions needs the one that a session begins with"
            )
        source.load()
        pictures = [open_picture(self.layout.picture(last.arm, (unit, k))) for k in range(turn + 1)]
        rule = items[0].facts.get("rule")
        session = EditSession(items[0].session or items[0].id, items, rule if isinstance(rule, str) else None)
        return PlayedSession(session, to_rgb(source), tuple(pictures))


def _as_row(verdict: Verdict) -> Verdict:
    return Verdict(as_row_scores(verdict.scores), verdict.valid, verdict.reason, verdict.raw)


__all__ = ["SessionJudging"]
