"""The pictures of every arm, unit by unit and turn by turn, with a row that says how each came about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from PIL import Image

from benchmarks.item import Benchmark, Item, Unit
from common.errors import BadData, BadInput
from experiments.evaluation.chains import Block, Chain
from experiments.evaluation.layout import Key, Layout, picture_name
from experiments.evaluation.makers import Made, Maker
from experiments.evaluation.pictures import open_picture, save_picture
from experiments.evaluation.rows import RowFile, fine, read_rows
from experiments.evaluation.shares import Share


def missing_turns(
    layout: Layout, arm: str, lengths: Sequence[int], retry: bool = False, chunk: int = 1
) -> dict[int, int]:
    """{unit: its first turn without a picture}. `lengths` has the number of turns of each unit; with `retry`, turns that failed
    are missing too.

    Where a unit has no row, all units of its block (of `chunk` units) are missing from turn 0: only a kill in the middle of
    writing leaves such a block, and edited alone a unit could come out with other last bits.
    """
    rows = read_rows(layout.edits(arm))
    folder = layout.picture(arm, (0, 0)).parent
    files = {p.name for p in folder.iterdir()} if folder.is_dir() else set()

    def done(key: Key) -> bool:
        row = rows.get(key)
        return row is not None and (picture_name(key) in files if fine(row) else not retry)

    missing: dict[int, int] = {}
    torn: set[int] = set()
    for unit, turns in enumerate(lengths):
        first = next((t for t in range(turns) if not done((unit, t))), None)
        if first is not None:
            missing[unit] = first
        if any((unit, t) not in rows for t in range(turns)):
            torn.add(unit // chunk)
    return {
        u: 0 if u // chunk in torn else missing[u] for u in range(len(lengths)) if u in missing or u // chunk in torn
    }


def blocks_of(arm: str, missing: Mapping[int, int], units: int, share: Share, chunk: int) -> list[Block]:
    """The missing turns of an arm that are this share's, `chunk` units together."""
    blocks = ({Chain(arm, u): missing[u] for u in b if u in missing} for b in share.blocks(units, chunk))
    return [block for block in blocks if block]


def edit(
    layout: Layout,
    benchmark: Benchmark,
    make: Callable[[], Maker],
    blocks: Iterable[Block],
    share: Share,
    on_progress: Callable[[float], object] | None = None,
) -> None:
    """Make the pictures of all blocks. `make` loads what the arm needs; it is only called where there is a block. What was made
    is safe at the end of every block. `on_progress` gets the number of turns done; within a block it is a fraction.

    Raises SaveFailed, and what the maker raises for all items alike.
    """
    todo = list(blocks)
    if not todo:
        return
    maker, done = make(), 0
    tell = on_progress or (lambda _: None)
    with ExitStack() as stack:
        files: dict[str, RowFile] = {}
        for block in todo:
            rows = _edit_block(layout, benchmark, maker, block, lambda share, done=done: tell(done + share))  # type: ignore[misc]
            for arm in dict.fromkeys(chain.arm for chain in block):
                if arm not in files:
                    files[arm] = stack.enter_context(RowFile(layout.edits(arm) / f"{share.name}.jsonl"))
                files[arm].append(row for chain, row in rows if chain.arm == arm)
            done += len(rows)
            tell(done)


def _edit_block(
    layout: Layout, benchmark: Benchmark, maker: Maker, block: Block, tell: Callable[[float], object]
) -> list[tuple[Chain, dict[str, Any]]]:
    """Turn by turn, all chains of the block together."""
    units: dict[int, Unit] = {chain.unit: benchmark.unit(chain.unit) for chain in block}
    last: dict[Chain, Image.Image] = {}
    for chain, turn in block.items():
        if turn > 0 and (path := layout.picture(chain.arm, (chain.unit, turn - 1))).is_file():
            last[chain] = open_picture(path)
    rows: list[tuple[Chain, dict[str, Any]]] = []
    for turn in range(max(map(len, units.values()))):
        now = [c for c in block if block[c] <= turn < len(units[c.unit])]
        began = time.perf_counter()
        first = {} if turn else {c: opened(units[c.unit][0]) for c in now}
        unusable = {c: p for c, p in first.items() if isinstance(p, BadData)}
        given = last if turn else {c: p for c, p in first.items() if not isinstance(p, BadData)}
        ready = [c for c in now if c in given]
        items = [replace(units[c.unit][turn], picture=given[c]) for c in ready]

        def within(done: int, total: int, before: int = len(rows), count: int = len(ready)) -> None:
            tell(before + count * done / max(1, total))

        results = dict(zip(ready, maker(items, [c.variant for c in ready], within) if items else [], strict=True))
        seconds = (time.perf_counter() - began) / max(1, len(ready))
        for chain in now:
            why = f"the given picture cannot be used: {unusable[chain]}" if chain in unusable else ""
            made = results.get(chain) or Made(None, why or f"there is no picture of turn {turn} to go on with")
            item = units[chain.unit][turn]
            if made.picture is None:
                last.pop(chain, None)
            else:
                save_picture(layout.picture(chain.arm, (chain.unit, turn)), made.picture)
                last[chain] = made.picture
            row = {"unit": chain.unit, "turn": turn, "id": item.id, "seconds": round(seconds, 4), **made.row}
            failure = made.failure or ("" if made.picture is not None else "no picture")
            rows.append((chain, row | {"failure": failure}))
    return rows


def opened(item: Item) -> Image.Image | BadData | None:
    """The picture of an item, or why its file is no picture: one damaged file of the user's is one edit that failed."""
    try:
        return item.image
    except BadData as error:
        return error


def check_pictures(layout: Layout, benchmark: Benchmark) -> None:
    """Raises BadInput for a benchmark whose pictures are not edited."""
    item = benchmark.unit(0)[0]
    if benchmark.card.text_only or (item.source is None and item.picture is None):
        raise BadInput(f"benchmark={layout.benchmark} has no pictures to edit; choose one with pictures")


__all__ = ["blocks_of", "check_pictures", "edit", "missing_turns", "opened"]
