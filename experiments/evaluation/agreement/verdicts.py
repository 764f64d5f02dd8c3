"""Verdicts on preference data, from many threads. Each is kept as soon as it is known, and nothing is judged twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.preferences import PreferenceSet
from common.errors import BadData
from common.files import write_text
from common.jsonl import Journal, read_jsonl
from common.pictures import to_rgb
from common.progress import bar
from common.work import run_tasks
from judges.question import BudgetSpent

Row = dict[str, Any]
Task = Callable[[], Row]


class Verdicts:
    """The rows of a jsonl file: one per edit ("key", "valid", "scores", "reason", "seen"), or one per comparison ("group", "a",
    "b", "valid", "label", "reason", "consistent", "side", "seen") of a judge that is shown both edits."""

    def __init__(self, path: Path) -> None:
        self.path, self.journal = path, Journal(path)
        self.rows: list[Row] = read_jsonl(path) if path.is_file() else []
        if path.is_file() and not path.read_bytes().endswith(b"\n"):  # a kill left a part of a row
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

    @property
    def seen(self) -> dict[str, str]:
        """By edit: a digest of its pixels and its source's. Verdicts of earlier versions have none."""
        return {key: digest for row in self.rows for key, digest in row.get("seen", {}).items()}

    def score_all(self, data: PreferenceSet, judge: Any) -> str:
        """Judge every edit that has no verdict yet. Returns "" when all are done, else why it stopped."""
        existing = self.scores

        def score(key: str, group: Any, candidate: Any) -> Row:
            before, after = group.item.image, candidate.picture()
            verdict = judge.judge(before, after, group.item)
            row = {"key": key, "valid": verdict.valid, "scores": dict(verdict.scores), "reason": verdict.reason}
            return row | {"seen": {key: seen_digest(before, after)}}

        todo = [(key, group, c) for key, (group, c) in data.candidates.items() if key not in existing]
        tasks = [lambda t=t: score(*t) for t in todo]  # type: ignore[misc]
        return self._run(tasks, len(data.candidates), judge, "edits judged")

    def compare_all(self, data: PreferenceSet, judge: Any) -> str:
        """Judge every comparison that has no verdict yet. Returns "" when all are done, else why it stopped."""
        existing = self.votes
        pairs = [(group, pair) for group in data.groups for pair in group.comparisons]

        def compare(group: Any, pair: Any) -> Row:
            before, candidates = group.item.image, [group.candidates[n] for n in (pair.a, pair.b)]
            pictures = [candidate.picture() for candidate in candidates]
            vote = judge.compare(before, *pictures, group.item)
            return {
                **{"group": group.id, "a": pair.a, "b": pair.b, "valid": vote.label is not None, "label": vote.label},
                **{"reason": vote.reason, "consistent": vote.consistent, "side": vote.favoured_side},
                "seen": {c.key: seen_digest(before, after) for c, after in zip(candidates, pictures, strict=True)},
            }

        todo = [(group, pair) for group, pair in pairs if (group.id, pair.a, pair.b) not in existing]
        tasks = [lambda t=t: compare(*t) for t in todo]  # type: ignore[misc]
        return self._run(tasks, len(pairs), judge, "pairs judged")

    def _run(self, tasks: Sequence[Task], total: int, judge: Any, label: str) -> str:
        """What is done when somebody stops it, or the budget is spent, is kept, and so are the calls under way."""
        done = total - len(tasks)
        with bar(label, total, done) as shown:
            stopped = run_tasks(
                tasks,
                lambda task: task(),
                self._keep,
                threads=getattr(judge, "concurrency", 1),
                mild=BudgetSpent,
                noun="verdicts",
                on_progress=lambda new: shown.update(done + new, _cost(judge)),
            )
        if stopped is None:
            return ""
        return f"the budget is spent ({stopped})" if str(stopped) else "the budget is spent"

    def _keep(self, results: Sequence[tuple[Task, Row]]) -> None:
        rows = [row for _, row in results]
        self.journal.append(rows)
        self.rows += rows

    def summary(self, judge: Any) -> Row:
        """Counts of verdicts, and what the judge cost in this process."""
        invalid = [r for r in self.rows if not r["valid"]]
        counts: Row = {
            "judged": len(self.rows),
            "invalid": len(invalid),
            "invalid_share": len(invalid) / len(self.rows) if self.rows else 0.0,
            "first_reason": invalid[0]["reason"] if invalid else "",
        }
        if any("side" in r for r in self.rows):
            valid = [r for r in self.rows if r["valid"]]
            counts["inconsistent"] = sum(not r["consistent"] for r in valid)
            counts["favoured_side"] = {side: sum(r["side"] == side for r in valid) for side in ("A", "B")}
        usage = getattr(judge, "usage", None)
        return counts | ({"usage": dict(vars(usage))} if usage is not None else {})

    def _rewrite(self) -> None:
        write_text(self.path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in self.rows))


def seen_digest(before: Image.Image, after: Image.Image) -> str:
    """Of the pixels of both, as RGB."""
    digest = hashlib.blake2b(digest_size=8)
    for picture in map(to_rgb, (before, after)):
        digest.update(repr(picture.size).encode() + picture.tobytes())
    return digest.hexdigest()


def _cost(judge: Any) -> str:
    usage = getattr(judge, "usage", None)
    return f"${usage.dollars:.2f}" if usage is not None and usage.dollars else ""


__all__ = ["Verdicts", "seen_digest"]
