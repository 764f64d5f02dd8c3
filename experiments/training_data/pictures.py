"""Pictures that a data set holds, copied as they are into a prepared set's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.labels import TrainingRequest
from common.files import write_bytes
from common.progress import bar

FOLDER = "pictures"
_BEGINNINGS = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"GIF8", ".gif"), (b"RIFF", ".webp"))


def copy_pictures(
    candidates: Sequence[TrainingRequest], fetch: Callable[[Sequence[int]], Iterator[bytes]], out: Path
) -> dict[str, str]:
    """Candidate's id -> its picture's path within `out`. What an earlier process copied is not fetched again; a file is
    there whole or not at all. Raises SaveFailed."""
    folder = out / FOLDER
    existing = {f.stem: f.name for f in folder.glob("*.*") if not f.name.startswith(".")} if folder.is_dir() else {}
    names = {c.id: hashlib.sha256((c.shows or c.id).encode()).hexdigest()[:24] for c in candidates}
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


__all__ = ["FOLDER", "copy_pictures"]
