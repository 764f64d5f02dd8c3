"""Where the rows of a table come from: memory-mapped files, or a stream of which only what is used is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.hub import commit_of, explained
from benchmarks.item import Card
from benchmarks.local import BUILDERS, SHARD, Files, beside
from benchmarks.rows import check_table


class Source(Protocol):
    """One split of a data set; tables of `datasets` come back, pictures in them undecoded."""

    where: str  # the Hub id with split, or the files: for messages
    base: Path | None  # what relative paths of pictures are relative to; None where pictures cannot be paths
    features: Any  # name -> feature
    identity: list[Any]  # names the content for all time: a commit of the Hub, or files with their sizes and times

    def plain(self, columns: Sequence[str]) -> Any:
        """These columns of all rows; none of them holds pictures."""
        ...

    def pictures(self, columns: Sequence[str], rows: Sequence[int]) -> Any:
        """These columns of these rows, in ascending order."""
        ...

    def lost(self, column: str, rows: Sequence[int]) -> tuple[int, str] | None:
        """The first of these rows whose picture is known to be missing, and the path it should be at ("": null); None
        where all are there, or nobody can say before they are fetched."""
        ...


class Mapped:
    """Arrow files read in place."""

    def __init__(self, where: str, base: Path, table: Any, files: Sequence[Path]) -> None:
        self.where, self.table, self.features = where, table, table.features
        self.identity: list[Any] = [
            "mapped",
            stamps_of(f for p in files for f in ([p] if p.is_file() else sorted(p.glob("*")))),
        ]
        self.base: Path | None = base

    def plain(self, columns: Sequence[str]) -> Any:
        return _undecoded(self.table.select_columns(list(columns)))

    def pictures(self, columns: Sequence[str], rows: Sequence[int]) -> Any:
        return _undecoded(self.table.select_columns(list(columns)).select(rows))

    def lost(self, column: str, rows: Sequence[int]) -> tuple[int, str] | None:
        import pyarrow as pa

        cells, base = self.table.data.column(column), self.base
        if base is None or getattr(self.table, "_indices", None) is not None or not pa.types.is_struct(cells.type):
            return None  # rows are elsewhere than in the file; said when the picture is opened
        whole, bytes_, paths = cells.is_null(), _field(cells, "bytes").is_null(), _field(cells, "path")
        for row in rows:
            if whole[row].as_py() or bytes_[row].as_py():
                path = None if whole[row].as_py() else paths[row].as_py()
                if not path or not beside(base, path).is_file():
                    return row, path or ""
        return None


class Streamed:
    """A stream that is read once for text and once for the pictures wanted; both are kept in the cache of `datasets`.

    `opens(columns)` starts the stream anew (None: with all columns); `identity` names its content for all time.
    """

    def __init__(
        self,
        card: Card,
        where: str,
        base: Path | None,
        identity: Sequence[Any],
        opens: Callable[[list[str] | None], Any],
    ) -> None:
        self.card, self.where, self.base, self.identity, self.opens = card, where, base, list(identity), opens
        self.features = self._features()

    def plain(self, columns: Sequence[str]) -> Any:
        return self._kept(list(columns), None)

    def pictures(self, columns: Sequence[str], rows: Sequence[int]) -> Any:
        return self._kept(list(columns), rows)

    def lost(self, column: str, rows: Sequence[int]) -> tuple[int, str] | None:
        from datasets import Value

        if self.base is None or not isinstance(self.features[column], Value):
            return None
        paths = self.plain([column])[column][:]
        if not all(p is None or isinstance(p, str) for p in paths):
            return None
        return next(
            ((r, paths[r] or "") for r in rows if not paths[r] or not beside(self.base, paths[r]).is_file()), None
        )

    def _features(self) -> Any:
        """Kept too, so that a finished download needs no network."""
        from datasets import Features

        described = kept_json(
            self.card, self.where, self._fingerprint("features"), lambda: self._stream_features().to_dict()
        )
        return Features.from_dict(described)

    def _stream_features(self) -> Any:
        stream = self.opens(None)
        return stream.features if stream.features is not None else stream._resolve_features().features

    def _kept(self, columns: list[str], rows: Sequence[int] | None) -> Any:
        from datasets import Dataset, Features, Image

        features = Features({c: _as_stored(self.features[c]) for c in columns})
        # caches of earlier versions hold lists of pictures as decoded ones
        lists = [c for c in columns if features[c] != self.features[c] and not isinstance(self.features[c], Image)]
        with explained(self.card, self.where), nullcontext() if self.base is None else _no_bar():
            return Dataset.from_generator(
                _Once(lambda: self._some(columns, features, rows)),
                features=features,
                fingerprint=self._fingerprint(
                    columns, None if rows is None else list(rows), *([{"encoded": lists}] if lists else [])
                ),
            )

    def _some(self, columns: list[str], features: Any, rows: Sequence[int] | None) -> Iterator[dict[str, Any]]:
        stream = self.opens(columns)
        for name, feature in features.items():
            if feature != self.features[name]:  # pictures, which nobody but common/pictures.py decodes
                stream = stream.cast_column(name, feature)
        chosen = None if rows is None else set(rows)
        last = None if rows is None else max(rows, default=-1)
        for number, row in enumerate(stream):
            if last is not None and number > last:
                return
            if chosen is None or number in chosen:
                yield {c: _carried(row[c]) if self.base is None else row[c] for c in columns}

    def _fingerprint(self, *what: Any) -> str:
        return fingerprint(self.identity, *what)


@contextmanager
def _no_bar() -> Iterator[None]:
    """For what is read at once: one row, or files of this disk."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def fingerprint(*what: Any) -> str:
    """A name for what was read from somewhere."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def kept_json(card: Card, where: str, fingerprint: str, make: Callable[[], Any]) -> Any:
    """What `make` says, kept in the cache of `datasets` under this name; the card and `where` are for errors."""
    from datasets import Dataset, Features, Value

    rows = _Once(lambda: iter([{"json": json.dumps(make())}]))
    with explained(card, where), _no_bar():
        data = Dataset.from_generator(rows, features=Features({"json": Value("string")}), fingerprint=fingerprint)
    return json.loads(data[0]["json"])


class _Once:
    """A generator function for `Dataset.from_generator`, which is named by the fingerprint and so need not be hashed."""

    def __init__(self, starts: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self._starts = starts

    def __call__(self) -> Iterator[dict[str, Any]]:
        return self._starts()


def from_files(card: Card, files: Files) -> Source:
    """A split on this disk. Raises BadData where a file is damaged."""
    import datasets

    where = str(files.files[0]) + (f" and {len(files.files) - 1} more" if len(files.files) > 1 else "")
    if files.builder == "disk":
        with explained(card, where):
            return Mapped(where, files.base, datasets.load_from_disk(str(files.files[0])), files.files)
    if files.builder == "arrow":
        with explained(card, where):
            parts = [datasets.Dataset.from_file(str(f)) for f in files.files]
            return Mapped(where, files.base, datasets.concatenate_datasets(parts), files.files)
    for file in files.files:
        check_table(file)
    names = [str(f) for f in files.files]
    stamps = stamps_of(files.files)
    chosen: dict[str, Any] = {"path": files.builder, "data_files": names, "split": "train"}
    if files.builder == "csv":  # only an empty cell is empty: a request may well say "None" or "NA"
        chosen |= {"keep_default_na": False, "na_values": [""]}
    return Streamed(card, where, files.base, ["files", stamps], partial(_stream, chosen))


def stamps_of(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size and time of change of each file."""
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def from_hub(card: Card, hub: str, config: str, revision: str | None, split: str, files: str = "") -> Source:
    """A split on the Hub, of one commit. `files` says which they are (e.g. data/FreeForm_3-*), so that the library need not
    sort all files of the set into splits, which takes long where there are thousands.

    Raises MissingFile, BadInput, RunFailed as `benchmarks.hub.explained` says.
    """
    commit = commit_of(card, hub, revision)
    chosen: dict[str, Any] = {"path": hub, "name": config or None, "split": split, "revision": commit}
    if files:
        chosen["data_files"] = {split: [files]}
    return Streamed(card, f"{hub} (split {split})", None, ["hub", hub, commit, config, split], partial(_stream, chosen))


