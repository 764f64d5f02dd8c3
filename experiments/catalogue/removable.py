"""What of a run's folder may go: checkpoints of its trainings, leftovers of kills, and with a word of its own the trained models.

Everything else (results.json, the report, rows, pictures, traces, journals) is never in the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from common.jsonl import read_jsonl

Keep = Literal["last", "best", "none"]
CHECKPOINT, LEFTOVER, MODEL = "checkpoint", "leftover", "trained model"
MODELS = ("start", "decomposer", "intent", "editor", "rrm/*", "sessions/*/intent", "sessions/*/editor")
PLACES = ("checkpoints", "checkpoints-*", "sessions/*/checkpoints")
GONE = ".removing-"  # a folder is renamed so before its files go: half a model never looks like a whole one
LEFTOVERS = (f"{GONE}*", f"*/{GONE}*", f"rrm/{GONE}*", f"sessions/*/{GONE}*", ".*.part", "*/.*.part", "*/.draft-*")
WINDOW = 10  # steps before a checkpoint whose mean says how good it is


@dataclass(frozen=True)
class Item:
    path: Path
    kind: str  # CHECKPOINT, LEFTOVER or MODEL


def items(folder: Path, keep: Keep, trained: bool) -> list[Item]:
    """Of each training all checkpoints but the one that `keep` says; leftovers; the models where `trained`."""
    out = [Item(path, CHECKPOINT) for place in PLACES for f in folder.glob(place) for path in _checkpoints(f, keep)]
    out += [Item(path, LEFTOVER) for path in dict.fromkeys(p for pattern in LEFTOVERS for p in folder.glob(pattern))]
    if trained:
        out += [Item(path, MODEL) for pattern in MODELS for path in sorted(folder.glob(pattern)) if path.is_dir()]
    return out


def _checkpoints(place: Path, keep: Keep) -> Iterator[Path]:
    steps = sorted(p for p in place.glob("step-*") if p.is_dir() and p.name.removeprefix("step-").isdigit())
    if not steps:
        return
    kept = {"last": steps[-1:], "none": [], "best": [max(steps, key=lambda p: _goodness(p, place))]}[keep]
    yield from (path for path in steps if path not in kept)


def _goodness(checkpoint: Path, place: Path) -> tuple[float, int]:
    """The mean reward (or − loss) of the steps before it; of equal ones, and where neither was logged, the later one."""
    step = int(checkpoint.name.removeprefix("step-"))
    name = place.name.removeprefix("checkpoints").removeprefix("-")
    journal = place.parent / f"{name or 'metrics'}.jsonl"
    rows = read_jsonl(journal) if journal.is_file() else []
    values = [v for row in rows if step - WINDOW < row.get("step", 0) <= step and (v := _value(row)) is not None]
    return (sum(values) / len(values) if values else 0.0, step)


def _value(row: dict[str, Any]) -> float | None:
    if isinstance(row.get("reward/mean"), int | float):
        return float(row["reward/mean"])
    loss = next((v for key, v in row.items() if key.endswith("loss") and isinstance(v, int | float)), None)
    return None if loss is None else -float(loss)


__all__ = ["CHECKPOINT", "GONE", "LEFTOVER", "MODEL", "Item", "Keep", "items"]
