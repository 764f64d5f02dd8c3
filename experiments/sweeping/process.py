"""The process of a job: the same command that a user would give for it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PARENT = "IMAGEEDIT_SWEEP"  # the sweep's process: jobs stop when it is gone
CODE = Path(__file__).parents[2]


def start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """`python -m experiments.run <words>` in a session of its own, so that Ctrl-C reaches the sweep alone, which tells its jobs;
    what it says goes to the end of `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *words],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {PARENT: str(os.getpid()), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        )


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does: it saves, and says where it stopped."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)


def how_it_ended(code: int) -> str:
    """In words, for a process that said nothing itself."""
    if code < 0:
        name = signal.Signals(-code).name
        why = " (was there enough memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}"
    return f"its process ended with code {code}"


__all__ = ["PARENT", "ask_to_stop", "how_it_ended", "start"]
