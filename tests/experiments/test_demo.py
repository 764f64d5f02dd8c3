"""The command of the demo: what it refuses before anything is loaded, a password that is never printed, and its ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest

from common.errors import BadInput, MissingFile
from common.third_party import NAME
from conf.schema import DemoConfig
from experiments import demo
from experiments.runs import cli

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0  # only ever reached by a broken test
SECRET = "Zebra, with=odd {signs}"
NOISY = """
import os

from fastapi import FastAPI

made = FastAPI.__init__

def noisy(self, *given, **named):
    os.write(2, b"[library] from C\\n")
    made(self, *given, **named)

FastAPI.__init__ = noisy
"""


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["experiments.demo", *words])
    cli.command("demo", demo.main, demo.FREE_TEXT)


@pytest.mark.parametrize("words", [("--cfg", "job"), ("--cfg", "job", "--resolve")])
def test_the_password_is_never_printed(
    words: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, f"password={SECRET}", *words)
    printed = capsys.readouterr()
    assert "password: '***'" in printed.out and "Zebra" not in printed.out + printed.err
    config = cli.typed(cli.compose("demo", ["password=Zebra"]))
    assert isinstance(config, DemoConfig) and config.password == "Zebra" and "Zebra" not in repr(config)


def test_an_interrupted_command_says_that_it_can_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(config: DemoConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "main", interrupted)
    with pytest.raises(SystemExit) as end:
        run(monkeypatch)
    assert end.value.code == 130 and "the same command goes on from here" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.serving import web

    monkeypatch.setattr(web, "find_spec", lambda name: None if name == "gradio" else object())
    with pytest.raises(MissingFile, match="make extra-apps"):
        web.check_gradio()
    with pytest.raises(SystemExit) as end:
        run(monkeypatch)
    assert end.value.code == 2 and "error: the demo needs gradio" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_before_the_models_are_loaded() -> None:
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = cli.typed(cli.compose("demo", [f"port={taken.getsockname()[1]}"]))
        with pytest.raises(BadInput, match="cannot listen at 127.0.0.1"):
            demo.main(config)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_on_a_signal_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "sitecustomize.py").write_text(NOISY)
    words = ["port=0", "engine.threads=1", "editor=sandbox", f"password={SECRET}", f"paths.outputs={tmp_path}/outputs"]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.demo", *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path / "noise")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "http://" in line:
            break
    url = lines[-1].split()[2]
    with pytest.raises(OSError, match="401"):
        urlopen(url, timeout=PATIENCE_S)
    process.send_signal(number)
    rest = process.communicate(timeout=PATIENCE_S)[0]
    said = "".join(lines) + rest
    assert process.returncode == 0 and "Traceback" not in said and "Zebra" not in said, said
    assert "[library]" not in said and "[library] from C" in (tmp_path / "outputs" / NAME).read_text()
    assert not list(tmp_path.glob("imageedit-demo-*")) and tempfile.gettempdir() != str(tmp_path)
