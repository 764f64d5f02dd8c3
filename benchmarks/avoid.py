"""Evaluation items that must never be trained on: their ids and texts, by the name of the benchmark or from files.

`avoid=[psr:<folder>, realedit, mice:<folder>, mine.csv]`: a benchmark by its name, with the path of its data where it does
not come from the Hub; or a file: CSV, TSV, JSONL with any of the columns below, or .txt with one text in a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import catalogue
from benchmarks.labels import TrainingRequest
from benchmarks.mice_records import find_folder, part_of, published_test, read_records, without_rule
from benchmarks.near import NearIndex
from benchmarks.rows import read_rows
from common.errors import BadData, MissingFile

# Everything a published row may say, also what the evaluation itself does not use (PSR's simplified wording, ...).
COLUMNS = ("instruction", "simplified_instruction", "request", "prompt", "edit_prompt", "compound_instruction", "text")
IDS = ("id", "post_id", "reddit_id", "key", "idx")
# A benchmark's variants all of whose wordings are avoided; options as in benchmarks/options.py.
VARIANTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "psr": ({"text": "original"}, {"text": "simplified"}),
    "complex_edit": ({"split": "test_real"}, {"split": "test_syn"}),
    "imgedit": ({"protocol": "basic"}, {"protocol": "uge"}, {"protocol": "multi"}),
}
MICE = ("mice", "mice_text")
_ROW_NUMBER = re.compile(r"\d{1,6}")  # an id that only counts rows means nothing in another file


@dataclass(frozen=True)
class Avoided:
    """One evaluation set. `ids` are compared within the source of the same name, those of a file with every source."""

    name: str
    texts: tuple[str, ...]
    ids: frozenset[str]
    anywhere: bool = False
    missing: tuple[str, ...] = ()  # parts of it that are not there, and how to get them


@dataclass(frozen=True)
class Dropped:
    """A request that is not trained on, and why: the evaluation set, its text (or id), and how near (1.0 for an id)."""

    id: str
    request: str
    by: str  # "id" | "text"
    of: str
    near_to: str
    similarity: float


def load_avoided(entry: str, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> Avoided:
    """The evaluation set that an entry of `avoid` names. `defaults`: options of benchmarks of which only a sample is
    evaluated. Raises BadInput, MissingFile, BadData."""
    name, colon, path = entry.partition(":")
    if name in MICE:
        return _mice(name, path)
    if name in catalogue.NAMES and (colon or not Path(entry).exists()):
        return _benchmark(name, dict((defaults or {}).get(name, {})) | ({"path": path} if path else {}))
    return _from_file(Path(entry).expanduser())


def _benchmark(name: str, options: dict[str, Any]) -> Avoided:
    texts: set[str] = set()
    ids: set[str] = set()
    absent: list[MissingFile] = []
    variants = VARIANTS.get(name, ({},))
    for variant in variants:
        try:
            bench = catalogue.load(name, **(options | dict(variant)))
        except MissingFile as error:  # a copy may hold one split alone
            absent.append(error)
            continue
        for item in (i for u in range(len(bench)) for i in bench.unit(u)):
            texts |= set(prompts((*item.history, item.request))[-1:])
            texts |= set(prompts((item.request,)))  # a session's turn is an evaluation item by itself too
            ids.add(item.id)
    if len(absent) == len(variants):
        raise absent[0]
    return Avoided(name, tuple(sorted(texts)), frozenset(ids), missing=tuple(str(e) for e in absent))


def _mice(name: str, path: str) -> Avoided:
    """Every turn that `benchmark=mice_text` tests on, with gold or without, and all of files named "test"."""
    records = read_records(find_folder(path or None))
    published = published_test(records)
    texts: set[str] = set()
    ids: set[str] = set()
    for record in records:
        if record.key in published or "test" in record.stem.lower() or part_of(record.key) == "test":
            texts |= set(prompts(record.instruction))
            ids |= {f"{record.id}-{k + 1}" for k in range(len(record.instruction))}
    return Avoided(name, tuple(sorted(texts)), frozenset(ids))


def prompts(turns: Sequence[str]) -> list[str]:
    """What is read at each turn of a session: that turn after those before it, without a lasting rule."""
    plain = [without_rule(turn) for turn in turns]
    return [whole for k in range(len(plain)) if (whole := " ".join(plain[: k + 1]).strip())]


def _from_file(file: Path) -> Avoided:
    if not file.is_file():
        raise MissingFile(
            f"avoid: there is no file {file}, and no benchmark of that name; give <name>:<folder> with one of "
            f"{', '.join((*catalogue.NAMES, *MICE))}, or a CSV, TSV, JSONL or TXT file"
        )
    if file.suffix.lower() == ".txt":
        lines = {line.strip() for line in file.read_text(encoding="utf-8-sig").split("\n")}
        return Avoided(str(file), tuple(sorted(lines - {""})), frozenset(), True)
    texts: set[str] = set()
    ids: set[str] = set()
    for line, row in read_rows(file):
        names = [c for c in COLUMNS if c in row]
        if not names:
            raise BadData(
                f"{file}:{line}: no column of requests; it has {', '.join(row)}, none of {', '.join(COLUMNS)}"
            )
        for name in names:
            texts |= set(_prompts(row[name], f"{file}:{line}: {name}"))
        ids |= {str(row[c]).strip() for c in IDS if isinstance(row.get(c), str | int)}
    return Avoided(str(file), tuple(sorted(texts)), frozenset(i for i in ids if not _ROW_NUMBER.fullmatch(i)), True)


def _prompts(value: Any, where: str) -> list[str]:
    """The prompts of a cell: a text, or a session's turns."""
    turns = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(turns, list) or not all(isinstance(t, str) for t in turns):
        raise BadData(f"{where} should be a text or a list of texts but is {value!r:.80}")
    return prompts(turns)


