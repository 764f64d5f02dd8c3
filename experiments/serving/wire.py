"""What every request passes: an id, the limit of its body, a line in the log, and its place in the metrics.

An error that is known before the upload has arrived is only told after the rest of the upload was read and dropped, within bounds:
a connection closed under a client that still sends would take the answer with it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from experiments.serving.metrics import Metrics, plain
from experiments.serving.upload import too_large

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[!-~]{1,128}")
DRAIN_BYTES, DRAIN_S = 256_000_000, 10.0
FORM_BYTES = 1_000_000  # of a body besides its picture
SLOW = 408  # who was too slow is not waited for any longer
GONE = 499  # the client went away; in the log and the metrics alone


class Wire:
    """ASGI. `scope["state"]["request_id"]` is the request's id within; `max_file` bytes are allowed of the picture in the body."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_file: int) -> None:
        self.app, self.metrics, self.max_file = app, metrics, max_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        began, body = time.perf_counter(), Body(scope, receive, self.max_file)
        request_id = _id_of(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        status = GONE

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
                if status != SLOW:
                    await body.drain()
            await send(message)

        self.metrics.began()
        try:
            await self.app(scope, body.receive, answer)
        finally:
            seconds = time.perf_counter() - began
            self.metrics.ended(scope["path"], status, seconds)
            level = logging.INFO if scope["path"].startswith("/v1/") else logging.DEBUG
            logger.log(level, "%s %s %d %.3f s %s", scope["method"], plain(scope["path"]), status, seconds, request_id)


class Body:
    """The body of one request, counted. `receive` raises ApiError (413) where it is larger than a form with a file of `max_file`
    bytes can be."""

    def __init__(self, scope: Scope, receive: Receive, max_file: int) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        self.stated = int(length) if re.fullmatch(r"\d{1,18}", length) else 0
        self.waits = headers.get("expect", "").lower() == "100-continue"  # the client sends when it is told to
        self.whole = not self.stated and "transfer-encoding" not in headers
        self.max_file, self.most, self.got, self._receive = max_file, max_file + FORM_BYTES, 0, receive

    async def receive(self) -> Message:
        if not self.whole and self.stated > self.most:
            raise too_large(self.max_file)
        message = await self._next()
        if self.got > self.most:
            raise too_large(self.max_file)
        return message

    async def drain(self) -> None:
        """Read and drop what the client still sends."""
        if self.whole or (self.waits and not self.got):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self.whole and self.got < DRAIN_BYTES:
                    await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self.got += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.whole = True
        return message


def _id_of(given: str) -> str:
    """The client's own id, where it is a plain one."""
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


__all__ = ["GONE", "Wire"]
