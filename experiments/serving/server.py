"""The socket, the signals and the order of ending: uvicorn with the ends that this project's commands have."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from common.errors import BadInput

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """The first SIGINT or SIGTERM stops accepting and answers what was accepted; the second one interrupts at once. Uvicorn's own
    way would end the process by the signal, as if it had been killed."""

    should_exit: bool  # uvicorn's own; named here so that types can be checked without the package

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # Python allows handlers there alone
            yield
            return
        before = {s: signal.signal(s, self.handle_exit) for s in SIGNALS}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            raise KeyboardInterrupt("stopped at once; requests in progress got no answer")
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at host and port (0: a free one). Raises BadInput where that is impossible."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        why = error.strerror or error
        raise BadInput(f"cannot listen at {host}, port {port}: {why}; choose another host=… or port=…") from None


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_for(app: Any, stop_s: float) -> Server:
    config = uvicorn.Config(
        app,
        http="h11",  # the strict one
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(stop_s),
        proxy_headers=False,
    )
    return Server(config)


__all__ = ["Server", "address_of", "listen", "server_for"]
