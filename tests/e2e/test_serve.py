"""The server as a process: it says where it listens, ends in order at a signal, and refuses what cannot work in one line."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.third_party import NAME
from tests.e2e.processes import ASSETS
from tests.experiments.serving.running import encoded, fetched, form, picture

ROOT = Path(__file__).parents[2]
LIMIT_S = 900  # of a machine that does much else
SLEEPY = """
import os
import time

class Sleepy:
    '''Gives pictures back as they are, half a second later, and writes as a library may, past Python.'''

    def edit(self, images, instructions, seeds):
        os.write(1, b"[library] from C\\n")
        os.write(2, b"[library] from C\\n")
        time.sleep(0.5)
        return list(images)


class Broken:
    def build(self, tools):
        from common.errors import BadInput

        raise BadInput("these weights are odd")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    whole = [sys.executable, "-m", "experiments.serve", "arms=editor", f"paths.assets={ASSETS}", *words]
    path = os.pathsep.join([str(ROOT), str(folder)])
    return subprocess.Popen(
        whole,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    assert process.stdout is not None
    got: list[str] = []
    for line in process.stdout:
        got.append(line)
        if re.search(wanted, line):
            return got
    raise AssertionError(f"it ended without '{wanted}':\n{''.join(got)}")


@pytest.fixture
def sleepy(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = start(folder, "port=0", "editor._target_=sleepy.Sleepy", "batch_size=1")
    try:
        url = re.findall(r"http://[\d.:]+/v1", "".join(lines_until(process, "listening at")))[0]
        lines_until(process, "^ready after")
        yield process, url
    finally:
        process.kill()
        process.wait(LIMIT_S)


@pytest.mark.slow
def test_sigterm_ends_it_when_what_was_accepted_is_answered(
    sleepy: tuple[subprocess.Popen[str], str], folder: Path
) -> None:
    import urllib.request

    process, url = sleepy
    got: list[int] = []
    body, kind = form({"prompt": "x"}, {"image": encoded(picture())})

    def ask() -> None:
        request = urllib.request.Request(f"{url}/images/edits", body, {"Content-Type": kind})
        got.append(fetched(request)[0])

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    metrics = url.removesuffix("/v1") + "/metrics"
    while "imageedit_queue_length 3.0" not in fetched(urllib.request.Request(metrics))[1]:
        pass
    process.send_signal(signal.SIGTERM)
    text = "".join(lines_until(process, "^stopped"))
    for client in clients:
        client.join(LIMIT_S)
    assert process.wait(LIMIT_S) == 0 and got == [200] * 4
    assert text.count("POST /v1/images/edits 200") == 4 and "Traceback" not in text
    assert "[library]" not in text and (folder / "outputs" / NAME).read_text().count("[library] from C") == 8


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(sleepy: tuple[subprocess.Popen[str], str]) -> None:
    process, url = sleepy
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    body, kind = form({"prompt": "x"}, {"image": encoded(picture())})
    head = f"POST /v1/images/edits HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as stalled:
        stalled.sendall(head.encode() + body[:40])  # the rest never comes
        process.send_signal(signal.SIGINT)
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except TimeoutError:  # the queue of connections is full
                continue
            except ConnectionRefusedError:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    assert process.stdout is not None
    text = process.stdout.read()
    assert "stopped at once" in text and "Traceback" not in text


@pytest.mark.slow
def test_what_cannot_work_exits_2_with_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for words, needle in (
            ([f"port={taken.getsockname()[1]}", "editor=sandbox"], "cannot listen at 127.0.0.1"),
            (["port=0", "editor=sandbox", "key_env=NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE holds no key"),
            (["port=0", "editor=qwen", "editor.checkpoint=nowhere"], "nowhere"),
            (["port=0", "editor._target_=sleepy.Broken"], "error: these weights are odd"),
        ):
            process = start(folder, *words)
            text = process.communicate(timeout=LIMIT_S)[0]
            assert process.returncode == 2 and needle in text and "Traceback" not in text, text
