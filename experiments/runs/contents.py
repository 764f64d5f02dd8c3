"""What a part's files hold, for a run's identity and for the claims of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from common.contents import digest
from common.errors import MissingFile
from common.parts import DEFINES, Content
from conf.parts import part_values
from editors.checkpoint import HUB_ID, find_folder


def contents_of(part: Any) -> list[Content]:
    """What a part and the parts within it declare."""
    if not hasattr(part, "contents"):
        return []
    inner = [getattr(part, f.name) for f in fields(part)] if is_dataclass(part) else []
    return [*part.contents(), *(content for value in inner for content in contents_of(value))]


def digest_of(content: Content, download: bool = False) -> str:
    """A digest of the files, or the name where nothing of that name can be read here. `download`: fetch them first, where
    that is allowed."""
    place = place_of(content, download)
    return str(content.folder) if place is None else digest(place, content.patterns, content.also)


def place_of(content: Content, download: bool = False) -> Path | None:
    """The file or folder: at its path, or by its Hub id in the local cache."""
    path = Path(content.folder).expanduser()
    if path.exists():
        return path
    if not HUB_ID.fullmatch(str(content.folder)) or (content.fetched and not download):
        return None
    one_file = content.patterns[0] if len(content.patterns) == 1 and "*" not in content.patterns[0] else None
    with suppress(MissingFile):
        return find_folder(str(content.folder), content.fetched and download, one_file)
    return None


def values_with_content(part: Any) -> dict[str, Any]:
    """What of a part defines a result, with digests of the files that it declares."""
    digests = [digest_of(c) for c in contents_of(part)]
    return part_values(part, defining=True) | ({"content": digests} if digests else {})


def known_by_name(part: Any) -> Iterator[str]:
    """One line for everything that counts by its name alone: other bytes under that name would be the same run."""
    declared = [Path(c.folder).expanduser() for c in contents_of(part)]
    for content in contents_of(part):
        if place_of(content) is None:
            yield f"{content.folder} is told apart by its name alone, since its files may still be fetched or are not here"
    if is_dataclass(part):
        for f in fields(part):
            value = getattr(part, f.name)
            if f.metadata.get(DEFINES) is False or not isinstance(value, str | Path) or "/" not in str(value):
                continue
            path = Path(value).expanduser()
            if path.exists() and not any(path == d or path.is_relative_to(d) for d in declared):
                yield f"{path}, which {f.name} names, is told apart by its name alone; its class can declare it by contents()"


__all__ = ["contents_of", "digest_of", "known_by_name", "place_of", "values_with_content"]
