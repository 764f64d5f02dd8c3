"""What an editor behind a paid HTTP interface needs: its key, and disk for its replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.parts import Machine

if TYPE_CHECKING:
    from experiments.build.editors import ServiceEditor

GIB = 2**30
PICTURE_BYTES = 2 * 2**20  # of one reply in the cache


def missing_key(editor: ServiceEditor, machine: Machine) -> Iterator[str]:
    if not machine.has_key(editor.api.key_env):
        yield f"key {editor.api.key_env} in the environment, for editor={editor.name}: {editor.api.key_help}"


def missing_room(editor: ServiceEditor, machine: Machine, calls: int) -> Iterator[str]:
    """What could not be kept would be paid for again."""
    if not editor.api.cache:
        return
    needed, (place, free) = calls * PICTURE_BYTES, machine.free_disk(editor.api.cache)
    if free < needed:
        yield (
            f"disk for the replies of editor={editor.name}: up to {calls} pictures, {needed / GIB:.1f} GiB; {place} has "
            f"{free / GIB:.1f} GiB free; choose another place: editor.api.cache=<folder>"
        )


__all__ = ["missing_key", "missing_room"]
