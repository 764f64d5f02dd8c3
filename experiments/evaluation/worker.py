"""`python -m experiments.evaluation.worker <file> <number>`: one shard. Started by `shards.py`, never by hand."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from common.errors import ImageEditError
from common.third_party import library_lines
from experiments.evaluation.spec_file import read_spec

SPENT, STOPPED = 3, 130  # exit codes: the budget is spent; somebody stopped it


def main(path: Path, worker: int) -> int:
    from agents.backends.vllm_shared import owned_engines
    from experiments.evaluation.evaluator import open_evaluator
    from experiments.runs.decoding import decoding_steps

    signal.signal(signal.SIGTERM, interrupt)
    threading.Thread(target=stop_when_alone, args=(os.getppid(),), daemon=True).start()
    try:
        spec = read_spec(path, worker)
        spec.prepare_libraries()
        with library_lines(), owned_engines(decoding_steps(spec.used)):
            return 0 if open_evaluator(spec).work(spec.share) else SPENT
    except ImageEditError as error:
        print(f"error: {error}", flush=True)
        return 2
    except KeyboardInterrupt as stop:
        print(stop or "stopped", flush=True)
        return STOPPED


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}")


def stop_when_alone(parent: int) -> None:
    """A launcher that was killed cannot end its workers: they stop by themselves."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