def drop(
    candidates: Sequence[TrainingRequest], avoided: Sequence[Avoided], threshold: float
) -> tuple[list[TrainingRequest], list[Dropped]]:
    """(what may be trained on, what may not and why). The order of the candidates is kept; nothing depends on it."""
    dropped: dict[str, Dropped] = {}
    for one in avoided:
        for c in candidates:
            ids = {c.id, c.own_id} & one.ids if one.anywhere or _same(one.name, c.source) else set()
            if ids:
                dropped.setdefault(c.id, Dropped(c.id, c.request, "id", one.name, min(ids), 1.0))
    texts = [(text, one.name) for one in avoided for text in one.texts]
    dropped |= {d.id: d for d in _near([c for c in candidates if c.id not in dropped], texts, threshold)}
    return [c for c in candidates if c.id not in dropped], [dropped[c.id] for c in candidates if c.id in dropped]


def drop_near_held_out(
    candidates: Sequence[TrainingRequest], threshold: float
) -> tuple[list[TrainingRequest], list[Dropped]]:
    """Training requests that are too near to one of this set's own validation or test part go, so that those parts
    measure what they seem to. The held-out requests all stay."""
    held = sorted({(c.texts[0], f"this set's {c.part} part") for c in candidates if c.part != "train"})
    dropped = {d.id: d for d in _near([c for c in candidates if c.part == "train"], held, threshold)}
    return [c for c in candidates if c.id not in dropped], [dropped[c.id] for c in candidates if c.id in dropped]


def _near(
    candidates: Sequence[TrainingRequest], texts: Sequence[tuple[str, str]], threshold: float
) -> Iterator[Dropped]:
    index = NearIndex([t for t, _ in texts], threshold)
    flat = [(c, text) for c in candidates for text in c.texts]
    best: dict[str, Dropped] = {}
    for (c, _), near in zip(flat, index.nearest([text for _, text in flat]), strict=True):
        if near is not None and (c.id not in best or near.similarity > best[c.id].similarity):
            text, name = texts[near.index]
            best[c.id] = Dropped(c.id, c.request, "text", name, text, round(near.similarity, 4))
    yield from best.values()


def _same(name: str, source: str) -> bool:
    return name == source or {name, source} <= set(MICE)


__all__ = ["Avoided", "Dropped", "drop", "drop_near_held_out", "load_avoided", "prompts"]
