"""Safe names of files and folders from arbitrary ids."""

from __future__ import annotations

import hashlib
import re
from dataclasses import field
from typing import Any

from common.errors import BadInput
from common.parts import DEFINES

NAME = "name"  # key of a field's metadata: most characters of a name
LONGEST = 80  # of a name that becomes part of a path; file systems take 255 bytes, and more is added to it
PLAIN = re.compile(r"[\w.+@-]+(?: [\w.+@-]+)*")


def folder_name(sample_id: str) -> str:
    """A file name for a sample: readable, and different for different ids."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", sample_id).strip("._")[:80]
    if plain and plain == sample_id:
        return plain
    return f"{plain or 'sample'}-{hashlib.sha256(sample_id.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def name_field(default: Any, *, longest: int = LONGEST, defines: bool = True) -> Any:
    """A dataclass field of a name that becomes part of a path, or of another service's records. Checked by conf/ranges.py."""
    return field(default=default, metadata={NAME: longest} | ({} if defines else {DEFINES: False}))


def check_name(value: Any, key: str, longest: int = LONGEST) -> None:
    """Raises BadInput for a name that is too long, or that is no plain name: it may become a folder's. Empty and null are left
    to the owner of the key."""
    if not isinstance(value, str) or not value:
        return
    if len(value) > longest:
        raise BadInput(f"{key} has {len(value)} characters; give at most {longest}: {key}={value[:20]}…")
    if not PLAIN.fullmatch(value) or value.startswith("."):
        raise BadInput(f"{key}={value!r} names a folder or a record: use letters, digits, single blanks and . _ - + @")


__all__ = ["LONGEST", "NAME", "check_name", "folder_name", "name_field"]
