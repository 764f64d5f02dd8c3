"""What stands between the network and the page: a password, a name for each browser, and only the paths that the page needs.

Gradio serves files by their path on this machine, passes requests on to other hosts, and offers every function as an API. None of
it is needed here, so nothing of it is reachable. The headers forbid the browser, too, to load anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "imageedit_browser"
PAGE = {"/", "/config", "/config/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"}
API = {
    "queue/join",
    "queue/data",
    "upload",
    "upload_progress",
    "startup-events",
    "app_id",
    "info",
    "reset",
    "theme.css",
}
FOLDERS = ("/assets/", "/static/", "/svelte/", "/pictures/", "/gradio_api/heartbeat/")
PAUSE_S = 0.5  # after a wrong password
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Gate:
    """ASGI. The browser's name, a random cookie, is `scope["state"]["browser"]` within. `max_bytes`: of one request's body."""

    def __init__(self, app: ASGIApp, password: str | None, max_bytes: int) -> None:
        self.app, self.password, self.max_bytes = app, password, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # the page uses no web sockets
            return await send({"type": "websocket.close", "code": 1008})
        headers = Headers(scope=scope)
        if self.password is not None and not knows(headers.get("authorization", ""), self.password):
            await asyncio.sleep(PAUSE_S if "authorization" in headers else 0)
            challenge = {"WWW-Authenticate": 'Basic realm="image editing, any user name", charset="UTF-8"'}
            return await PlainTextResponse("A password is needed.", 401, challenge)(scope, receive, send)
        if not is_open(scope["path"]):
            return await PlainTextResponse("There is no such page.", 404)(scope, receive, send)
        length = headers.get("content-length")
        if scope["method"] not in ("GET", "HEAD") and (length is None or not length.isdigit()):
            return await PlainTextResponse("The request must say how long it is.", 411)(scope, receive, send)
        if length is not None and length.isdigit() and int(length) > self.max_bytes:
            return await PlainTextResponse("The file is too large.", 413)(scope, receive, send)
        name = browser_of(headers.get("cookie", ""))
        new = name is None
        name = name or secrets.token_urlsafe(24)
        scope.setdefault("state", {})["browser"] = name

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for key, value in HEADERS.items():
                    given[key] = value
                if new and scope["path"] == "/":
                    given.append("Set-Cookie", f"{COOKIE}={name}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        await self.app(scope, receive, answer)


def is_open(path: str) -> bool:
    """Whether the page needs this path."""
    if path in PAGE or path.removeprefix("/gradio_api/") in API and path.startswith("/gradio_api/"):
        return True
    return path.startswith(FOLDERS) and ".." not in path.split("/")


def knows(authorization: str, password: str) -> bool:
    """Whether a header of HTTP's basic authentication has the password, with any user name."""
    scheme, _, packed = authorization.partition(" ")
    try:
        said = base64.b64decode(packed, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(said, password.encode())


def browser_of(cookies: str) -> str | None:
    """The name that the browser was given; None where it has none yet."""
    try:
        morsel = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and 32 <= len(morsel.value) <= 64 else None


__all__ = ["COOKIE", "Gate", "browser_of", "is_open", "knows"]
