"""`ultraedit`: free-form edits of UltraEdit (NeurIPS 2024, arXiv 2407.05282), which has no test split: a sample is drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.hub import commit_of
from benchmarks.item import Benchmark, Card, Item, Unit
from benchmarks.listed import ListedBenchmark
from benchmarks.local import all_splits
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.sampling import rank, sample_ids
from benchmarks.schema import INTEGER, PICTURE, TEXT, optional
from benchmarks.sources import split_names
from benchmarks.tables import Table, open_table
from common.errors import BadInput, MissingFile

SAMPLES, SEED = 1000, 0
SPLITS_TAKEN = 20  # assumed: a thousand rows from a thousand splits would mean reading a thousand files of 0.4 GB
CARD = Card(
    name="ultraedit",
    title="UltraEdit, free-form",
    source="BleachNick/UltraEdit",
    paper="arXiv 2407.05282",
    licence="CC BY 4.0",
    split="FreeForm_*",
    size="about 4 million edits by a prompt-to-prompt pipeline, in splits of 2,000",
    sampling=f"{SAMPLES} from {SPLITS_TAKEN} splits picked uniformly by seed {SEED}, equally many of each; ids in the results",
    get=(
        "https://huggingface.co/datasets/BleachNick/UltraEdit (streamed: only the splits picked, 0.8 GB each; the Hub limits "
        "requests, so log in); or give as benchmark.path a folder with some FreeForm_* parquet files"
    ),
    notes=(
        "ImageEdit-R1 (arXiv 2603.08059) drew 1,000 and published neither ids nor seed: this sample is another one.",
        f"Taking {SPLITS_TAKEN} splits instead of one per row is assumed, to keep the download small (benchmark.split: others).",
        "There is no test split: models trained on UltraEdit have seen these rows.",
    ),
)
COLUMNS = {
    "edit_prompt": TEXT,
    "idx": optional(INTEGER),
    "source_caption": optional(TEXT),
    "target_caption": optional(TEXT),
    "source_image": PICTURE,
    "edited_image": PICTURE,
}
_FREE = re.compile(r"FreeForm(_\d+)?")


def load(options: BenchmarkOptions) -> Benchmark:
    """`samples` rows (None: all) of the splits named in `split`, separated by commas, or of SPLITS_TAKEN free-form splits
    picked by `seed`; ordered by split and row. The published edit is the reference.

    Raises MissingFile, BadInput, BadData.
    """
    if not options.path:  # asked once, so that all splits are of one commit
        options = replace(options, revision=commit_of(CARD, options.hub or CARD.source, options.revision))
    splits = _chosen(options)
    tables = [open_table(CARD, options, COLUMNS, split, files=f"data/{split}-*") for split in splits]
    counts = shares([len(t) for t in tables], options.samples)
    used: list[tuple[str, Table]] = []
    for split, table, count in zip(splits, tables, counts, strict=True):
        if count:
            used.append((split, table.only(sample_ids(len(table), count, rank_seed(options.seed, split))).check()))
    places = [(split, table, i) for split, table in used for i in range(len(table))]
    ids = [_id(split, table.number(i), idx) for split, table in used for i, idx in enumerate(table.column("idx"))]
    card = replace(
        CARD,
        split=", ".join(split for split, _ in used),
        sampling=f"{len(ids)} of the {sum(map(len, tables))} rows of {len(splits)} splits, seed {options.seed}; "
        "split, row and idx in the ids",
    )

    def make(i: int) -> Unit:
        split, table, k = places[i]
        row = table.row(k)
        facts = {name: row[name] for name in ("source_caption", "target_caption", "idx") if row[name] is not None}
        item = Item(
            ids[i],
            row["edit_prompt"],
            (),
            source=table.needed(k, "source_image"),
            reference=table.needed(k, "edited_image"),
            facts={"split": split, "row": table.number(k), **facts},
        )
        return (item,)

    return ListedBenchmark(card, ids, make)


def shares(sizes: Sequence[int], n: int | None) -> list[int]:
    """How many rows of each split, n in all: as equal as the sizes allow, the first ones getting what is left over."""
    if n is None or n >= sum(sizes):
        return list(sizes)
    given = [0] * len(sizes)
    while (left := n - sum(given)) > 0:
        open_ = [k for k in range(len(sizes)) if given[k] < sizes[k]]
        each = left // len(open_)
        for k in open_ if each else open_[:left]:
            given[k] += min(each or 1, sizes[k] - given[k])
    return given


def rank_seed(seed: int, split: str) -> int:
    """Another seed for every split, so that not the same row numbers are taken of each."""
    return int.from_bytes(rank(seed, split)[:8], "big")


def _chosen(options: BenchmarkOptions) -> list[str]:
    if options.split and options.split != CARD.split:
        return [s.strip() for s in options.split.split(",") if s.strip()]
    available = _available(options)
    free = sorted((s for s in available if _FREE.fullmatch(s)), key=_number)
    if not free:
        if options.path and len(available) == 1:
            return available  # a file or folder that names no split: all that is there
        raise MissingFile(
            f"ultraedit: no FreeForm_* split among {', '.join(available) or 'none'}. How to get it: {CARD.get}"
        )
    return sorted(sorted(free, key=lambda s: rank(options.seed, s))[:SPLITS_TAKEN], key=_number)


def _available(options: BenchmarkOptions) -> list[str]:
    if options.path:
        return list(all_splits(CARD, options.path, options.config))
    hub = options.hub or CARD.source
    if not options.revision:
        raise BadInput("ultraedit: the commit must be known before its splits are listed")
    return split_names(CARD, hub, options.revision)


def _number(split: str) -> tuple[int, str]:
    digits = split.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else -1, split)


def _id(split: str, row: int, idx: int | None) -> str:
    return f"ultraedit-{split.rpartition(':')[2]}-{row:05d}" + ("" if idx is None else f"-idx{idx}")


class UltraEdit(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "COLUMNS", "SPLITS_TAKEN", "load", "shares", "UltraEdit"]
