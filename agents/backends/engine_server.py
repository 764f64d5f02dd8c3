"""A rollout engine as a process of its own: `python -m agents.backends.engine_server <socket>`; `remote.py` is its owner.

Messages are length-prefixed pickles over a socket that only owner and engine share. The process ends when its owner does, which
it sees from the closed socket. It ignores SIGINT and SIGTERM, which schedulers send to every process of a job: the owner decides.
"""

from __future__ import annotations

import pickle
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import ImageEditError

HEAD = struct.Struct("!Q")


class Gone(Exception):
    """The other side closed the socket."""


def send(connection: socket.socket, message: Any) -> None:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    connection.sendall(HEAD.pack(len(body)) + body)


def receive(connection: socket.socket) -> Any:
    """The next message. Raises Gone at the end, TimeoutError where the socket has a limit."""
    (size,) = HEAD.unpack(_exactly(connection, HEAD.size))
    return pickle.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        piece = connection.recv(min(size - len(parts), 1 << 20))
        if not piece:
            raise Gone
        parts += piece
    return bytes(parts)


def stored(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Parameters from the numbered safetensors files of a folder, one file in memory at a time."""
    from safetensors.torch import load_file

    for path in sorted(folder.glob("*.safetensors")):
        yield from load_file(path).items()


def serve(connection: socket.socket) -> None:
    """Answer until the owner goes. ("ok", value) or ("error", kind, text); what is no error of ours ends the process."""
    from agents.backends.vllm_engine import VLLMEngine

    engine: VLLMEngine | None = None
    while True:
        try:
            what, *rest = receive(connection)
        except Gone:
            return
        value: Any = None
        try:
            if what == "start":
                settings, threads = rest
                torch.set_num_threads(threads)
                engine = VLLMEngine(settings)
            elif engine is None:
                raise RuntimeError(f"{what} before start")
            elif what == "sync":
                value = engine.sync(stored(Path(rest[0])))
            elif what == "generate":
                value = engine.generate(*rest)
            elif what == "token_scores":
                value = engine.token_scores(*rest)
            elif what == "drop_adapters":
                engine.drop_adapters()
            elif what == "sleep":
                engine.sleep()
            else:
                raise RuntimeError(f"no such message: {what}")
        except ImageEditError as e:
            send(connection, ("error", type(e).__name__, str(e)))
        else:
            send(connection, ("ok", value))


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))


__all__ = ["Gone", "receive", "send", "serve", "stored"]
