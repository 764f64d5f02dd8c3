"""`gedit`: GEdit-Bench (Step1X-Edit, arXiv 2504.17761), real users' requests in English and Chinese."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.item import EVERYTHING, Benchmark, Card, Item
from benchmarks.listed import ListedBenchmark, one_of
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.schema import FLAG, PICTURE, TEXT, optional
from benchmarks.tables import Table, open_table
from common.errors import BadData, BadInput

TASKS = (
    "background_change",
    "color_alter",
    "material_alter",
    "motion_change",
    "ps_human",
    "style_change",
    "subject-add",
    "subject-remove",
    "subject-replace",
    "text_change",
    "tone_transfer",
)
LANGUAGES = ("en", "cn")
COLUMNS = {
    "task_type": TEXT,
    "key": TEXT,
    "instruction": TEXT,
    "instruction_language": TEXT,
    "input_image": PICTURE,
    "input_image_raw": optional(PICTURE),
    "Intersection_exist": FLAG,
}

CARD = Card(
    name="gedit",
    title="GEdit-Bench",
    source="stepfun-ai/GEdit-Bench",
    paper="arXiv 2504.17761",
    licence="MIT",
    split="train",
    size="1,212 requests: 606 in English and the same 606 in Chinese, of 11 task types",
    sampling="all",
    get=(
        "Hub data set stepfun-ai/GEdit-Bench, read from there; for machines without network save it elsewhere with "
        "`datasets.load_dataset('stepfun-ai/GEdit-Bench').save_to_disk('<folder>')` and give benchmark.path=<folder>"
    ),
    rubric="gedit",
    mean="macro",
    notes=(
        "SC, PQ and O are each the unweighted mean over 11 task types; O is taken per item. Others print means over items: "
        "both are shown here and must not be compared with each other.",
        'Reported apart: English and Chinese, full and intersection. "all" mixes the languages where both are taken.',
        "The data calls Chinese cn; the published statistics script asks for zh and then averages nothing.",
        "The published scorer draws a random score where a reply cannot be read; here that item is invalid.",
        "The picture edited and judged is input_image, to whose size the published scorer brings a result.",
    ),
)


def load(options: BenchmarkOptions) -> Benchmark:
    """One unit per request; options.language: en | cn | all. Subsets: <language>/full, <language>/intersection.

    facts: language, intersection. Raises BadInput (language), MissingFile, BadData.
    """
    if options.language == "zh":
        raise BadInput("gedit: benchmark.language=zh: the data calls Chinese cn")
    chosen = one_of(CARD, "language", options.language, ("all", *LANGUAGES))
    table = open_table(CARD, options, COLUMNS)
    spoken = table.column("instruction_language")
    for i, language in enumerate(spoken):
        if language not in LANGUAGES:
            raise BadData(
                f"{CARD.name}: {table.where}, row {table.number(i)}: language {language!r} is neither en nor cn"
            )
    rows = [i for i, language in enumerate(spoken) if chosen in (language, "all")]
    used = table.only([rows[k] for k in sample_ids(len(rows), options.samples, options.seed)]).check()
    what = "requests" if chosen == "all" else f"{chosen} requests"
    card = replace(
        CARD,
        split=options.split or CARD.split,
        sampling=describe_sampling(options.samples, len(rows), options.seed, what),
    )
    parts = (used.column(name) for name in ("instruction_language", "task_type", "key"))
    ids = ["/".join(names) for names in zip(*parts, strict=True)]  # both languages of a request have the same key
    return ListedBenchmark(card, ids, lambda i: (_item(used, i, ids[i]),))


def _item(table: Table, i: int, name: str) -> Item:
    row = table.row(i)
    task, language = row["task_type"], row["instruction_language"]
    if task not in TASKS:
        raise BadData(
            f"{CARD.name}: {table.where}, row {table.number(i)}: task_type {task!r} is none of {', '.join(TASKS)}"
        )
    subsets = [EVERYTHING, f"{language}/full"]
    if row["Intersection_exist"]:
        subsets.append(f"{language}/intersection")
    return Item(
        name,
        row["instruction"],
        (),
        task,
        source=table.needed(i, "input_image"),
        cluster=f"{task}/{row['key']}",  # a request in both languages
        subsets=tuple(subsets),
        facts={"language": language, "intersection": row["Intersection_exist"]},
    )


class GEdit(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "LANGUAGES", "TASKS", "load", "GEdit"]
