"""`realedit`: the test split of RealEdit, real requests from Reddit (CVPR 2025, arXiv 2502.03629)."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.item import Benchmark, Card, Item, Unit
from benchmarks.listed import ListedBenchmark, one_of
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.schema import PICTURE, TEXT, called, optional
from benchmarks.tables import open_table

SAMPLES, SEED = 1000, 0
CARD = Card(
    name="realedit",
    title="RealEdit test",
    source="peter-sushko/RealEdit",
    paper="arXiv 2502.03629",
    licence="not stated",
    split="test",
    size="9,337 requests, each with one human edit that was checked by hand",
    sampling=f"{SAMPLES} requests, ranked by SHA-256 of seed {SEED} and row number; ids in the results",
    get=(
        "https://huggingface.co/datasets/peter-sushko/RealEdit; or give as benchmark.path a CSV with input_image_name and "
        "instruction that lies beside its pictures (or beside images/ with them)"
    ),
    notes=(
        "ImageEdit-R1 (arXiv 2603.08059) drew 1,000 at random and published neither ids nor seed: this sample is another one.",
        "The columns of the Hub's set are not documented where we looked; the names accepted for them are assumed.",
        "The metrics script of the authors takes the smaller of two sizes by comparing width first; pixel numbers differ there.",
    ),
)
COLUMNS = {
    "instruction": called(TEXT, "edit_instruction", "edit_prompt", "prompt", "request"),
    "input_image": called(PICTURE, "input_image_name", "source_image", "original_image", "input", "image"),
    "output_image": called(
        optional(PICTURE), "output_image_name", "target_image", "edited_image", "gt_image", "output", "target"
    ),
}


def load(options: BenchmarkOptions) -> Benchmark:
    """The rows of the split, or `samples` of them by `seed`, in their order. Options: protocol (plain | human: whether the
    human edit is the reference, where the data have it).

    Raises MissingFile, BadInput, BadData.
    """
    protocol = one_of(CARD, "protocol", options.protocol, ("plain", "human"))
    columns = {name: c for name, c in COLUMNS.items() if protocol == "human" or name != "output_image"}
    if protocol == "human":
        columns["output_image"] = replace(columns["output_image"], required=True)
    table = open_table(CARD, options, columns)
    used = table.only(sample_ids(len(table), options.samples, options.seed)).check()
    named = ", ".join(f"{ours} = {theirs}" for ours, theirs in used.names.items())
    card = replace(
        CARD,
        split=options.split or CARD.split,
        sampling=describe_sampling(options.samples, len(table), options.seed),
        notes=(*CARD.notes, f"Columns read: {named}."),
    )
    ids = [f"realedit-{used.number(i):05d}" for i in range(len(used))]

    def make(i: int) -> Unit:
        item = Item(
            ids[i],
            used.row(i)["instruction"],
            (),
            source=used.needed(i, "input_image"),
            reference=used.picture(i, "output_image"),
            facts={"row": used.number(i)},
        )
        return (item,)

    return ListedBenchmark(card, ids, make)


class RealEdit(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "COLUMNS", "load", "RealEdit"]
