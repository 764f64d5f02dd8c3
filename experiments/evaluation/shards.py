"""An evaluation in several processes of this machine: each does its shard of the items and appends to files of its own.

The specification is written to the folder, where the workers (`experiments/evaluation/worker.py`) read it. They need not know of
each other: one that is lost costs nothing but its part, which the same command does again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from common.errors import RunFailed
from common.progress import bar
from common.signals import StopSignal
from common.third_party import NAME
from experiments.evaluation.layout import LOCKS, Layout
from experiments.evaluation.spec import EvaluationSpec
from experiments.evaluation.spec_file import write_spec
from experiments.evaluation.worker import SPENT, STOPPED
from experiments.runs.launch import tail

POLL_S = 0.3


def run_shards(spec: EvaluationSpec, total: int) -> bool:
    """This share, with `total` rows to write, in `launcher.processes` processes; False where one of them had spent its part
    of the budget. Raises KeyboardInterrupt where it was stopped, RunFailed with the message of a worker that failed, or
    the end of its log."""
    processes = spec.used.launcher.processes
    folder = spec.out / LOCKS
    file = folder / f"{spec.share.name}.json"
    write_spec(spec, file)
    layout = Layout(spec.out, spec.benchmark_name)
    counted = lines_below(layout.folder)
    already = next(counted)
    with ExitStack() as stack:
        logs = [folder / f"{share.name}.log" for share in spec.share.split(processes)]
        outs = [stack.enter_context(log.open("a", encoding="utf-8")) for log in logs]
        starts = [out.tell() for out in outs]
        stop = stack.enter_context(StopSignal())
        workers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "experiments.evaluation.worker",
                    str(file),
                    str(j),
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches this process only, which tells the workers
                env=environment(spec, j),
            )
            for j, out in enumerate(outs)
        ]
        try:
            asked_to_stop = False
            began, rows = time.monotonic(), 0
            with bar(f"{processes} processes, rows", total) as b:
                while any(w.poll() is None for w in workers):
                    time.sleep(POLL_S)
                    rows = next(counted) - already
                    b.update(rows, f"{rows / (time.monotonic() - began):.1f}/s")
                    if stop.requested and not asked_to_stop:
                        asked_to_stop = True
                        for worker in workers:
                            worker.terminate()
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()
                    worker.wait()
    codes = [w.returncode for w in workers]
    for code, log, start in zip(codes, logs, starts, strict=True):
        if code not in (0, SPENT, STOPPED) and not stop.requested:
            raise RunFailed(
                f"a process of the evaluation failed (exit code {code}). What was done is kept: the same command goes on. The "
                f"end of {log}:\n{tail(log, start) or f'    (nothing; lines of libraries are in {spec.out / NAME})'}"
            )
    if stop.requested or STOPPED in codes:
        raise KeyboardInterrupt("stopped; what was done is kept, and the same command goes on after it")
    return SPENT not in codes


def lines_below(folder: Path) -> Iterator[int]:
    """Each `next` gives the rows of edits, verdicts and metrics that are there by now."""
    places: dict[Path, tuple[int, int]] = {}
    while True:
        for path in folder.glob("*/**/*-of-*.jsonl"):
            if path.parent.name == "words" or path.name.startswith("usage-"):
                continue
            at, lines = places.get(path, (0, 0))
            with path.open("rb") as f:
                f.seek(at)
                new = f.read()
            places[path] = (at + len(new), lines + new.count(b"\n"))
        yield sum(lines for _, lines in places.values())


def environment(spec: EvaluationSpec, worker: int) -> dict[str, str]:
    """Of a worker: it finds the code wherever it is started, and has one of the GPUs, where there are any."""
    code = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    mine = {"PYTHONPATH": code, "OMP_NUM_THREADS": str(spec.used.engine.threads)}
    if spec.used.engine.device != "cpu" and torch.cuda.device_count():
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        gpus = [g for g in given.split(",") if g] or [str(i) for i in range(torch.cuda.device_count())]
        mine["CUDA_VISIBLE_DEVICES"] = gpus[worker % len(gpus)]
    return os.environ | mine


__all__ = ["lines_below", "run_shards"]
