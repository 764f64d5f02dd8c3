"""The real server on a free port of this machine, with an editor whose every answer can be told from every other one."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("python_multipart")

from experiments.serving.api import Service, create_app  # noqa: E402
from experiments.serving.arms import Arms, EditorArm  # noqa: E402
from experiments.serving.batching import Batcher  # noqa: E402
from experiments.serving.form import Rules  # noqa: E402
from experiments.serving.metrics import Metrics  # noqa: E402
from experiments.serving.server import Server, address_of, listen, server_for  # noqa: E402

PATIENCE_S = 600.0  # only ever reached by a broken test


def stamped(image: Image.Image, prompt: str, seed: int) -> Image.Image:
    """The picture with its colours inverted, and in its first row a hash of everything that was asked."""
    values = 255 - np.asarray(image, dtype=np.uint8)
    mark = hashlib.sha256(f"{prompt}\0{seed}\0".encode() + image.tobytes()).digest()[:30]
    values[0, :10] = np.frombuffer(mark, dtype=np.uint8).reshape(10, 3)
    return Image.fromarray(values)


class StampEditor:
    """`hold` stops it before a batch until the test lets it go. It fails on the prompt "break" and on batches that hold it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.hold = threading.Event()
        self.hold.set()

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        self.batches.append(list(instructions))
        self.threads.add(threading.current_thread().name)
        assert self.hold.wait(PATIENCE_S)
        if "break" in instructions:
            raise ZeroDivisionError("the model broke")
        return [stamped(*one) for one in zip(images, instructions, seeds, strict=True)]


@dataclass
class Running:
    url: str  # with /v1
    service: Service
    server: Server
    thread: threading.Thread

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        return fetched(urllib.request.Request(self.root + path, headers=headers or {}))[:2]

    def post(
        self, fields: dict[str, Any], files: dict[str, bytes], headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        body, kind = form(fields, files)
        request = urllib.request.Request(
            self.url + "/images/edits", body, {"Content-Type": kind, **(headers or {})}, method="POST"
        )
        status, text, got = fetched(request)
        return status, json.loads(text), got

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


def fetched(request: urllib.request.Request) -> tuple[int, str, dict[str, str]]:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return reply.status, reply.read().decode(), {k.lower(): v for k, v in reply.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), {k.lower(): v for k, v in error.headers.items()}


@contextmanager
def serving(editor: Any = None, load: Callable[[], Arms] | None = None, **more: Any) -> Iterator[Running]:
    """`more`: fields of the service, and `batch_size` and `queue_size`; `wait=False`: not until the models are loaded."""
    metrics, wait = Metrics(), more.pop("wait", True)
    arms = load or (lambda: Arms({"editor": EditorArm(editor)}))
    sizes = more.pop("batch_size", 8), more.pop("queue_size", 64)
    batcher = Batcher(arms, *sizes, metrics.batches.observe)
    models = more.pop("models", {"editor": "a test's editor"})
    rules = more.pop("rules", Rules(tuple(models)))
    service = Service(batcher, models, rules, metrics=metrics, **more)
    sock = listen("127.0.0.1", 0)
    server = server_for(create_app(service), PATIENCE_S)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    batcher.start()
    thread.start()
    running = Running(address_of(sock) + "/v1", service, server, thread)
    try:
        assert not wait or batcher.ready.wait(PATIENCE_S)
        yield running
    finally:
        running.stop()
        batcher.close()


def form(fields: dict[str, Any], files: dict[str, bytes]) -> tuple[bytes, str]:
    boundary = "a-boundary-of-tests"
    parts = [(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
    parts += [
        (f'name="{name}"; filename="a.png"\r\nContent-Type: application/octet-stream', data)
        for name, data in files.items()
    ]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
        for head, value in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def picture(seed: int = 0, size: tuple[int, int] = (16, 12)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
