"""Requests to be labelled: PSR's training set, or any folder, Hub data set, CSV or JSONL of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.item import Card
from benchmarks.labels import TrainingRequest
from benchmarks.options import BenchmarkOptions
from benchmarks.rows import read_rows
from benchmarks.sampling import sample_ids
from benchmarks.schema import ANY, PICTURE, TEXT, Column, called, names_in, optional
from benchmarks.tables import Table, open_table
from benchmarks.values import path_in, shown
from common.errors import BadData, BadInput

PSR = Card(
    name="psr",
    title="PSR, the training requests",
    source="PSRDataset/PSR",
    paper="arXiv 2505.16181",
    licence="CC BY-NC-SA 4.0",  # of PSR-328; the training set's own card is to be looked at
    split="train",
    size="82,976 requests from Reddit's r/PhotoshopRequest",
    sampling="all",
    get="https://huggingface.co/datasets/PSRDataset/PSR; a copy goes in as psr.path",
)
REQUESTS = Card(
    name="requests",
    title="one's own requests",
    source="",
    paper="",
    licence="not stated",
    split="",
    size="as many as the file has",
    sampling="all",
    get=(
        "give requests.path=<CSV, TSV, JSONL or parquet, or a folder with one> with the columns id and instruction, and if "
        "wanted simplified_instruction and image (a path relative to the file); or requests.hub=<Hub id>"
    ),
)
# What published copies call them; the first that is there is taken.
COLUMNS: dict[str, Column] = {
    "id": called(ANY, "post_id", "reddit_id"),
    "instruction": called(TEXT, "request"),
    "simplified_instruction": optional(TEXT),
    "image": optional(called(PICTURE, "source_image", "original_image", "input_image")),
}
TEXTS = {"original": "instruction", "simplified": "simplified_instruction"}
EMPTY, OTHER_TEXT = "empty request", "another text under the same id"


@dataclass(frozen=True)
class Read:
    """The result of reading a source: requests in a fixed order, counts of what was left out by reason, and the source's facts."""

    candidates: tuple[TrainingRequest, ...]
    facts: dict[str, Any]  # for the manifest: where, revision, licence, rows
    left_out: Counter[str] = field(default_factory=Counter)
    pictures: Callable[[Sequence[int]], Iterator[bytes]] | None = None  # encoded files of these rows, in order
    identity: str = ""  # changes with the content of the source's pictures
    evaluated: tuple[str, ...] = ()  # texts that came along and are for evaluation alone


def read_requests(card: Card, options: BenchmarkOptions, licence: str = "") -> Read:
    """One candidate per id, sorted by id, so that the order of rows does not matter. Rows of one id are one request; where
    their texts differ the first in alphabetical order is taken and the others are counted.

    options.text: original | simplified. Raises MissingFile, BadInput, BadData naming file and row.
    """
    if options.text and options.text not in TEXTS:
        raise BadInput(f"{card.name}.text={options.text} is unknown; choose {' or '.join(TEXTS)}")
    wanted = TEXTS[options.text or "original"]
    table: Table | None = None
    file = _text_file(options.path)
    if file is not None:
        rows = list(_from_file(card, file, wanted))
        where = str(file)
    else:
        columns = {k: c for k, c in COLUMNS.items() if k in ("id", wanted, "image")}
        columns[wanted] = replace(columns[wanted], required=True)
        table = open_table(card, options, columns)
        rows = list(_from_table(table, wanted, card))
        where = table.where
    left_out: Counter[str] = Counter()
    by_id: dict[str, _Row] = {}
    for row in sorted(rows, key=lambda r: (r.id, r.text, r.number)):
        if not row.text:
            left_out[EMPTY] += 1
        elif row.id not in by_id:
            by_id[row.id] = row
        elif by_id[row.id].text != row.text:
            left_out[OTHER_TEXT] += 1
    requests = list(by_id.values())
    requests = [requests[i] for i in sorted(sample_ids(len(requests), options.samples, options.seed))]
    made = tuple(_candidate(card, row, licence or card.licence, table) for row in requests)
    facts = {"where": where, "text": wanted, "rows": len(rows), "requests": len(by_id), "taken": len(made)}
    pictures, identity = (None, "") if table is None else (_fetcher(table), table.identity)
    return Read(made, facts | _published(options, card), left_out, pictures, identity)


