"""scripts/completion.bash in a real bash: what is offered for a line, and what a Tab writes."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.places import ROOT
from experiments.__main__ import commands

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")
SCRIPT = ROOT / "scripts" / "completion.bash"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `python` and `imageedit` of this checkout, as an activated environment has them."""
    folder = tmp_path_factory.mktemp("bin")
    for name, call in (("python", ""), ("imageedit", "-m experiments ")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call}"$@"\n')
        (folder / name).chmod(0o755)
    return folder


def environment(programs: Path) -> dict[str, str]:
    return {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(programs), "PYTHONPATH": str(ROOT), "TERM": "dumb",
        "OMP_NUM_THREADS": "1", "HISTFILE": "/dev/null",
    }  # fmt: skip


def offered(line: str, programs: Path) -> list[str]:
    """What the function offers for a line with the cursor at its end."""
    code = f'source "{SCRIPT}"; COMP_LINE=$1; COMP_POINT=${{#1}}; _imageedit; printf "%s\\n" "${{COMPREPLY[@]}}"'
    command = [str(BASH), "--norc", "--noprofile", "-c", code, "bash", line]
    done = subprocess.run(command, cwd=ROOT, env=environment(programs), capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "line", ["python -m experiments.run rew", "imageedit run rew", "python -u -m experiments.run seed=3 rew"]
)
def test_a_group_is_completed(line: str, programs: Path) -> None:
    assert "reward=" in offered(line, programs)


def test_a_choice_is_completed_behind_its_group(programs: Path) -> None:
    assert {"f1_goal", "f1_linked"} <= set(offered("imageedit run reward=f1_", programs))


def test_a_key_is_completed(programs: Path) -> None:
    assert offered("imageedit run algo.l", programs)[0].startswith("algo.l")


def test_commands_are_completed_without_starting_python(tmp_path: Path) -> None:
    assert set(offered("imageedit ", tmp_path)) == set(commands())
    assert offered("imageedit ru", tmp_path) == ["run"]
    assert offered("python -m experiments.doc", tmp_path) == ["experiments.doctor"]


@pytest.mark.parametrize(
    "line", ["python script.py rew", "python -m pip inst", "imageedit doctor for", "python ", "imageedit nothing x"]
)
def test_other_lines_are_left_to_bash(line: str, tmp_path: Path) -> None:
    assert offered(line, tmp_path) == []


def test_tabs_in_a_terminal_write_and_list(programs: Path) -> None:
    """A Tab completes `rew` to `reward`, two more list what begins so: the group, and its keys."""
    shown = typed("python -m experiments.run rew\t\t\t", re.compile(r"reward="), programs)
    assert "reward=" in shown and "reward." in shown


def typed(keys: str, until: re.Pattern[str], programs: Path, limit_s: float = 300.0) -> str:
    """What a terminal shows after these keys."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execve(str(BASH), ["bash", "--norc", "--noprofile", "-i"], environment(programs))
    try:
        os.write(terminal, f"source '{SCRIPT}'; PS1=; echo rea''dy\n".encode())
        shown, sent, began = "", False, time.monotonic()
        while time.monotonic() - began < limit_s and not (sent and until.search(shown)):
            if select.select([terminal], [], [], 1.0)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
            if not sent and "ready" in shown:
                os.write(terminal, keys.encode())
                shown, sent = "", True
        return shown
    finally:
        os.close(terminal)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
