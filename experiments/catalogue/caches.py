"""Cached replies of judges beside runs, in <folder>/cache/judge."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from common.errors import BadInput

PLACE, ENDING = "cache/judge", "*.replies.jsonl"


def old_replies(folders: Sequence[str], older_than: float) -> list[Path]:
    """Files of replies that nobody has added to for `older_than` seconds. Raises BadInput for 0: a judge at work may read those
    that were just written, and a paid one would be asked again."""
    if older_than <= 0:
        raise BadInput("caches=true needs older_than=, such as older_than=30d: replies that are in use are not removed")
    files = [path for folder in folders for path in sorted(Path(folder, PLACE).glob(ENDING))]
    return [path for path in files if time.time() - path.stat().st_mtime >= older_than]


def remove_replies(files: Sequence[Path]) -> list[str]:
    """A line for each file that the system does not let go."""
    refused = []
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            refused.append(f"{path}: {error.strerror or error}")
    return refused


__all__ = ["old_replies", "remove_replies"]
