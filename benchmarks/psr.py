"""`psr`: PSR-328, real requests from Reddit's r/PhotoshopRequest (arXiv 2505.16181)."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.item import Benchmark, Card, Item, Unit
from benchmarks.listed import ListedBenchmark, one_of
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.schema import PICTURE, TEXT, Column, optional
from benchmarks.tables import open_table

REQUESTS = 328
CARD = Card(
    name="psr",
    title="PSR-328",
    source="PSRDataset/PSR-328",
    paper="arXiv 2505.16181",
    licence="CC BY-NC-SA 4.0",
    split="test",
    size="328 requests (114 of low, 101 of medium, 113 of high creativity) in 10,405 rows of source, request, AI and human edit",
    sampling="all requests",
    get="https://huggingface.co/datasets/PSRDataset/PSR-328 (7.5 GB); a copy of its data/ folder goes in as benchmark.path",
    rubric="paper",
    mean="micro",
    notes=(
        "Rows are edits, not requests: grouped by post_id, the request and the source picture of a post's first row are taken.",
        "GPT-4o as judge prefers GPT-4o's own edits (at least 81 %), and judges agree little with people (kappa at most 0.22).",
        "kind is creativity_index as it is written in the data.",
    ),
)
TEXTS = {"original": "instruction", "simplified": "simplified_instruction"}


def load(options: BenchmarkOptions) -> Benchmark:
    """PSR-328 grouped to its requests, in the order of their first rows. Options: text (original | simplified), protocol
    (plain | human: whether the first row's human edit is the reference), samples, seed.

    Raises MissingFile, BadInput, BadData.
    """
    said = TEXTS[one_of(CARD, "text", options.text, tuple(TEXTS))]
    protocol = one_of(CARD, "protocol", options.protocol, ("plain", "human"))
    columns: dict[str, Column] = {
        "post_id": TEXT,
        said: TEXT,
        "creativity_index": optional(TEXT),
        "source_image": PICTURE,
    }
    if protocol == "human":
        columns["human_edited_image"] = PICTURE
    table = open_table(CARD, options, columns)

    first: dict[str, int] = {}
    other: set[str] = set()  # posts whose rows do not say the same
    requests = table.column(said)
    for i, post in enumerate(table.column("post_id")):
        if requests[first.setdefault(post, i)] != requests[i]:
            other.add(post)
    taken = sample_ids(len(first), options.samples, options.seed)
    rows = [list(first.values())[k] for k in taken]

    notes = [f"The text is {said}."]
    if len(first) != REQUESTS:
        notes.append(f"These data hold {len(first)} requests, not {REQUESTS}.")
    if other:
        notes.append(
            f"{len(other)} posts have rows with another text; the first row's is taken, e.g. in post {min(other)}."
        )
    card = replace(
        CARD,
        split=options.split or CARD.split,
        sampling=describe_sampling(options.samples, len(first), options.seed),
        notes=(*CARD.notes, *notes),
    )
    used = table.only(rows).check()
    ids = [f"psr-{post}" for post in used.column("post_id")]

    def make(i: int) -> Unit:
        row = used.row(i)
        item = Item(
            ids[i],
            row[said],
            (),
            (row["creativity_index"] or "").strip().lower(),
            source=used.needed(i, "source_image"),
            reference=used.picture(i, "human_edited_image"),
            facts={"row": used.number(i)},
        )
        return (item,)

    return ListedBenchmark(card, ids, make)


class PSR(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "REQUESTS", "load", "PSR"]
