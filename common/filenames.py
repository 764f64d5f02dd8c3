"""Safe names of files and folders from arbitrary ids."""

from __future__ import annotations

import hashlib
import re


def folder_name(sample_id: str) -> str:
    """A file name for a sample: readable, and different for different ids."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", sample_id).strip("._")[:80]
    if plain and plain == sample_id:
        return plain
    return f"{plain or 'sample'}-{hashlib.sha256(sample_id.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


__all__ = ["folder_name"]
