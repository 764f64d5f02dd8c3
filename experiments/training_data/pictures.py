"""Pictures that a data set holds, copied as they are into a prepared set's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.labels import TrainingRequest
from common.files import read_json, write_bytes, write_json
from common.progress import bar

FOLDER = "pictures"
SOURCES = ".sources.json"  # in that folder: of which content of each source the pictures are
_BEGINNINGS = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"GIF8", ".gif"), (b"RIFF", ".webp"))


def copy_pictures(
    candidates: Sequence[TrainingRequest],
    fetch: Callable[[Sequence[int]], Iterator[bytes]],
    out: Path,
    source: str = "",
    identity: str = "",
) -> dict[str, str]:
    """Candidate's id -> its picture's path within `out`. What an earlier process copied is not fetched again, unless the content
    of the source (its `identity`) is another by now: then its pictures are copied anew. A file is there whole or not at all.
    Raises SaveFailed."""
    folder = out / FOLDER
    existing = {f.stem: f.name for f in folder.glob("*.*") if not f.name.startswith(".")} if folder.is_dir() else {}
    names = {c.id: hashlib.sha256((c.shows or c.id).encode()).hexdigest()[:24] for c in candidates}
    if _changed(folder / SOURCES, source, identity):
        for name in set(names.values()) & set(existing):
            (folder / existing.pop(name)).unlink()
        _note(folder / SOURCES, source, identity)
    shown = {names[c.id]: c for c in reversed(candidates)}
    missing = sorted((c for name, c in shown.items() if name not in existing), key=lambda c: c.row or 0)
    with bar("pictures", len(shown), len(shown) - len(missing)) as progress:
        files = fetch([c.row for c in missing if c.row is not None]) if missing else iter(())
        for i, (c, data) in enumerate(zip(missing, files, strict=True)):
            name = names[c.id] + next((end for begin, end in _BEGINNINGS if data.startswith(begin)), ".img")
            remedy = "Free space and give the same command again (pictures=none needs none)"
            write_bytes(folder / name, data, sync=False, remedy=remedy)
            existing[names[c.id]] = name
            progress.update(len(shown) - len(missing) + i + 1)
    return {c.id: f"{FOLDER}/{existing[names[c.id]]}" for c in candidates}


def _changed(path: Path, source: str, identity: str) -> bool:
    return _noted(path).get(source) != identity


def _noted(path: Path) -> dict[str, str]:
    return dict(read_json(path)) if path.is_file() else {}


def _note(path: Path, source: str, identity: str) -> None:
    write_json(path, _noted(path) | {source: identity})


__all__ = ["FOLDER", "copy_pictures"]