@dataclass(frozen=True)
class _Row:
    number: int
    id: str
    text: str
    picture: str | None = None


def _text_file(path: str | None) -> Path | None:
    """The CSV or JSONL that `path` is or holds alone; these are read line by line, so that an error names the line."""
    if not path:
        return None
    root = Path(path).expanduser()
    listed = [root] if root.is_file() else sorted(f for f in root.glob("*") if f.is_file())
    files = [f for f in listed if f.suffix.lower() in (".csv", ".tsv", ".jsonl")]
    tables = [f for f in listed if f.suffix.lower() in (".parquet", ".arrow", ".json")]
    if len(files) > 1:
        raise BadInput(f"{root} has {len(files)} files of rows ({', '.join(f.name for f in files)}); give one as path")
    return files[0] if files and not tables else None


def _from_file(card: Card, file: Path, wanted: str) -> Iterator[_Row]:
    for line, row in read_rows(file):
        names = names_in(row, COLUMNS)
        lacking = [k for k in ("id", wanted) if k not in names]
        if lacking:
            raise BadData(f"{file}:{line}: no column {lacking[0]!r}; it has {', '.join(row)}. {card.get}")
        id_, text, picture = row[names["id"]], row[names[wanted]], row.get(names.get("image", "image"))
        if id_ is None or isinstance(id_, bool | list | dict) or not str(id_).strip():
            raise BadData(f"{file}:{line}: {names['id']} is {shown(id_)}; every request needs an id of its own")
        if text is not None and not isinstance(text, str):
            raise BadData(f"{file}:{line}: {names[wanted]} should be a text but is {shown(text)}")
        if picture is not None and not isinstance(picture, str):
            raise BadData(f"{file}:{line}: {names['image']} should be a path but is {shown(picture)}")
        where = f"{file}:{line}, column {names.get('image', 'image')!r}"
        path = str((file.parent / path_in(picture, where)).resolve()) if picture else None
        yield _Row(line, str(id_).strip(), (text or "").strip(), path)


def _from_table(table: Table, wanted: str, card: Card) -> Iterator[_Row]:
    for i, (id_, text) in enumerate(zip(table.column("id"), table.column(wanted), strict=True)):
        if id_ is None or isinstance(id_, bool | list | dict) or not str(id_).strip():
            raise BadData(
                f"{card.name}: {table.where}, row {i}: the id is {shown(id_)}; every request needs one of its own"
            )
        yield _Row(i, str(id_).strip(), (text or "").strip())


def _candidate(card: Card, row: _Row, licence: str, table: Table | None) -> TrainingRequest:
    held = row.number if table is not None and table.picture(row.number, "image") is not None else None
    return TrainingRequest(
        f"{card.name}-{row.id}",
        row.text,
        card.name,
        licence,
        kind=card.name,
        picture=row.picture,
        row=held,
        own_id=row.id,
    )


def _fetcher(table: Table) -> Callable[[Sequence[int]], Iterator[bytes]]:
    def fetch(rows: Sequence[int]) -> Iterator[bytes]:
        used = table.only(rows)  # so that pictures of other rows are never fetched
        for i in range(len(rows)):
            yield used.needed(i, "image").encoded()

    return fetch


def _published(options: BenchmarkOptions, card: Card) -> dict[str, Any]:
    hub = "" if options.path else options.hub or card.source
    return {"hub": hub, "revision": options.revision, "split": options.split or card.split, "seed": options.seed}


__all__ = ["COLUMNS", "EMPTY", "OTHER_TEXT", "PSR", "REQUESTS", "Read", "read_requests"]
