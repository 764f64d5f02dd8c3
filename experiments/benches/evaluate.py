"""`make bench-evaluate`: a whole evaluation against a judge that answers after a fixed time, and the same from the cache.

A chat service in a process of its own answers every question after `latency_ms`; `items` x `arms` small pictures that were
edited before are judged by it, once, with `concurrency` questions under way. Ideal is questions x latency / concurrency.
Then the same command again, and once more into an empty folder with every reply in the cache. Nothing is left out: pictures
are read, encoded and sent, replies parsed, rows written. Writes outputs/bench/evaluate.json.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from common.errors import BadInput, RunFailed
from common.files import write_json

USAGE = (
    "python -m experiments.benches.evaluate [items=10000] [arms=3] [latency_ms=50] [concurrency=64] [side=64] "
    "[out=outputs/bench]"
)
SERVER = Path("tests/judges/chat_server.py")
REPLY = {"reasoning": "The star is blue now and the rest is as it was."}
REPLY |= {"request_fulfilled": 8, "image_quality": 7, "content_preserved": 9}  # type: ignore[dict-item]
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


def main(argv: Sequence[str]) -> None:
    options = {"items": 10_000, "arms": 3, "latency_ms": 50, "concurrency": 64, "side": 64}
    out = Path("outputs/bench")
    for word in argv:
        key, found, value = word.partition("=")
        if key == "out" and value:
            out = Path(value)
        elif not found or key not in options or not value.isdecimal() or int(value) < 1:
            raise BadInput(f"cannot read '{word}'; usage: {USAGE}")
        else:
            options[key] = int(value)
    if not SERVER.is_file():
        raise BadInput(f"there is no {SERVER} here: run this in the folder of the repository")
    with TemporaryDirectory() as name:
        table = measure(Path(name), **options)
    write_json(out / "evaluate.json", table)
    show(table)
    print(f"written to {out / 'evaluate.json'}")


def measure(folder: Path, items: int, arms: int, latency_ms: int, concurrency: int, side: int) -> dict[str, Any]:
    say(f"making {items} requests and {items * arms} pictures")
    names = [f"arm{k}" for k in range(arms)]
    write_pictures(folder, items, names, side)
    data = ["run=none", "benchmark=folder", f"benchmark.path={folder / 'requests.jsonl'}", "metrics=none"]
    for out in ("first", "second"):
        for name in names:
            run([*data, f"out={folder / out}", "judge=none", f"pictures={folder / name}"])
    server = subprocess.Popen(
        [sys.executable, str(SERVER), "--latency-ms", str(latency_ms), "--text", json.dumps(REPLY)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        judge = ["judge=gpt4o", f"judge.base_url={url}", "judge.keys=[]", f"judge.concurrency={concurrency}"]
        judge += ["judge.rubric=paper", f"judge.cache={folder / 'cache'}"]
        say("judging")
        first = run([*data, *judge, f"out={folder / 'first'}"], folder / "first")
        say("the same command again")
        again = run([*data, *judge, f"out={folder / 'first'}"])
        say("an empty folder, every reply in the cache")
        cached = run([*data, *judge, f"out={folder / 'second'}"], folder / "second")
    finally:
        server.kill()
        server.wait()
    asked = items * arms
    if first.calls != asked or cached.calls:
        raise RunFailed(f"{first.calls} calls for {asked} pictures, and {cached.calls} with every reply in the cache")
    return in_table(first, again, cached, asked * latency_ms / 1000 / concurrency)


def in_table(first: Measured, again: Measured, cached: Measured, ideal_s: float) -> dict[str, Any]:
    early, late = first.memory_mib(0.25, 0.4), first.memory_mib(0.65, 0.8)  # both while it judges; then it reports
    return {
        "judging_vs_ideal": row(first.judging_s, ideal_s, "s"),
        "whole_command_vs_ideal": row(first.wall_s, ideal_s, "s"),
        "same_command_again": row(again.work_s, first.work_s, "s"),
        "same_command_again_with_imports": row(again.wall_s, first.wall_s, "s"),
        "judging_from_cache": row(cached.judging_s, first.judging_s, "s"),
        "memory_late_vs_early": row(late, early, "MiB"),
        "memory_of_the_report": row(first.memory_mib(0.8, 1.0), early, "MiB"),
    }


def row(ours: float, peer: float, unit: str) -> dict[str, Any]:
    return {"ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(peer / ours, 3), "unit": unit}


def write_pictures(folder: Path, items: int, arms: Sequence[str], side: int) -> None:
    """Every picture differs from every other, so that nothing is answered or encoded once for several."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((side // 4 + 1, side // 4 + 1, 1)))[:side, :side]
    for number, name in enumerate(("sources", *arms)):
        (folder / name).mkdir()
        for i in range(items):
            pixels = ground.astype(np.uint8)
            pixels[:8, :8] = rng.integers(0, 256, (8, 8, 3))
            pixels[-1, -1] = number
            Image.fromarray(pixels).save(folder / name / f"{i}.png", compress_level=1)
    lines = [{"id": str(i), "image": f"sources/{i}.png", "instruction": "make the star blue"} for i in range(items)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(words: Sequence[str], judged: Path | None = None) -> Measured:
    """A command as a user gives it; RunFailed with its last words where it fails."""
    begun, rss = time.perf_counter(), []
    command = [sys.executable, "-m", "experiments.evaluate", *words]
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None:
        try:
            rss.append(process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.1)
    said, wall_s = process.communicate()[0], time.perf_counter() - begun
    if process.returncode:
        raise RunFailed(f"{' '.join(words)} failed:\n{said[-2000:]}")
    seconds, calls = 0.0, 0
    for path in judged.glob("folder/verdicts/*/usage-*.jsonl") if judged else ():
        for line in path.read_text().splitlines():
            seconds, calls = seconds + json.loads(line)["seconds"], calls + json.loads(line)["calls"]
    return Measured(wall_s, seconds_in(said), seconds, calls, rss or [0])


def seconds_in(said: str) -> float:
    """Of the line "total time: 1:02" or "total time: 3.4 s"."""
    found = re.search(r"total time: (?:(\d+):)?(\d+):(\d\d)|total time: ([\d.]+) s", said)
    if found is None:
        raise RunFailed(f"no total time in what the command said:\n{said[-2000:]}")
    hours, minutes, seconds, short = found.groups()
    if short:
        return max(float(short), 0.05)  # what is said as 0.0 may be so much
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)


def show(table: dict[str, Any]) -> None:
    shown = Table(title="Evaluation against a judge of fixed latency")
    for column in ("measure", "ours", "against", "ratio", "unit"):
        shown.add_column(column, justify="left" if column in ("measure", "unit") else "right")
    for key, m in table.items():
        shown.add_row(key, f"{m['ours']:.2f}", f"{m['peer']:.2f}", f"{m['ratio']:.2f}", m["unit"])
    Console().print(shown)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    from experiments.runs.cli import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
