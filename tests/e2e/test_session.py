"""A session in a real process with real models: from a pipe, at a terminal, and killed."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.editing.store import Store
from tests.e2e.processes import ASSETS

ROOT = Path(__file__).parents[2]
LIMIT_S = 900  # of a machine that does much else

pytestmark = pytest.mark.slow


def words(model: Path, *more: str) -> list[str]:
    return [
        *(
            sys.executable,
            "-m",
            "experiments.session",
            "out=s",
            f"paths.assets={ASSETS}",
            f"decomposer.checkpoint={model}",
        ),
        *("decomposer.max_new_tokens=8", "engine.threads=1", "allow_tiny=true", *more),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm", "PYTHONUNBUFFERED": "1"}


def piped(folder: Path, model: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(model, "editor.steps=1"),
        input=text,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
    )


class Terminal:
    """A process at a pseudo-terminal."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # as it is inherited where the tests are a shell's background job
            os.chdir(folder)
            os.execvpe(argv[0], argv, environment())
        self.text, self.at = "", 0

    def wait(self, said: str) -> None:
        """Read on until it says so."""
        end = time.monotonic() + LIMIT_S
        while (found := re.search(said, self.text[self.at :])) is None:
            assert time.monotonic() < end and self._read(), f"{said!r} does not come:\n{self.text}"
        self.at += found.end()

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self.screen], [], [], LIMIT_S)[0]:
            return False
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # it has ended
            return False
        self.text += data.decode(errors="replace")
        return bool(data)


def test_lines_from_a_pipe(tiny_vlm_path: Path, tmp_path: Path) -> None:
    ended = piped(tmp_path, tiny_vlm_path, "make it, well, darker\n/udo\nagain: 把星星 =${x}\n/undo\n")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("error: ") == 1 and "main> " not in ended.stdout and "\x1b" not in ended.stdout
    store = Store.load(tmp_path / "s")
    assert store.session.history == ("make it, well, darker",) and len(store.session.undone) == 1
    assert f"picture 1: {store.picture_path.relative_to(tmp_path)}" in ended.stdout


@pytest.mark.parametrize("stop", ["interrupt", "kill"])
def test_only_the_turn_in_progress_is_lost(tiny_vlm_path: Path, tmp_path: Path, stop: str) -> None:
    assert piped(tmp_path, tiny_vlm_path, "make it darker\n").returncode == 0
    before = Store.load(tmp_path / "s").sessions
    terminal = Terminal(words(tiny_vlm_path, "editor.steps=1000"), tmp_path)
    terminal.wait("main> ")
    terminal.type("brighter\n")
    terminal.wait("plan \\(")
    if stop == "kill":
        os.kill(terminal.pid, signal.SIGKILL)
        assert terminal.end() == -signal.SIGKILL
    else:
        terminal.type("\x03")
        terminal.wait("given up")
        terminal.wait("main> ")
        terminal.type("/history\n")
        terminal.wait("1. make it darker")
        terminal.wait("main> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert Store.load(tmp_path / "s").sessions == before
    assert "goes on after turn 1" in piped(tmp_path, tiny_vlm_path, "").stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["image=none.png"], "there is no image at none.png"),
        (["scale=paper"], "missing: image=<picture>"),
        (["run=nowhere"], "nowhere is no run folder"),
        (["intent=tny"], "there is no intent=tny"),
    ],
)
def test_what_cannot_work_exits_2_with_one_message(
    tiny_vlm_path: Path, tmp_path: Path, more: list[str], said: str
) -> None:
    from tests.e2e.processes import command

    ended = command("experiments.session", [f"paths.assets={ASSETS}", *more], tmp_path)
    assert ended.code == 2 and said in ended.text and "Traceback" not in ended.text, ended.text
