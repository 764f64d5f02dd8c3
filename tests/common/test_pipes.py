"""A reader that leaves early ends a program quietly."""

from __future__ import annotations

import subprocess
import sys

from common.places import ROOT


def test_a_closed_pipe_ends_the_program_without_a_word() -> None:
    code = "from common.pipes import print_whole; print_whole('x' * 1_000_000); print('more')"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(10) == b"x" * 10
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)
