"""Waiting for pictures: until they are there, the client has gone, or their turn has not come in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from starlette.requests import ClientDisconnect, Request

from common.errors import BadInput, ImageEditError
from experiments.serving.arms import ContentRefused, Made
from experiments.serving.errors import ApiError

RETRY_S = 5  # after which a client may try again


async def results(request: Request, futures: Sequence[Future[Made | Exception]], max_wait_s: float) -> list[Made]:
    """What the futures hold, in order. Whatever ends the wait, work whose turn has not come is not done any more.

    Raises ApiError for what went wrong, and ClientDisconnect where the client goes away.
    """
    done = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    gone = asyncio.create_task(_until_gone(request))
    ends: set[asyncio.Future[Any]] = {done, gone}
    try:
        await asyncio.wait(ends, timeout=max_wait_s, return_when=asyncio.FIRST_COMPLETED)
        if not done.done() and not gone.done():
            if any([future.cancel() for future in futures]):
                raise ApiError(
                    503,
                    f"its turn did not come within {max_wait_s:g} s; try again later",
                    code="timeout",
                    retry_s=RETRY_S,
                )
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)  # it is being made
        if not done.done():
            raise ClientDisconnect
        return [_made(result) for result in done.result()]
    finally:
        for future in futures:
            future.cancel()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _made(result: Made | BaseException) -> Made:
    if isinstance(result, Made):
        return result
    if isinstance(result, ContentRefused):
        raise ApiError(400, str(result), code="moderation_blocked")
    if isinstance(result, BadInput):
        raise ApiError(400, str(result))
    if isinstance(result, ImageEditError):
        raise ApiError(502, str(result), code="edit_failed")
    raise ApiError(500, "the edit failed by a fault of the server; its log says more", code="internal_error")


__all__ = ["RETRY_S", "results"]
