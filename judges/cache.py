"""A cache of model replies on disk, under the hash of everything that determines a reply.

One append-only file per process, so that shards may share a folder; a line per reply, JSON with its own checksum. Memory
holds the position of each reply, never its text. Nothing is synced to the disk entry by entry: a crash of the
machine may cost the last seconds, a killed process at most the line it was writing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import SaveFailed

logger = logging.getLogger(__name__)

SUFFIX = ".replies.jsonl"
KEY_BYTES = 16
HEAD = b'{"key": "%s", "crc32": "%08x", "reply": '  # then the reply as JSON, then TAIL
TAIL = b"}\n"
KEY, CRC, REPLY = slice(9, 41), slice(54, 62), slice(74, -len(TAIL))  # of a line
OPEN = 64  # files mapped at a time; a cache of a thousand shards must not use up the file handles
_JSON = json.JSONEncoder(ensure_ascii=True, allow_nan=False)  # made once: `json.dumps` makes one per call
_LENGTH, _OFFSET = 32, 44  # bits in which an entry's place is packed


def new_key() -> hashlib.blake2b:
    """A hash object; what is fed to it determines the reply. `.digest()` is the key."""
    return hashlib.blake2b(digest_size=KEY_BYTES)


class ReplyCache:
    """Replies in `folder`, safe for many threads and processes. What other processes write is seen by the next start."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._places: dict[bytes, int] = {}  # file number, offset and length in one integer: little memory per entry
        self._files = sorted(self.folder.glob(f"*{SUFFIX}"))  # names begin with their time: the newest entry counts
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()
        self._own: tuple[int, int] | None = None  # number and descriptor of the file that this process writes
        self._end = 0
        for number, path in enumerate(self._files):
            self._read_places(number, path)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: bytes) -> dict[str, Any] | None:
        """The reply, or None where there is none or it is damaged (said in a warning; the next `put` mends it)."""
        place = self._places.get(key)
        if place is None:
            return None
        number, offset, length = place >> _LENGTH + _OFFSET, place >> _LENGTH & (1 << _OFFSET) - 1, place & 0xFFFFFFFF
        try:
            with self._lock:
                line = self._line(number, offset, length)
            body = line[REPLY]
            if line[KEY] == key.hex().encode() and line[CRC] == b"%08x" % zlib.crc32(body):
                return json.loads(body.decode("ascii"))
            problem = "damaged"
        except OSError as error:
            problem = f"unreadable ({error.strerror or error})"
        logger.warning(
            "a reply in %s is %s; it counts as absent and will be asked for anew", self._files[number], problem
        )
        return None

    def put(self, key: bytes, reply: Mapping[str, Any]) -> None:
        """Add a reply; the last one under a key counts. Raises SaveFailed where the disk refuses."""
        body = _JSON.encode(reply).encode()
        line = HEAD % (key.hex().encode(), zlib.crc32(body)) + body + TAIL
        with self._lock:
            try:
                number, file = self._own or self._start()
                written = os.write(file, line)
                if written != len(line):
                    os.ftruncate(file, self._end)
                    raise OSError(28, "no space left on the device")
            except OSError as error:
                raise SaveFailed(
                    f"could not keep a reply in {self.folder}: {error.strerror or error}; those kept before are intact. "
                    "Free space, mend the permissions or choose another cache folder"
                ) from error
            self._places[key] = number << _LENGTH + _OFFSET | self._end << _LENGTH | len(line)
            self._end += len(line)

    def check_writable(self) -> None:
        """Raises SaveFailed where replies cannot be kept: better said before a service is paid than after."""
        if self._own is not None:
            return
        with self._lock:
            try:
                if self._own is None:
                    self._start()
            except OSError as error:
                raise SaveFailed(
                    f"the cache folder {self.folder} cannot be written: {error.strerror or error}; mend its permissions, "
                    "free space or choose another cache folder"
                ) from error

    def replies(self) -> Iterator[dict[str, Any]]:
        """Every reply that counts, in no order: to add up again what was used, or to look at."""
        for key in list(self._places):
            if (reply := self.get(key)) is not None:
                yield reply

    def close(self) -> None:
        """Close all files; the cache stays usable and goes on in a new one."""
        with self._lock:
            for held in self._maps.values():
                held.close()
            self._maps.clear()
            if self._own is not None:
                os.close(self._own[1])
                self._own = None

    def _start(self) -> tuple[int, int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        file = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        self._files.append(self.folder / name)
        self._own, self._end = (len(self._files) - 1, file), 0
        return self._own

    def _line(self, number: int, offset: int, length: int) -> bytes:
        if self._own is not None and number == self._own[0]:
            return os.pread(self._own[1], length, offset)
        held = self._maps.get(number)
        if held is None:
            with self._files[number].open("rb") as file:
                held = self._maps[number] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if len(self._maps) > OPEN:
                self._maps.popitem(last=False)[1].close()
        return held[offset : offset + length]

    def _read_places(self, number: int, path: Path) -> None:
        offset, damaged = 0, 0
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(TAIL) and line.startswith(HEAD[:9]) and len(line) > REPLY.start:
                        try:
                            self._places[bytes.fromhex(line[KEY].decode())] = (
                                number << _LENGTH + _OFFSET | offset << _LENGTH | len(line)
                            )
                        except ValueError:
                            damaged += 1
                    elif line.endswith(b"\n"):
                        damaged += 1
                    else:
                        logger.warning(
                            "%s ends in half a line, as a killed process leaves it; that reply is lost", path
                        )
                    offset += len(line)
        except OSError as error:
            logger.warning("%s cannot be read (%s); its replies count as absent", path, error.strerror or error)
        if damaged:
            logger.warning("%d lines of %s are damaged; their replies count as absent", damaged, path)


__all__ = ["ReplyCache", "new_key"]
