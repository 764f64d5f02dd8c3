"""Bytes, ages and spans of time as people write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import BadInput

SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def files_in(path: Path) -> Iterator[os.stat_result]:
    """What the system says of every file under a folder, or of the file itself; links are not followed. What vanishes meanwhile
    is left out."""
    try:
        if path.is_symlink() or not path.is_dir():
            yield path.lstat()
            return
        with os.scandir(path) as entries:
            inside = [Path(entry.path) for entry in entries]
    except OSError:
        return
    for one in inside:
        yield from files_in(one)


def bytes_in(path: Path) -> int:
    """The bytes of all files, those with several names counted once."""
    return sum({(s.st_dev, s.st_ino): s.st_size for s in files_in(path)}.values())


def size_text(n: float) -> str:
    """1.4 GB; units of 1000, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 10 else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def age_text(seconds: float) -> str:
    """12 s, 5 min, 3 h, 2 d."""
    for unit, least, length in (("d", 2 * 86400, 86400), ("h", 2 * 3600, 3600), ("min", 120, 60)):
        if seconds >= least:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def span(text: str, key: str) -> float:
    """Seconds of 30m, 12h, 7d or 2w. Raises BadInput."""
    match = SPAN.fullmatch(text.strip())
    if not match:
        raise BadInput(f"{key}={text} is no span of time; write a number and one of s, m, h, d, w: {key}=7d")
    return float(match[1]) * SPANS[match[2]]


__all__ = ["age_text", "bytes_in", "files_in", "size_text", "span"]
