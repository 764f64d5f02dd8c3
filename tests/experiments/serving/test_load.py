"""Under load: many clients at once, bad files and broken connections between them. Every request is answered, every answer is its
own, and nothing is left behind."""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
import struct
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from experiments.serving.arms import Ask, Made
from experiments.serving.batching import Job
from tests.experiments.serving.running import (
    PATIENCE_S,
    Running,
    StampEditor,
    decoded,
    encoded,
    form,
    picture,
    serving,
    stamped,
)

CLIENTS = 32


@pytest.mark.parametrize("requests", [96, pytest.param(500, marks=pytest.mark.slow)])
def test_every_request_gets_its_own_answer_and_nothing_is_left_behind(requests: int) -> None:
    editor = StampEditor()
    with serving(editor, batch_size=8, queue_size=2 * CLIENTS) as running:
        ask(running, 0)  # what is made once is made
        until_idle(running)  # the answer reaches the client a moment before its task ends
        before = left_over(running)
        with ThreadPoolExecutor(CLIENTS) as clients:
            kinds = Counter(clients.map(lambda k: ask(running, k), range(requests)))
        assert kinds.total() == requests and set(kinds) == {"edited", "refused", "broken"}
        assert kinds["edited"] >= requests // 2
        until_idle(running)
        after = left_over(running)
        assert all(after[kind] <= before[kind] for kind in before), f"left over: {after}, before: {before}"
        assert editor.threads == {"models"} and max(map(len, editor.batches)) <= 8
        assert sum(map(len, editor.batches)) >= 1 + kinds["edited"]
        assert max(map(len, editor.batches)) > 1  # what waited was done together


def ask(running: Running, k: int) -> str:
    """One request of a kind that depends on its number, and what came of it; checked here."""
    given, prompt, seed = picture(k, (16 + k % 7, 12)), f"request {k}", k
    data = encoded(given)
    if k % 10 == 7:  # a file that is cut short, or none at all
        status, body, headers = running.post(
            {"prompt": prompt}, {"image": data[: k % 3 * 40]}, {"x-request-id": f"{k}"}
        )
        assert (status, body["error"]["param"], headers["x-request-id"]) == (400, "image", str(k))
        return "refused"
    if k % 10 == 3:
        break_off(running, prompt, data, k)
        return "broken"
    status, body, headers = running.post({"prompt": prompt, "seed": seed}, {"image": data}, {"x-request-id": f"{k}"})
    assert (status, headers["x-request-id"]) == (200, str(k))
    got = decoded(base64.b64decode(body["data"][0]["b64_json"]))
    assert got.tobytes() == stamped(given, prompt, seed).tobytes(), f"the answer to request {k} is another one's"
    return "edited"


def break_off(running: Running, prompt: str, data: bytes, k: int) -> None:
    """Send the head, half of the body or all of it, and end the connection, at times without the usual goodbye."""
    body, kind = form({"prompt": prompt}, {"image": data})
    head = f"POST /v1/images/edits HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    whole = head.encode() + body
    with socket.create_connection(("127.0.0.1", int(running.root.rpartition(":")[2])), timeout=PATIENCE_S) as sock:
        if k % 20 == 3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        sock.sendall(whole[: (len(head) // 2, len(head) + len(body) // 2, len(whole))[k // 10 % 3]])


def until_idle(running: Running) -> None:
    for _ in range(int(PATIENCE_S / 0.02)):
        if not running.service.metrics.under_way() and not running.server.server_state.tasks:
            return
        threading.Event().wait(0.02)
    raise AssertionError("some requests never ended")


def left_over(running: Running) -> dict[str, int]:
    """Pictures, jobs and tasks that somebody still holds."""
    gc.collect()
    kinds = Counter(type(o) for o in gc.get_objects())  # not isinstance, which wakes what libraries load lazily
    held = {kind.__name__: kinds[kind] for kind in (Ask, Made, Job)}
    return {**held, "tasks": kinds[asyncio.Task], "waiting": running.service.batcher.waiting()}
