"""Verdicts on preference data, from many threads, each kept as soon as it is known; what is there is not asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.preferences import PreferenceSet
from common.errors import BadData
from common.jsonl import Journal, read_jsonl
from common.progress import bar
from judges.question import BudgetSpent

Row = dict[str, Any]
Work = Callable[[], Row]


class Verdicts:
    """The rows of a jsonl file: one per edit ("key", "valid", "scores", "reason"), or one per comparison ("group", "a", "b",
    "valid", "label", "reason", "consistent", "side") of a judge that is shown both edits."""

    def __init__(self, path: Path) -> None:
        self.path, self.journal = path, Journal(path)
        self.rows: list[Row] = read_jsonl(path) if path.is_file() else []
        if path.is_file() and not path.read_bytes().endswith(b"\n"):  # what a kill left of a row
            self._rewrite()
        for row in self.rows:
            if "valid" not in row or not ("key" in row or {"group", "a", "b"} <= set(row)):
                raise BadData(f"{path}: a row that is no verdict: {str(row)[:120]}; delete it")

    @property
    def scores(self) -> dict[str, dict[str, float] | None]:
        """By edit; None where invalid."""
        return {r["key"]: r["scores"] if r["valid"] else None for r in self.rows}

    @property
    def votes(self) -> dict[tuple[str, int, int], str | None]:
        """By comparison; None where invalid."""
        return {(r["group"], r["a"], r["b"]): r["label"] if r["valid"] else None for r in self.rows}

    def score_all(self, data: PreferenceSet, judge: Any) -> str:
        """Judge every edit that has no verdict yet. "" when all are done, else why it stopped."""
        known = self.scores
        todo = [(k, g, c) for k, (g, c) in data.candidates.items() if k not in known]

        def work(key: str, group: Any, candidate: Any) -> Row:
            verdict = judge.judge(group.item.image, candidate.picture(), group.item)
            return {"key": key, "valid": verdict.valid, "scores": dict(verdict.scores), "reason": verdict.reason}

        tasks = (lambda t=t: work(*t) for t in todo)  # type: ignore[misc]
        return self._run(tasks, len(data.candidates), len(todo), judge, "edits judged")

    def compare_all(self, data: PreferenceSet, judge: Any) -> str:
        """Judge every comparison that has no verdict yet. "" when all are done, else why it stopped."""
        known = self.votes
        every = [(g, c) for g in data.groups for c in g.comparisons]
        todo = [(g, c) for g, c in every if (g.id, c.a, c.b) not in known]

        def work(group: Any, pair: Any) -> Row:
            pictures = (group.candidates[n].picture() for n in (pair.a, pair.b))
            found = judge.compare(group.item.image, *pictures, group.item)
            return {
                **{"group": group.id, "a": pair.a, "b": pair.b, "valid": found.label is not None, "label": found.label},
                **{"reason": found.reason, "consistent": found.consistent, "side": found.favoured_side},
            }

        tasks = (lambda t=t: work(*t) for t in todo)  # type: ignore[misc]
        return self._run(tasks, len(every), len(todo), judge, "pairs judged")

    def _run(self, tasks: Iterator[Work], total: int, todo: int, judge: Any, label: str) -> str:
        """At most 2 x concurrency pieces are open at a time, so that memory does not grow with the set. What is done when
        somebody stops it, or the budget is spent, is kept; calls that are under way are waited for and kept too."""
        threads = max(1, int(getattr(judge, "concurrency", 1)))
        failure: BaseException | None = None
        done = total - todo
        with bar(label, total, done) as shown, ThreadPoolExecutor(threads) as pool:
            open_: set[Future[Row]] = {pool.submit(t) for t in islice(tasks, 2 * threads)}
            try:
                while open_:
                    ready, open_ = wait(open_, return_when=FIRST_COMPLETED)
                    failure = self._keep(ready) or failure
                    done += len(ready)
                    shown.update(done, _cost(judge))
                    if failure is None:
                        open_ |= {pool.submit(t) for t in islice(tasks, len(ready))}
                    else:
                        open_ = {f for f in open_ if not f.cancel()}
            except KeyboardInterrupt:
                running = {f for f in open_ if not f.cancel()}
                self._keep(wait(running).done)
                raise
        if isinstance(failure, BudgetSpent):
            return f"the budget is spent ({failure})" if str(failure) else "the budget is spent"
        if failure is not None:
            raise failure
        return ""

    def _keep(self, ready: set[Future[Row]]) -> BaseException | None:
        """Write what is done in one go; the first failure that is not just a spent budget."""
        rows, failure = [], None
        for future in ready:
            error = future.exception()
            if error is None:
                rows.append(future.result())
            elif failure is None or isinstance(failure, BudgetSpent):
                failure = error
        if rows:
            self.journal.append(rows)
            self.rows += rows
        return failure

    def summary(self, judge: Any) -> Row:
        """Counts of verdicts, and what the judge cost in this process."""
        bad = [r for r in self.rows if not r["valid"]]
        out: Row = {
            "judged": len(self.rows),
            "invalid": len(bad),
            "invalid_share": len(bad) / len(self.rows) if self.rows else 0.0,
            "first_reason": bad[0]["reason"] if bad else "",
        }
        if any("side" in r for r in self.rows):
            valid = [r for r in self.rows if r["valid"]]
            out["inconsistent"] = sum(not r["consistent"] for r in valid)
            out["favoured_side"] = {side: sum(r["side"] == side for r in valid) for side in ("A", "B")}
        usage = getattr(judge, "usage", None)
        return out | ({"usage": dict(vars(usage))} if usage is not None else {})

    def _rewrite(self) -> None:
        import json

        from common.files import write_text

        write_text(self.path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in self.rows))


def _cost(judge: Any) -> str:
    usage = getattr(judge, "usage", None)
    return f"${usage.dollars:.2f}" if usage is not None and usage.dollars else ""


__all__ = ["Verdicts"]
