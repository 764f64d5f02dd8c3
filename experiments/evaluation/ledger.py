"""What a judge's calls cost, noted beside its verdicts, so that a budget holds over any number of starts."""

from __future__ import annotations

import time
from pathlib import Path

from common.jsonl import read_jsonl
from experiments.evaluation.rows import RowFile
from experiments.evaluation.shares import Share
from judges.question import Usage

NOTE_EVERY_S = 10.0


class UsageLog:
    """Appends what was spent since the last note to `usage-<share>.jsonl`; the file is opened when there is something to note."""

    def __init__(self, folder: Path, share: Share, usage: Usage) -> None:
        self.path = folder / f"usage-{share.name}.jsonl"
        self.file: RowFile | None = None
        self.usage, self.since, self.items = usage, time.monotonic(), 0

    def add(self, items: int, usage: Usage) -> None:
        self.items += items
        if time.monotonic() - self.since > NOTE_EVERY_S:
            self.note(usage)

    def note(self, usage: Usage) -> None:
        if self.file is None:
            if self.items == 0:
                return
            self.file = RowFile(self.path)
        now = time.monotonic()
        spent = {k: round(v - getattr(self.usage, k), 9) for k, v in vars(usage).items()}
        self.file.append([{"items": self.items, "seconds": round(now - self.since, 3), **spent}])
        self.usage, self.since, self.items = usage, now, 0

    def close(self, usage: Usage) -> None:
        self.note(usage)
        if self.file is not None:
            self.file.close()


def usage_of(folder: Path) -> dict[str, float]:
    """What a judge's calls cost on one benchmark and how long they took, summed over all shards and starts."""
    total: dict[str, float] = {}
    for path in sorted(folder.glob("usage-*.jsonl")):
        for row in read_jsonl(path):
            for key, value in row.items():
                total[key] = round(total.get(key, 0) + value, 9)
    return total


def budget_left(budget: float, folder: Path, share: Share) -> float:
    """Dollars that this share may still spend. The budget is of the whole evaluation, whatever the number of starts: what
    earlier ones paid is in the ledgers (noted at the latest 10 s after it was spent; a kill may lose that). Shards take equal
    parts of what was left before there were so many of them, and each subtracts its own spending, so that it does not matter
    which of them starts first."""
    mine, others = 0.0, 0.0
    for path in sorted(folder.glob("usage-*.jsonl")):
        dollars = sum(row.get("dollars", 0.0) for row in read_jsonl(path))
        if path.stem == f"usage-{share.name}":
            mine = dollars
        elif not path.stem.endswith(f"-of-{share.shards}"):
            others += dollars
    return max(0.0, (budget - others) / share.shards - mine)


__all__ = ["UsageLog", "budget_left", "usage_of"]
