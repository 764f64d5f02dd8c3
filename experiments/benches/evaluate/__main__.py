"""`make bench-evaluate`: a whole evaluation against a judge that answers after a fixed time, and the same from the cache.

A chat service in a process of its own answers every question after `latency_ms`; `items` x `arms` small pictures that were
edited before are judged by it, once, with `concurrency` questions under way. Ideal is questions x latency / concurrency.
Then the same command again, and once more into an empty folder with every reply in the cache. Nothing is left out: pictures
are read, encoded and sent, replies parsed, rows written. What a call costs the client in CPU time is measured by itself, on 600
items at most: `client.py`. Writes outputs/bench/evaluate.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from common.errors import BadInput, RunFailed
from common.files import write_json
from common.plain_command import plain_command, read_options
from experiments.benches.evaluate.client import Side, cpu_ms_per_call
from experiments.benches.evaluate.measured import Measured, run
from experiments.benches.machine import measured_on
from experiments.reports.screen import show_table

SERVER = Path("tests/judges/chat_server.py")
REPLY = {"reasoning": "The star is blue now and the rest is as it was."}
REPLY |= {"request_fulfilled": 8, "image_quality": 7, "content_preserved": 9}  # type: ignore[dict-item]


@dataclass(frozen=True)
class Options:
    items: int = 10_000
    arms: int = 3
    latency_ms: int = 50
    concurrency: int = 64
    side: int = 64  # of the pictures, in pixels
    out: str = "outputs/bench"


def main(argv: Sequence[str]) -> None:
    options = read_options(Options, argv, "experiments.benches.evaluate")
    if not SERVER.is_file():
        raise BadInput(f"there is no {SERVER} here: run this in the folder of the repository")
    with TemporaryDirectory() as name:
        table = measure(Path(name), options)
    path = write_json(Path(options.out) / "evaluate.json", table)
    show(table)
    print(f"written to {path}")


def measure(folder: Path, o: Options) -> dict[str, Any]:
    questions = o.items * o.arms
    say(f"making {o.items} requests and {questions} pictures")
    names = [f"arm{k}" for k in range(o.arms)]
    write_pictures(folder, o.items, names, o.side)
    data = ["run=none", "benchmark=folder", f"benchmark.path={folder / 'requests.jsonl'}", "metrics=none"]
    for name in names:
        run([*data, f"out={folder / 'first'}", "judge=none", f"pictures={folder / name}"])
    for copy in ("second", "third"):
        shutil.copytree(folder / "first", folder / copy)
    server = subprocess.Popen(
        [sys.executable, str(SERVER), "--latency-ms", str(o.latency_ms), "--text", json.dumps(REPLY)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        judge = ["judge=gpt4o", f"judge.base_url={url}", "judge.keys=[]", f"judge.concurrency={o.concurrency}"]
        judge += ["judge.rubric=paper", f"judge.cache={folder / 'cache'}"]
        say("the client's CPU time")
        requests, third, other = folder / "requests.jsonl", folder / "third", folder / "other-cache"
        cpu_ms = cpu_ms_per_call(Side(str(requests), str(third), str(other), url, tuple(names), o.concurrency))
        say("judging")
        first = run([*data, *judge, f"out={folder / 'first'}"], folder / "first")
        say("the same command again")
        again = run([*data, *judge, f"out={folder / 'first'}"])
        say("an empty folder, every reply in the cache")
        cached = run([*data, *judge, f"out={folder / 'second'}"], folder / "second")
    finally:
        server.kill()
        server.wait()
    if first.calls != questions or cached.calls:
        raise RunFailed(
            f"{first.calls} calls for {questions} pictures, and {cached.calls} with every reply in the cache"
        )
    return in_table(first, again, cached, cpu_ms, questions * o.latency_ms / 1000 / o.concurrency)


def in_table(first: Measured, again: Measured, cached: Measured, cpu_ms: float, ideal_s: float) -> dict[str, Any]:
    wait_ms = 1000 * ideal_s / max(1, first.calls)  # between two calls, where nothing but the service takes time
    early, late = first.memory_mib(0.25, 0.4), first.memory_mib(0.65, 0.8)  # both while it judges; then it reports
    return {
        "judging_vs_ideal": row(first.judging_s, ideal_s, "s"),
        "client_cpu_per_call_vs_ideal_time_per_call": row(cpu_ms, wait_ms, "ms"),
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


def show(table: dict[str, Any]) -> None:
    shown = Table(title=f"Evaluation against a judge of fixed latency; {measured_on()}")
    for column in ("measure", "ours", "against", "ratio", "unit"):
        shown.add_column(column, justify="left" if column in ("measure", "unit") else "right")
    for key, m in table.items():
        shown.add_row(key, f"{m['ours']:.2f}", f"{m['peer']:.2f}", f"{m['ratio']:.2f}", m["unit"])
    show_table(shown)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
