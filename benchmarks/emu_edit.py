"""`emu_edit`: the test set of Emu Edit (arXiv 2311.10089)."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.item import Benchmark, Card, Item, Unit
from benchmarks.listed import ListedBenchmark
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.schema import INTEGER, PICTURE, TEXT, called, optional
from benchmarks.tables import open_table

CARD = Card(
    name="emu_edit",
    title="Emu Edit test set",
    source="facebook/emu_edit_test_set",
    paper="arXiv 2311.10089",
    licence="CC BY-NC 4.0",
    split="test",
    size="3,589 requests (test); 2,022 (validation)",
    sampling="all requests",
    get="https://huggingface.co/datasets/facebook/emu_edit_test_set (1.3 GB for test)",
    mean="micro",
    notes=(
        "facebook/emu_edit_test_set_generations has the two splits the other way round (validation 3,589, test 2,022 rows).",
        "There is no reference picture: L1, CLIP-I and DINO of the protocol are against the input picture.",
    ),
)
COLUMNS = {
    "instruction": TEXT,
    "task": TEXT,
    "idx": optional(INTEGER),
    "input_caption": optional(called(TEXT, "source_caption")),
    "output_caption": optional(called(TEXT, "target_caption")),
    "image": PICTURE,
}


def load(options: BenchmarkOptions) -> Benchmark:
    """The rows of the split in their order; kind is the task, the captions are in the facts. Options: split, samples, seed.

    Raises MissingFile, BadInput, BadData.
    """
    split = options.split or CARD.split
    table = open_table(CARD, options, COLUMNS)
    used = table.only(sample_ids(len(table), options.samples, options.seed)).check()
    captions = list(zip(used.column("input_caption"), used.column("output_caption"), strict=True))
    same = sum(a is not None and a == b for a, b in captions)
    note = (
        (f"{same} of {len(captions)} rows have the same caption before and after: no direction for CLIP.",)
        if same
        else ()
    )
    card = replace(
        CARD,
        split=split,
        sampling=describe_sampling(options.samples, len(table), options.seed),
        notes=(*CARD.notes, *note),
    )
    ids = [f"emu_edit-{split}-{used.number(i):05d}" for i in range(len(used))]

    def make(i: int) -> Unit:
        row = used.row(i)
        facts = {"source_caption": row["input_caption"], "target_caption": row["output_caption"], "idx": row["idx"]}
        item = Item(
            ids[i],
            row["instruction"],
            (),
            row["task"],
            source=used.needed(i, "image"),
            facts={"row": used.number(i), **{k: v for k, v in facts.items() if v is not None}},
        )
        return (item,)

    return ListedBenchmark(card, ids, make)


class EmuEdit(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "COLUMNS", "load", "EmuEdit"]
