"""Where an evaluation keeps its files. A run's folder has the same layout, for a run evaluates itself in the same way.

<out>/results.json, report.html
<out>/<benchmark>/claim.json, items.jsonl      what the benchmark is, and its items
<out>/<benchmark>/decompositions/<when>/       before and after RL
<out>/<benchmark>/drawn/before/                several answers to every item, drawn before RL (pass@k)
<out>/<benchmark>/pictures/<arm>/<unit>-<turn>.png
<out>/<benchmark>/edits/<arm>/
<out>/<benchmark>/verdicts/<judge>/<arm>/
<out>/<benchmark>/metrics/<arm>/
<out>/traces/<arm>/<item>/                     plans and pictures of the few items that a run's report shows

Each folder of rows has a claim.json, which says what defines the rows, and one jsonl file per shard. A row carries the numbers
of its unit and of its turn in the unit (an item that is no session has the single turn 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.filenames import folder_name

CLAIM = "claim.json"
LIMITS = "limits.json"  # beside a claim of verdicts or of drawn answers: what may change from one start to the next
LOCKS = ".shards"  # folder of lock files
PICTURES, SOURCES, EDITS, VERDICTS, METRICS = "pictures", "sources", "edits", "verdicts", "metrics"
DECOMPOSITIONS, DRAWN = "decompositions", "drawn"
TRACES = "traces"
Key = tuple[int, int]  # number of the unit, number of the turn in it


@dataclass(frozen=True)
class Layout:
    """The folder of one benchmark in an evaluation's folder `out`."""

    out: Path
    benchmark: str

    @property
    def folder(self) -> Path:
        return self.out / folder_name(self.benchmark)

    def picture(self, arm: str, key: Key) -> Path:
        return self.pictures(arm) / picture_name(key)

    def pictures(self, arm: str) -> Path:
        return self.folder / PICTURES / folder_name(arm)

    def source(self, key: Key) -> Path:
        """A copy of a given picture, where the page shows it."""
        return self.folder / SOURCES / picture_name(key)

    def edits(self, arm: str) -> Path:
        return self.folder / EDITS / folder_name(arm)

    def judge(self, label: str) -> Path:
        return self.folder / VERDICTS / folder_name(label)

    def verdicts(self, judge: str, arm: str) -> Path:
        return self.judge(judge) / folder_name(arm)

    def metrics(self, arm: str) -> Path:
        return self.folder / METRICS / folder_name(arm)

    def decompositions(self, when: str) -> Path:
        return self.folder / DECOMPOSITIONS / when

    def drawn(self, when: str) -> Path:
        return self.folder / DRAWN / when


def picture_name(key: Key) -> str:
    return f"{key[0]}-{key[1]}.png"


__all__ = ["CLAIM", "DECOMPOSITIONS", "DRAWN", "EDITS", "LIMITS", "LOCKS", "METRICS", "PICTURES", "TRACES", "VERDICTS"]
__all__ += ["Key", "Layout", "picture_name"]
