"""The demo as a web service: the page, the pictures of its sessions, and the gate before both; served until a signal."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from common.errors import MissingFile, RunFailed
from common.signals import StopSignal
from common.third_party import where_to_look
from experiments.serving.about import About
from experiments.serving.conversation import Conversation
from experiments.serving.desk import DOWNLOAD
from experiments.serving.limits import MB
from experiments.serving.workshop import Workshop

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LEAVE_S = 1  # seconds that open connections have after a signal


def check_gradio() -> None:
    """Raises MissingFile where the packages of the demo are not installed."""
    if any(find_spec(name) is None for name in ("gradio", "fastapi", "uvicorn")):
        raise MissingFile("the demo needs gradio, fastapi and uvicorn: make extra-apps")


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder of this process for uploads, gone at the end. Gradio, which must not be imported yet, is told of it, and to call
    nobody."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_SSR_MODE="False")
    with tempfile.TemporaryDirectory(prefix="imageedit-demo-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield Path(folder)


def make_app(shop: Workshop, about: About, password: str | None = None, image_size: int = 64) -> ASGIApp:
    """The whole service as an ASGI application. `image_size`: side of the sandbox's scenes, pixels."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    from experiments.serving.gate import Gate
    from experiments.serving.page import STYLE, Page, theme

    def picture(request: Request) -> Response:
        owner, key, name = request.state.browser, request.path_params["key"], request.path_params["name"]
        if (data := shop.png(owner, key, name)) is None:
            return PlainTextResponse("There is no such picture.", 404)
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        if name == DOWNLOAD:
            file = quote(shop.desk(owner, key).file_name)
            headers = {"Cache-Control": "no-store", "Content-Disposition": f"attachment; filename*=UTF-8''{file}"}
        return Response(data, media_type="image/png", headers=headers)

    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, routes=[Route("/pictures/{key}/{name}.png", picture)]
    )
    blocks = Page(Conversation(shop, image_size), about).blocks
    blocks.queue(max_size=256, api_open=False)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=shop.limits.max_bytes,
        ssr_mode=False,
        theme=theme(),
        css_paths=STYLE,
    )
    return Gate(app, password, shop.limits.max_bytes + MB)


class Service:
    """A running server in a thread of its own, so that the main thread hears of signals and is free for them."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        import uvicorn  # of the extra

        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=LEAVE_S, server_header=False, ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, name="server")
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Accept nothing more, give what is being sent a moment, and end."""
        logging.getLogger("uvicorn.error").setLevel(
            logging.CRITICAL
        )  # pages that are open are cut off, which is no error
        self._server.should_exit = True
        self._thread.join()


def serve(app: ASGIApp, listener: socket.socket, shop: Workshop) -> None:
    """Until Ctrl-C or SIGTERM: a turn in progress ends after its current call, and nothing new is begun. Raises RunFailed where the
    server ends by itself."""
    service = Service(app, listener)
    try:
        with StopSignal() as signal:
            while not signal.requested and service.alive:
                time.sleep(0.1)
            shop.stop_all()
    finally:
        service.stop()
        shop.close()
    if not signal.requested:
        raise RunFailed(f"the server ended by itself{where_to_look() or '; the lines above say why'}")


__all__ = ["Service", "check_gradio", "make_app", "own_folder", "serve"]
