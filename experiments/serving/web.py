"""The demo as a web service: the page, the pictures of its sessions, and the gate before both; served until a signal."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import quote

from common.errors import BadInput, MissingFile
from experiments.serving.about import About
from experiments.serving.conversation import Conversation
from experiments.serving.desk import DOWNLOAD
from experiments.serving.limits import MB
from experiments.serving.workshop import Workshop

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LEAVE_S = 3  # seconds that open connections have after a signal


@dataclass(frozen=True)
class Address:
    """Where the page is. Port 0 is any free one."""

    host: str
    port: int

    def listen(self) -> socket.socket:
        """Raises BadInput where nobody can listen there."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            raise BadInput(
                f"host={self.host} port={self.port} cannot be used ({reason}); give another port=, or port=0 for any free one"
            ) from None
        return listener


def check_gradio() -> None:
    """Raises MissingFile where the packages of the demo are not installed."""
    from importlib.util import find_spec

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
    from fastapi import FastAPI, Request, Response

    from experiments.serving.gate import Gate
    from experiments.serving.page import STYLE, Page, theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/pictures/{key}/{name}.png")
    def picture(request: Request, key: str, name: str) -> Response:
        owner = request.state.browser
        if (data := shop.png(owner, key, name)) is None:
            return Response("There is no such picture.", 404, media_type="text/plain")
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        if name == DOWNLOAD:
            file = quote(shop.desk(owner, key).file_name)
            headers = {"Cache-Control": "no-store", "Content-Disposition": f"attachment; filename*=UTF-8''{file}"}
        return Response(data, media_type="image/png", headers=headers)

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


def serve(app: ASGIApp, listener: socket.socket, shop: Workshop) -> None:
    """Until Ctrl-C or SIGTERM: a turn in progress ends after its current call, and the process ends."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if not self.should_exit:
                print("\nstopping", file=sys.stderr)
                shop.stop_all()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=LEAVE_S,
        server_header=False,
        ws="none",
    )
    Server(config).run(sockets=[listener])


__all__ = ["Address", "check_gradio", "make_app", "own_folder", "serve"]
