"""What an editor behind an HTTP interface needs: its key, disk for its replies, and of a served one that it is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.connections import ExchangeFailed
from common.errors import BadInput
from common.model_list import NoList, listed_models
from common.parts import Machine

if TYPE_CHECKING:
    from experiments.build.editors import ServedEditor, ServiceEditor

GIB = 2**30
PICTURE_BYTES = 2 * 2**20  # of one reply in the cache


def missing_key(editor: ServiceEditor, machine: Machine) -> Iterator[str]:
    if not machine.has_key(editor.api.key_env):
        yield f"key {editor.api.key_env} in the environment, for editor={editor.name}: {editor.api.key_help}"


def missing_room(editor: ServiceEditor, machine: Machine, calls: int) -> Iterator[str]:
    """What could not be kept would be paid for again."""
    yield from no_room(editor.name, editor.api.cache, "editor.api.cache", machine, calls)


def no_room(name: str, cache: str, key: str, machine: Machine, calls: int) -> Iterator[str]:
    """`cache`: the folder of replies, "" for none; `key`: what chooses another one."""
    if not cache:
        return
    needed, (place, free) = calls * PICTURE_BYTES, machine.free_disk(cache)
    if free < needed:
        yield (
            f"disk for the replies of editor={name}: up to {calls} pictures, {needed / GIB:.1f} GiB; {place} has "
            f"{free / GIB:.1f} GiB free; choose another place: {key}=<folder>"
        )


def missing_service(editor: ServedEditor, machine: Machine) -> Iterator[str]:
    """Its address, its key, and one question to the service: whether it is there and has the model."""
    if not editor.base_url:
        yield f"address of the service for editor={editor.name}: editor.base_url=http://<host>:<port>/v1"
        return
    if editor.key_env and not machine.has_key(editor.key_env):
        yield f"key {editor.key_env} in the environment, for editor={editor.name} at {editor.base_url}"
        return
    if not editor.ask_first:
        return
    where = f"the service at {editor.base_url} for editor={editor.name}"
    try:
        known = [str(model["id"]) for model in listed_models(editor.base_url, editor.key_env)]
    except BadInput as error:
        yield f"{where}: {error}"
    except ExchangeFailed as error:
        yield f"{where} cannot be reached: {error}; start it, or give another editor.base_url"
    except NoList as error:
        if error.status in (401, 403):
            given = (
                f"that in {editor.key_env} is not accepted" if editor.key_env else "editor.key_env names its variable"
            )
            yield f"key for {where} in the environment: {given} ({error})"
        else:
            yield (
                f"{where} does not list its models ({error}); the address mostly ends with /v1, and editor.ask_first=false asks no "
                "such question"
            )
    else:
        if editor.model and editor.model not in known:
            yield f"the model {editor.model} at {editor.base_url}: it has {', '.join(known) or 'none'}; choose by editor.model"


__all__ = ["missing_key", "missing_room", "missing_service", "no_room"]
