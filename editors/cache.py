"""A cache of paid results on disk, under the hash of everything that determines them.

An entry is one file: a line with the SHA-256 of the rest, a line of JSON (`meta`), then raw bytes (`blob`). So
`tail -n +3 <entry> > picture.png` extracts a picture.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.atomic import atomic_file
from common.errors import SaveFailed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    meta: dict[str, Any]
    blob: bytes = field(default=b"", repr=False)


def content_key(**parts: Any) -> str:
    """SHA-256 (hex) of named parts: JSON values, and bytes by their own hash. The order of the names does not matter."""
    plain = {k: {"sha256": hashlib.sha256(v).hexdigest()} if isinstance(v, bytes) else v for k, v in parts.items()}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class DiskCache:
    """Entries in `folder`, safe for many threads and processes: an entry appears whole or not at all."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def get(self, key: str) -> Entry | None:
        """The entry, or None where it is absent or damaged; the next `put` replaces a damaged one, which a warning reports."""
        path = self.path(key)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("the cache entry %s cannot be read (%s); it counts as absent", path, error.strerror or error)
            return None
        checksum, _, rest = raw.partition(b"\n")
        head, _, blob = rest.partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() == checksum:
            try:
                meta = json.loads(head)
            except ValueError:
                meta = None
            if isinstance(meta, dict):
                return Entry(meta, blob)
        logger.warning("the cache entry %s is damaged; it counts as absent and will be written anew", path)
        return None

    def put(self, key: str, entry: Entry) -> None:
        """Write an entry, replacing an older one. Raises SaveFailed where that is impossible."""
        path = self.path(key)
        rest = json.dumps(entry.meta, ensure_ascii=True, allow_nan=False).encode() + b"\n" + entry.blob
        remedy = "Older entries are intact. Free space, mend the permissions or choose another cache folder"
        with atomic_file(path, shared=True, remedy=remedy) as file:
            file.write(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)

    def check_writable(self) -> None:
        """Raise SaveFailed where entries cannot be written, so that this is known before a service is paid."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", suffix=".part"):
                pass
        except OSError as error:
            raise SaveFailed(
                f"the cache folder {self.folder} cannot be written: {error.strerror or error}; mend its permissions, "
                "free space or choose another cache folder"
            ) from error


__all__ = ["DiskCache", "Entry", "content_key"]
