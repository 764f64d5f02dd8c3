"""Answers drawn from the decomposer before RL, for pass@k: what RL is judged against is what the start could find by luck.

Every item gets `pass_samples` answers at temperature 1 from the whole distribution. The draws of a block of items depend on
scale.test_seed and the block's first item alone, so that neither a kill nor the number of shards changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from benchmarks.item import Benchmark, Item
from experiments.evaluation.layout import Key, Layout
from experiments.evaluation.rows import RowFile
from experiments.evaluation.shares import Share
from rewards.compose import components
from rewards.format import read

if TYPE_CHECKING:
    from agents.decomposer import Decomposer


def draw(
    layout: Layout,
    when: str,
    benchmark: Benchmark,
    decomposer: Decomposer,
    blocks: Sequence[Sequence[Key]],
    share: Share,
    n: int,
    seed: int,
    on_progress: Callable[[int], object],
) -> None:
    """Write one row for each item of the blocks: its `n` answers, and which of them are exact. `on_progress` gets the
    number of items done. Raises SaveFailed."""
    done = 0
    with RowFile(layout.drawn(when) / f"{share.name}.jsonl") as file:
        for block in blocks:
            items = [benchmark.unit(unit)[turn] for unit, turn in block]
            answers = decomposer.draw(items, n, block_seed(seed, block[0]))
            file.append(_row(key, item, texts) for key, item, texts in zip(block, items, answers, strict=True))
            done += len(block)
            on_progress(done)


def block_seed(seed: int, first: Key) -> int:
    """31 bits that differ from block to block."""
    return int.from_bytes(blake2b(f"{seed}/{first[0]}/{first[1]}".encode(), digest_size=4).digest()) >> 1


def _row(key: Key, item: Item, texts: Sequence[str]) -> dict[str, Any]:
    exact = [components(read(text), item.gold)["exact"] for text in texts]
    return {"unit": key[0], "turn": key[1], "id": item.id, "texts": list(texts), "exact": exact}


__all__ = ["block_seed", "draw"]
