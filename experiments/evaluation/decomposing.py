"""Decompositions of the items and their scores against the gold edits; the decomposer before RL, or after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.item import Benchmark, Item
from common.errors import BadInput
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.rows import RowFile, read_rows
from experiments.evaluation.shares import Share
from rewards.compose import components
from rewards.format import read

if TYPE_CHECKING:
    from agents.decomposer import Decomposer, DecomposeResult


def missing_blocks(folder: Path, keys: Sequence[Key], share: Share, chunk: int) -> list[list[Key]]:
    """The items of this share that lack a row in the folder, in blocks of `chunk` units. A block that a kill left incomplete is
    done as a whole: decomposed alone, an item could come out with other last bits, and drawn alone with other answers."""
    rows = read_rows(folder)
    blocks: dict[int, list[Key]] = {}
    for key in keys:
        if share.has(key[0], chunk):
            blocks.setdefault(key[0] // chunk, []).append(key)
    return [block for block in blocks.values() if any(key not in rows for key in block)]


def decompose(
    layout: Layout,
    when: str,
    benchmark: Benchmark,
    make: Callable[[], Decomposer],
    blocks: Sequence[Sequence[Key]],
    share: Share,
    on_progress: Callable[[int], object],
) -> None:
    """Write one row for each item of the blocks. `make` loads the model, and is only called where there is a block.
    `on_progress` gets the number of items done. Raises SaveFailed."""
    if not blocks:
        return
    decomposer, done = make(), 0
    with RowFile(layout.decompositions(when) / f"{share.name}.jsonl") as file:
        for block in blocks:
            items = [benchmark.unit(unit)[turn] for unit, turn in block]
            results = decomposer.decompose(items)
            file.append(_row(key, item, r) for key, item, r in zip(block, items, results, strict=True))
            done += len(block)
            on_progress(done)


def _row(key: Key, item: Item, result: DecomposeResult) -> dict[str, Any]:
    scores = components(read(result.text), item.gold)
    return {
        "unit": key[0],
        "turn": key[1],
        "id": item.id,
        "gold": [[e.action, e.subject, e.goal] for e in item.gold],
        "text": result.text,
        "error": result.error,
        "scores": {k: v for k, v in scores.items() if v is not None and k != "outcome"},
    }


def check_gold(layout: Layout, benchmark: Benchmark) -> None:
    """Raises BadInput for a benchmark without gold decompositions."""
    if not benchmark.card.trainable and not any(item.gold for item in benchmark.unit(0)):
        raise BadInput(f"benchmark={layout.benchmark} has no gold decompositions to score against")


__all__ = ["check_gold", "decompose", "missing_blocks"]
