"""`complex_edit`: Complex-Edit (arXiv 2504.13143), one instruction made of C = 1 ... 8 atomic edits of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.errors import BadData, BadInput
from benchmarks.item import EVERYTHING, Card, Item, Unit
from benchmarks.options import Options
from benchmarks.sampling import sample_ids
from benchmarks.schema import ANY, PICTURE
from benchmarks.tables import Table, open_table

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
    get="Hub data set UCSC-VLAA/Complex-Edit: `hf download UCSC-VLAA/Complex-Edit --repo-type dataset --local-dir <folder>`",
    rubric="complex_edit",
    mean="micro",
    notes=(
        "Reported per complexity C; real and made pictures apart. Means over several C are nobody's published number.",
        "facts['sequence'] is the first C of the record's atomic edits (edit['sequence'][k]['instruction']); empty where a "
        "record has none. That these C are what instruction C joins is how the paper describes it, not checked per record.",
        "The published script pairs results with file names in a wrong order: its scores per picture are scrambled.",
    ),
)


class ComplexEdit:
    """One unit per picture and complexity, all complexities of a picture one after the other.

    options.split: test_real | test_syn; options.complexity: which C, empty for 1 to 8; options.samples: units, of which
    each picture has one per C, so that every C is seen on the same pictures.
    facts: complexity, sequence (texts of the atomic edits). Raises BadInput, MissingFile, BadData.
    """

    def __init__(self, options: Options) -> None:
        wrong = [c for c in options.complexity if c not in COMPLEXITIES]
        if wrong:
            raise BadInput(f"complex_edit has no complexity {wrong[0]}; choose from 1 to {COMPLEXITIES[-1]}")
        self.complexity = tuple(sorted(set(options.complexity))) or COMPLEXITIES
        split = options.split or CARD.split
        if split not in SPLITS:
            raise BadInput(f"complex_edit has no split {split!r}; choose {' or '.join(SPLITS)}")
        table = open_table(CARD, options, COLUMNS, split)
        each = len(self.complexity)
        total = each * len(table)
        pictures = None if options.samples is None else -(-options.samples // each)
        self._table = table.only(sample_ids(len(table), pictures, options.seed))
        self._length = min(total, options.samples or total, each * len(self._table))
        self._name = split.removeprefix("test_")
        self.card = replace(CARD, split=split, sampling=self._said(total, options))

    def __len__(self) -> int:
        return self._length

    def unit(self, i: int) -> Unit:
        if not 0 <= i < self._length:
            raise IndexError(f"complex_edit has {self._length} units, there is none with number {i}")
        row, which = divmod(i, len(self.complexity))
        return (_item(self._table, row, self.complexity[which], self._name),)

    def _said(self, total: int, options: Options) -> str:
        said = f"C = {', '.join(map(str, self.complexity))} of every picture"
        if self._length == total:
            return f"all {total} requests: {said}"
        return (
            f"{self._length} of {total} requests: {said} taken, pictures ranked by SHA-256 of seed {options.seed} and row "
            "number; ids in the results"
        )


def _item(table: Table, i: int, complexity: int, split: str) -> Item:
    edit = table.row(i)["edit"]
    where = f"{CARD.name}: {table.at(i)}"
    compound = texts(edit, "compound", ("compound_instruction",), where)
    if len(compound) < complexity:
        raise BadData(f"{where}: no instruction of complexity {complexity}; edit['compound'] holds {len(compound)}")
    sequence = texts(edit, "sequence", ("instruction",), where) if edit.get("sequence") else ()
    return Item(
        f"{split}/{table.number(i):04d}/c{complexity}",
        compound[complexity - 1],
        (),
        split,
        source=table.needed(i, "image"),
        subsets=(EVERYTHING, f"c{complexity}"),
        facts={"complexity": complexity, "sequence": sequence[:complexity]},
    )


def texts(edit: Any, key: str, names: Sequence[str], where: str) -> tuple[str, ...]:
    """The texts in edit[key]: a list of texts, of objects with one of `names`, or (as `datasets` may store it) an object
    of lists. Raises BadData."""
    if not isinstance(edit, Mapping) or key not in edit:
        there = ", ".join(edit) if isinstance(edit, Mapping) else type(edit).__name__
        raise BadData(f"{where}, column 'edit' has no {key!r} but {there}. How to get it: {CARD.get}")
    entries = edit[key]
    if isinstance(entries, Mapping):
        entries = next((entries[n] for n in names if n in entries), None)
    if isinstance(entries, list):
        found = [next((e[n] for n in names if n in e), None) if isinstance(e, Mapping) else e for e in entries]
        if all(isinstance(text, str) and text for text in found):
            return tuple(found)
    raise BadData(f"{where}: edit[{key!r}] should hold texts under {names[0]!r} but holds {str(edit[key])[:120]!r}")


__all__ = ["CARD", "COMPLEXITIES", "ComplexEdit", "texts"]
