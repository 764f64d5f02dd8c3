"""`make check-gpu`: what this machine's GPU does with the code, in at most eight minutes, one table and outputs/bench/gpu.json.

Each part is a process of its own under its own time limit, so that one that hangs or dies leaves the others their time. Parts that
cannot run here say why; without a GPU those that need none are run. device=cpu rehearses all of them with small shapes, which shows
that the code runs and measures nothing. No network.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadInput, RunFailed
from common.plain_command import plain_command, read_options
from experiments.benches.gpu.parts import PARTS, CheckPart
from experiments.benches.gpu.setting import VARIABLE

ROOT = Path(__file__).parents[3]
MINUTES = 8.0
SLOWER = 8  # a machine without a GPU, whose parts may use the time of those that are left out


@dataclass
class Options:
    parts: str = (
        "all"  # names, by comma; all: those that fit together; everything: with those that are only run when named
    )
    minutes: float = MINUTES  # for everything together
    device: str = "auto"  # cuda where there is one; cpu: a rehearsal with small shapes
    out: str = "outputs/bench"


def main(argv: Sequence[str]) -> None:
    from common.files import write_json
    from common.progress import say

    options = read_options(Options, argv, "experiments.benches.gpu")
    chosen = selected(options.parts)
    if not options.minutes > 0:
        raise BadInput(f"minutes={options.minutes:g} must be above 0")
    rehearsed = options.device == "cpu"
    cuda, began = not rehearsed and has_cuda(), time.monotonic()
    if options.device not in ("auto", "cpu") and not (options.device == "cuda" and cuda):
        raise BadInput(
            f"device={options.device}: give auto or cpu (a rehearsal){'' if cuda else '; there is no CUDA device here'}"
        )
    rows: dict[str, dict[str, Any]] = {}
    path = Path(options.out) / "gpu.json"
    if rehearsed:
        say("a rehearsal on the CPU with small shapes: it shows what runs, and its numbers say nothing about a card")
    elif not cuda:
        say("no CUDA device here: parts that need one are named and left out")
    for part in chosen:
        left = options.minutes * 60 - (time.monotonic() - began)
        if why := part.missing(cuda or rehearsed):
            rows[part.name] = {"state": "left out", "why": why}
        elif left < 1:
            rows[part.name] = {"state": "left out", "why": f"the {options.minutes:g} minutes are over"}
        else:
            limit = min(left, part.limit_s * slower(cuda, options.minutes))
            say(f"{part.name}: {part.about} (at most {limit:.0f} s)")
            rows[part.name] = run_part(part, limit, options.device)
        write_json(path, rows)  # a check that is stopped leaves what it has
    show(rows)
    say(f"written to {path}")
    if failed := [name for name, row in rows.items() if row["state"] in ("failed", "out of time")]:
        raise RunFailed(f"{len(failed)} of {len(rows)} parts did not end well: {', '.join(failed)}")


def slower(cuda: bool, minutes: float) -> float:
    """By how much a part's limit is stretched. Without a GPU, whoever gives the whole more minutes has a slow machine."""
    return 1.0 if cuda else SLOWER * max(1.0, minutes / MINUTES)


def selected(parts: str) -> list[CheckPart]:
    """In the order of PARTS. Raises BadInput for a name that is none."""
    names = [part.name for part in PARTS]
    if parts in ("all", "everything"):
        return [part for part in PARTS if parts == "everything" or not part.extra]
    wanted = parts.split(",")
    if unknown := [name for name in wanted if name not in names]:
        raise BadInput(f"parts={unknown[0]} is unknown; choose from all, everything, {', '.join(names)}")
    return [part for part in PARTS if part.name in wanted]


def has_cuda() -> bool:
    """Asked in another process: this one must not hold the device's memory."""
    asked = "import torch; raise SystemExit(0 if torch.cuda.is_available() else 1)"
    return subprocess.run([sys.executable, "-c", asked], stderr=subprocess.DEVNULL, check=False).returncode == 0


def command_of(part: CheckPart, values: Path) -> list[str]:
    return [sys.executable, "-m", "experiments.benches.gpu.one", part.name, str(values)]


def run_part(part: CheckPart, limit_s: float, device: str = "auto") -> dict[str, Any]:
    """What became of it: its values, or the last lines that it said."""
    with tempfile.TemporaryDirectory() as scratch:
        values, log = Path(scratch) / "values.json", Path(scratch) / "log"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        env |= {VARIABLE: device if device == "cpu" else ""}
        start = time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen(
                command_of(part, values),
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, start_new_session=True,
            )  # fmt: skip
            try:
                code: int | None = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                end(process)
        row: dict[str, Any] = {"seconds": round(time.monotonic() - start, 1)}
        if code == 0 and values.is_file():
            from common.files import read_json

            return row | {"state": "rehearsed" if device == "cpu" else "done", "values": read_json(values)}
        said = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:]) or "nothing"
        if code is None:
            return row | {"state": "out of time", "why": f"not done after {limit_s:.0f} s; it said last: {said}"}
        how = f"killed by {signal.Signals(-code).name}; it said last: " if code < 0 else ""
        return row | {"state": "failed", "why": how + said.removeprefix("error: ")}


def end(process: subprocess.Popen[bytes]) -> None:
    """It and everything that it started, in sessions of their own too (torchrun, vLLM's process): all are gone afterwards."""
    import psutil

    below: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
        below = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):  # all have
        os.killpg(process.pid, signal.SIGKILL)
    for child in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


def show(rows: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    from experiments.benches.machine import measured_on
    from experiments.reports.screen import show_table

    rehearsed = any(row["state"] == "rehearsed" for row in rows.values())
    title = "A rehearsal with small shapes" if rehearsed else "What works here"
    table = Table(title=f"{title}: {measured_on()}", title_justify="left")
    for column in ("part", "state", "seconds", "what"):
        table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    for name, row in rows.items():
        what = row.get("why") or "\n".join(f"{key}: {plain(value)}" for key, value in row["values"].items())
        table.add_row(name, row["state"], str(row.get("seconds", "–")), what)
    show_table(table)


def plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
