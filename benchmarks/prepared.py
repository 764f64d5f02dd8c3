"""`prepared`: the training set that `python -m experiments.prepare` writes, as samples for the decomposer."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.goals import fault
from benchmarks.item import Item
from benchmarks.labels import PARTS, RECORDS, Labelled, read_records
from benchmarks.pictures import PictureFile
from common.errors import BadData, BadInput, MissingFile

SPLITS = (*PARTS, "all")


class PreparedBenchmark(Sequence[Item]):
    """The records of one part, in the file's order, with gold in the words that are trained (labels.training_action).

    The split is by a hash of the session's first request: 80 train, 5 validation, 15 test of 100. `kind` is the
    record's own (cm, cu, psr, ...). Records with an edit that cannot be carried out (`benchmarks.goals`) are left out and
    counted in `left_out`. Pictures are opened when they are needed. Raises MissingFile, BadData, BadInput.
    """

    def __init__(self, path: str | os.PathLike[str] | None, split: str = "train") -> None:
        if split not in SPLITS:
            raise BadInput(f"unknown split {split!r} of prepared; choose one of {', '.join(SPLITS)}")
        self.folder = find_folder(path)
        self.split = split
        self.sizes: Counter[str] = Counter()
        self.left_out = 0
        items: list[Item] = []
        for record in read_records(self.folder):
            if fault(record.gold):
                self.left_out += 1
                continue
            self.sizes[record.part] += 1
            if split in ("all", record.part):
                items.append(_item(record, self.folder))
        self.items = tuple(items)
        if not items:
            sizes = ", ".join(f"{p} {self.sizes[p]}" for p in PARTS)
            unfit = f", {self.left_out} that cannot be carried out" if self.left_out else ""
            raise BadData(f"no record in split {split!r} of {self.folder} ({sizes}{unfit}); prepare a larger set")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # int -> Item, slice -> tuple of them
        return self.items[index]


def find_folder(path: str | os.PathLike[str] | None) -> Path:
    """The folder with records.jsonl; MissingFile says how to make one."""
    how = "`python -m experiments.prepare out=<folder> sources=[…]` makes one"
    if path in (None, ""):
        raise MissingFile(f"benchmark=prepared needs a folder: benchmark.path=<folder>; {how}")
    folder = Path(path).expanduser()  # type: ignore[arg-type]
    if not (folder / RECORDS).is_file():
        raise MissingFile(f"benchmark=prepared: there is no {RECORDS} in {folder}; {how}")
    return folder


def pictures_elsewhere(folder: Path) -> tuple[Path, ...]:
    """Pictures that the records name and that lie outside of the folder, as far as they are there. Lines that are no record
    are left to `read_records`, which refuses them."""
    found: set[Path] = set()
    with (folder / RECORDS).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError, AttributeError, TypeError):
                path = folder / json.loads(line).get("picture")
                if not path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                    found.add(path)
    return tuple(sorted(found))


def _item(record: Labelled, folder: Path) -> Item:
    source = None
    if record.picture is not None:
        source = PictureFile(folder / record.picture, f"{folder / RECORDS}, record {record.id}")
    return Item(record.id, record.request, record.gold, record.kind or record.source, record.history, source=source)


__all__ = ["RECORDS", "SPLITS", "PreparedBenchmark", "find_folder", "pictures_elsewhere"]
