"""One command as a user gives it, with its times, its calls of the judge and its memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.errors import RunFailed

MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """One command: seconds of the whole process, of it without Python's start and imports (what it says itself), and of
    judging alone, and its memory over the time, in bytes."""

    wall_s: float
    work_s: float
    judging_s: float
    calls: int
    rss: Sequence[int]

    def memory_mib(self, begin: float, end: float) -> float:
        """The most between two shares of its time."""
        n = len(self.rss)
        return max(self.rss[int(begin * n) : max(int(end * n), int(begin * n) + 1)]) / MIB


def run(words: Sequence[str], judged: Path | None = None) -> Measured:
    """A command as a user gives it; RunFailed with its last words where it fails."""
    start, rss = time.perf_counter(), []
    command = [sys.executable, "-m", "experiments.evaluate", *words]
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None:
        try:
            rss.append(process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.1)
    output, wall_s = process.communicate()[0], time.perf_counter() - start
    if process.returncode:
        raise RunFailed(f"{' '.join(words)} failed:\n{output[-2000:]}")
    seconds, calls = 0.0, 0
    for path in judged.glob("folder/verdicts/*/usage-*.jsonl") if judged else ():
        for line in path.read_text().splitlines():
            seconds, calls = seconds + json.loads(line)["seconds"], calls + json.loads(line)["calls"]
    return Measured(wall_s, seconds_in(output), seconds, calls, rss or [0])


def seconds_in(output: str) -> float:
    """Of the line "total time: 1:02" or "total time: 3.4 s"."""
    match = re.search(r"total time: (?:(\d+):)?(\d+):(\d\d)|total time: ([\d.]+) s", output)
    if match is None:
        raise RunFailed(f"no total time in what the command said:\n{output[-2000:]}")
    hours, minutes, seconds, short = match.groups()
    if short:
        return max(float(short), 0.05)  # 0.0 may be as much as this
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
