"""`complex_edit`: Complex-Edit (arXiv 2504.13143), one instruction made of C = 1 ... 8 atomic edits of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.item import EVERYTHING, Benchmark, Card, Item
from benchmarks.listed import ListedBenchmark, one_of
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.schema import ANY, PICTURE
from benchmarks.tables import Table, open_table
from common.errors import BadData, BadInput

COMPLEXITIES = tuple(range(1, 9))
SPLITS = ("test_real", "test_syn")
COLUMNS = {"image": PICTURE, "edit": ANY}

CARD = Card(
    name="complex_edit",
    title="Complex-Edit",
    source="UCSC-VLAA/Complex-Edit",
    paper="arXiv 2504.13143",
    licence="see the data set's card",
    split="test_real",
    size="test_real: 531 photographs; test_syn: made pictures; each with instructions of 1 to 8 atomic edits",
    sampling="all",
    get=(
        "Hub data set UCSC-VLAA/Complex-Edit, read from there; for machines without network save it elsewhere with "
        "`datasets.load_dataset('UCSC-VLAA/Complex-Edit').save_to_disk('<folder>')` and give benchmark.path=<folder>"
    ),
    rubric="complex_edit",
    mean="micro",
    notes=(
        "Reported per complexity C; real and made pictures apart. Means over several C are nobody's published number.",
        "facts['sequence'] is the first C of the record's atomic edits (edit['sequence'][k]['instruction']); empty where a "
        "record has none. That these C are what instruction C joins is how the paper describes it, not checked per record.",
        "The published script pairs results with file names in a wrong order: its scores per picture are scrambled.",
    ),
)


def load(options: BenchmarkOptions) -> Benchmark:
    """One unit per picture and complexity, all complexities of a picture one after the other.

    options.split: test_real | test_syn; options.complexity: which C, empty for 1 to 8; options.samples: units, of which
    each picture has one per C, so that every C is seen on the same pictures.
    facts: complexity, sequence (texts of the atomic edits). Raises BadInput, MissingFile, BadData.
    """
    if wrong := [c for c in options.complexity if c not in COMPLEXITIES]:
        raise BadInput(f"complex_edit: benchmark.complexity has {wrong[0]}; choose from 1 to {COMPLEXITIES[-1]}")
    chosen = tuple(sorted(set(options.complexity))) or COMPLEXITIES
    split = one_of(CARD, "split", options.split, SPLITS)
    table = open_table(CARD, options, COLUMNS, split)
    pictures = None if options.samples is None else -(-options.samples // len(chosen))
    used = table.only(sample_ids(len(table), pictures, options.seed)).check()
    places = [(i, c) for i in range(len(used)) for c in chosen][: options.samples]
    short = split.removeprefix("test_")
    ids = [f"{short}/{used.number(i):04d}/c{c}" for i, c in places]
    each = f"C = {', '.join(map(str, chosen))} of each picture"
    card = replace(
        CARD,
        split=split,
        sampling=f"{each}; of pictures: {describe_sampling(pictures, len(table), options.seed, 'pictures')}",
    )
    return ListedBenchmark(card, ids, lambda n: (_item(used, *places[n], ids[n], short),))


def _item(table: Table, i: int, complexity: int, name: str, kind: str) -> Item:
    edit = table.row(i)["edit"]
    where = f"{CARD.name}: {table.where}, row {table.number(i)}"
    compound = texts(edit, "compound", ("compound_instruction",), where)
    if len(compound) < complexity:
        raise BadData(f"{where}: no instruction of complexity {complexity}; edit['compound'] holds {len(compound)}")
    sequence = texts(edit, "sequence", ("instruction",), where) if edit.get("sequence") else ()
    return Item(
        name,
        compound[complexity - 1],
        (),
        kind,
        source=table.needed(i, "image"),
        cluster=name.rpartition("/")[0],  # a picture's complexities build on each other
        subsets=(EVERYTHING, f"c{complexity}"),
        facts={"complexity": complexity, "sequence": sequence[:complexity]},
    )


def texts(edit: Any, key: str, names: Sequence[str], where: str) -> tuple[str, ...]:
    """The texts in edit[key]: a list of texts, of objects with one of `names`, or (as `datasets` may store it) an object
    of lists. Raises BadData."""
    if not isinstance(edit, Mapping) or key not in edit:
        keys = ", ".join(edit) if isinstance(edit, Mapping) else type(edit).__name__
        raise BadData(f"{where}, column 'edit' has no {key!r} but {keys}. How to get it: {CARD.get}")
    entries = edit[key]
    if isinstance(entries, Mapping):
        entries = next((entries[n] for n in names if n in entries), None)
    if isinstance(entries, list):
        values = [next((e[n] for n in names if n in e), None) if isinstance(e, Mapping) else e for e in entries]
        filled = tuple(text for text in values if isinstance(text, str) and text)
        if len(filled) == len(entries):
            return filled
    raise BadData(f"{where}: edit[{key!r}] should hold texts under {names[0]!r} but holds {str(edit[key])[:120]!r}")


class ComplexEdit(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "COMPLEXITIES", "load", "texts", "ComplexEdit"]