def split_names(card: Card, hub: str, commit: str) -> list[str]:
    """The splits of a Hub data set by the names of the parquet files in its data/, sorted."""
    from huggingface_hub import HfApi

    def ask() -> list[str]:
        paths = [Path(f) for f in HfApi().list_repo_files(hub, repo_type="dataset", revision=commit)]
        shards = [SHARD.fullmatch(p.stem) for p in paths if p.suffix == ".parquet" and p.parent == Path("data")]
        return sorted({shard["split"] for shard in shards if shard})

    return list(kept_json(card, hub, fingerprint("splits", hub, commit), ask))


def _field(cells: Any, name: str) -> Any:
    import pyarrow.compute as pc

    return pc.struct_field(cells, name)


def _stream(chosen: dict[str, Any], columns: list[str] | None) -> Any:
    import datasets

    if columns is None:
        return datasets.load_dataset(**chosen, streaming=True)
    if chosen["path"] not in set(BUILDERS.values()) - {
        "parquet"
    }:  # parquet can leave out columns while reading: no byte of other pictures is fetched
        try:
            return datasets.load_dataset(**chosen, streaming=True, columns=columns)
        except (TypeError, ValueError) as error:
            if "columns" not in str(error):
                raise
    return datasets.load_dataset(**chosen, streaming=True).select_columns(columns)


def _as_stored(feature: Any) -> Any:
    """The feature with every picture in it, in lists and in structs too, as its encoded bytes."""
    from datasets import Image, LargeList, List

    if isinstance(feature, Image):
        return Image(decode=False)
    if isinstance(feature, dict):
        return {name: _as_stored(inner) for name, inner in feature.items()}
    if isinstance(feature, list):
        return [_as_stored(inner) for inner in feature]
    if isinstance(feature, List | LargeList):
        return replace(feature, feature=_as_stored(feature.feature))
    return feature


def _undecoded(table: Any) -> Any:
    for name, feature in table.features.items():
        if (stored := _as_stored(feature)) != feature:
            table = table.cast_column(name, stored)
    return table


def _carried(cell: Any) -> Any:
    """A streamed picture, or a list of them, with its bytes, also where the stream only says where they are."""
    if isinstance(cell, list):
        return [_carried(inner) for inner in cell]
    if isinstance(cell, dict) and set(cell) == {"bytes", "path"} and cell["bytes"] is None and cell["path"]:
        import fsspec

        with fsspec.open(cell["path"], "rb") as file:
            return {"bytes": file.read(), "path": None}
    return cell


__all__ = ["Mapped", "Source", "Streamed", "from_files", "from_hub", "split_names"]
