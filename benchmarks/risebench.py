"""`risebench`: RISEBench (arXiv 2504.02826), edits that take temporal, causal, spatial or logical reasoning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.item import Benchmark, Card, Item, Unit
from benchmarks.listed import listed
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.records import JsonRecord, find_picture, first_file, records, root_of
from benchmarks.sampling import describe_sampling, take
from common.errors import BadData

CATEGORIES = ("temporal", "causal", "spatial", "logical")
FILES = ("datav2_total_w_subtask.json", "datav2_total.json", "data_total.json")

CARD = Card(
    name="risebench",
    title="RISEBench",
    source="PhoenixZ/RISEBench",
    paper="arXiv 2504.02826",
    licence="not stated",
    split="",
    size="360 edits in four categories",
    sampling="all",
    get=(
        "`hf download PhoenixZ/RISEBench --repo-type dataset --local-dir <folder>`, unpack data.zip there (the JSON and "
        "the folders temporal_reasoning_images, ...), then benchmark.path=<folder>"
    ),
    rubric="rise",
    mean="micro",
    notes=(
        "Besides the mean score there is accuracy: the share of edits with 5 in every score that applies.",
        "The published script was corrected on 2026-04-23 and all its numbers changed: do not compare across that day.",
        "An older script (674f864) takes an absent consistency_free for true in the weights, and counts no edit without a "
        "consistency score as accurate. Neither is done here.",
        "The reference text is read from reference_txt or reference, the first of them that is there.",
    ),
)


def load(options: BenchmarkOptions) -> Benchmark:
    """One unit per edit, in the order of the file.

    facts: category (temporal | causal | spatial | logical), subtask, consistency_free, reference_text ("" where there is
    none), reference_image (an `Opens`, only where there is one), needs_source (reasoning is judged with the source beside
    the result), hides_instruction (reasoning is judged without the instruction). Raises MissingFile, BadData.
    """
    root = root_of(CARD, options.path)
    file = first_file(CARD, root, (*FILES, *(f"data/{name}" for name in FILES)))
    folders = (file.parent, file.parent / "data")
    units: list[Unit] = [(_item(key, record, folders),) for key, record in records(file, CARD)]
    card = replace(CARD, sampling=describe_sampling(options.samples, len(units), options.seed, "edits"))
    return listed(card, take(units, options.samples, options.seed))


def _item(key: str, record: JsonRecord, folders: tuple[Path, ...]) -> Item:
    category = record.text("category").strip().lower().removesuffix("_reasoning")
    if category not in CATEGORIES:
        raise BadData(f"{CARD.name}: {record.where}: category {category!r} is none of {', '.join(CATEGORIES)}")
    image = record.row.get("image")
    if isinstance(image, list) and len(image) > 1:
        raise BadData(
            f"{CARD.name}: {record.where} has {len(image)} source pictures, which no edit of RISEBench has; is this another "
            f"benchmark's file? How to get it: {CARD.get}"
        )
    facts: dict[str, Any] = {
        "category": category,
        "subtask": record.text_or_none("subtask") or "",
        "consistency_free": record.flag("consistency_free"),
        "reference_text": record.text_or_none("reference_txt", "reference") or "",
        "needs_source": record.flag("reasoning_img"),
        "hides_instruction": record.flag("reasoning_wo_ins"),
    }
    if reference := record.text_or_none("reference_img"):
        facts["reference_image"] = find_picture(record, reference, folders)
    if not facts["reference_text"] and not reference:
        raise BadData(f"{CARD.name}: {record.where} has no reference, neither text nor picture, to judge reasoning by")
    source = find_picture(record, record.text("image"), folders)
    name = record.text_or_none("index") or key
    return Item(name, record.text("instruction"), (), category, source=source, facts=facts)


class RiseBench(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "CATEGORIES", "load", "RiseBench"]
