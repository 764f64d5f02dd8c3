"""`imgedit`: ImgEdit-Bench (arXiv 2505.20275), from the Benchmark folder of its data set and repository.

Three protocols that are never mixed: `basic` (737 edits of nine types), `uge` (47 hard edits, understanding, grounding,
editing) and `multi` (30 sessions of two or three turns in three categories).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.item import EVERYTHING, Benchmark, Card, Item, Opens, Unit
from benchmarks.listed import listed, one_of
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.records import JsonRecord, find_picture, first_file, records, root_of
from benchmarks.sampling import describe_sampling, take
from common.errors import BadData, MissingFile

TYPES = ("replace", "add", "adjust", "remove", "style", "action", "extract", "background", "compose")
ALSO = {"alter": "adjust", "hybrid": "compose"}  # older names of the same types
UGE = "uge"
CATEGORIES = ("content_understand", "content_memory", "version_backtrace")  # folders of multiturn/
PROTOCOLS = ("basic", UGE, "multi")
FILES = {
    "basic": ("basic_edit.json", "Basic/basic_edit.json", "singleturn/basic_edit.json"),
    UGE: ("UGE_edit.json", "UGE/UGE_edit.json", "hard/UGE_edit.json"),
}
PICTURES = {"basic": ("singleturn", "Basic", "."), UGE: ("hard", "UGE", ".")}
_TURN = re.compile(r"turn(\d+)")

CARD = Card(
    name="imgedit",
    title="ImgEdit-Bench",
    source="sysuyy/ImgEdit",
    paper="arXiv 2505.20275",
    licence="not stated for the benchmark's pictures",
    split="basic",
    size="737 single edits of 9 types; UGE: 47; multi-turn: 30 sessions, 88 turns",
    sampling="all",
    get=(
        "pictures: Benchmark.tar of the Hub data set sysuyy/ImgEdit, unpacked; basic_edit.json and UGE_edit.json: "
        "github.com/PKU-YuanGroup/ImgEdit, Benchmark/Basic and Benchmark/UGE, saved in the same Benchmark folder; then "
        "benchmark.path=<that folder>"
    ),
    rubric="imgedit",
    mean="macro",
    notes=(
        "An item's score is the mean of its three scores from 1 to 5; the benchmark's is the mean over types.",
        "The types alter and hybrid of older files are counted as adjust and compose.",
        "The published script labels every picture as PNG and skips replies whose scores it cannot find.",
    ),
)


def load(options: BenchmarkOptions) -> Benchmark:
    """Units of one protocol (options.protocol: basic | uge | multi; basic where empty), in the order of the files.

    facts: edit_type (one of TYPES; "uge" there; the category in multi). Raises MissingFile, BadData, BadInput.
    """
    protocol = one_of(CARD, "protocol", options.protocol, PROTOCOLS)
    root = root_of(CARD, options.path)
    root = root / "Benchmark" if (root / "Benchmark").is_dir() else root
    units = _sessions(root) if protocol == "multi" else _single(root, protocol)
    what = "sessions" if protocol == "multi" else "edits"
    card = replace(
        CARD,
        split=protocol,
        sampling=describe_sampling(options.samples, len(units), options.seed, what),
        **_of_protocol(protocol),
    )
    return listed(card, take(units, options.samples, options.seed))


def _of_protocol(protocol: str) -> dict[str, Any]:
    if protocol == UGE:
        return {"mean": "micro", "notes": ("UGE has one score from 1 to 5 per edit and is no part of the nine types.",)}
    if protocol == "multi":
        note = "The paper has sessions judged by people only; scores by a model are not comparable with it."
        return {"mean": "micro", "rubric": "paper", "notes": (note,)}
    return {}


def _single(root: Path, protocol: str) -> list[Unit]:
    file = first_file(CARD, root, FILES[protocol])
    base = root if root.is_dir() else root.parent
    folders = [file.parent, *(base / name for name in PICTURES[protocol])]
    units: list[Unit] = []
    for key, record in records(file, CARD):
        kind = UGE if protocol == UGE else edit_type(record)
        source = find_picture(record, record.text("id"), folders)
        prompt = record.text("prompt")
        facts = {"edit_type": kind}
        units.append((Item(f"{protocol}/{key}", prompt, (), kind, source=source, facts=facts),))
    return units


def edit_type(record: JsonRecord) -> str:
    """The record's type under its present name."""
    named = record.text("edit_type").strip().lower()
    kind = ALSO.get(named, named)
    if kind not in TYPES:
        raise BadData(f"{CARD.name}: {record.where}: edit_type {named!r} is none of {', '.join(TYPES)}")
    return kind


def _sessions(root: Path) -> list[Unit]:
    """Sessions of every category folder that is there; each has its annotation.json and its pictures."""
    base = next((b for b in (root / "multiturn", root / "Multiturn", root) if _categories(b)), None)
    if base is None:
        expected = ", ".join(f"multiturn/{c}/annotation.json" for c in CATEGORIES)
        raise MissingFile(f"{CARD.name}: {root} holds none of {expected}. How to get it: {CARD.get}")
    units: list[Unit] = []
    for category in _categories(base):
        folder = base / category
        for key, record in records(folder / "annotation.json", CARD):
            source = find_picture(record, record.text("id"), (folder, folder / "images", base, root))
            units.append(_session(f"multi/{category}/{key}", category, _turns(record), source))
    return units


def _categories(base: Path) -> list[str]:
    return [c for c in CATEGORIES if (base / c / "annotation.json").is_file()]


def _turns(record: JsonRecord) -> list[str]:
    numbers = sorted(int(m[1]) for name in record.row if (m := _TURN.fullmatch(name)) and record.text_or_none(name))
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise BadData(f"{CARD.name}: {record.where} should have turn1, turn2, ...; it has {', '.join(record.row)}")
    return [record.text(f"turn{n}") for n in numbers]


def _session(name: str, category: str, requests: Sequence[str], source: Opens) -> Unit:
    return tuple(
        Item(
            f"{name}/{k + 1}",
            text,
            (),
            category,
            tuple(requests[:k]),
            source=source,
            session=name,
            turn=k,
            subsets=(EVERYTHING, category),
            facts={"edit_type": category},
        )
        for k, text in enumerate(requests)
    )


class ImgEdit(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "TYPES", "edit_type", "load", "ImgEdit"]
