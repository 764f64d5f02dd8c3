"""What judging costs the client: CPU time per call of the steps of a real evaluation, from the opening of the pictures to the rows.
Measured in a process of its own; the service has another one, whose time does not count."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.folder import load
from benchmarks.options import BenchmarkOptions
from common.errors import RunFailed
from experiments.evaluation.judging import Judging, open_tasks
from experiments.evaluation.layout import Layout
from experiments.evaluation.shares import Share
from judges.cache import ReplyCache
from judges.chat import ChatClient, ChatSettings
from judges.llm import LLMJudge
from judges.rubrics import make_rubric

CALLS = 1800  # enough for a steady figure: 600 items x 3 arms


@dataclass(frozen=True)
class Side:
    """`out` is the folder of an evaluation whose pictures have no verdicts yet, `requests` the file of its items."""

    requests: str
    out: str
    cache: str
    url: str
    arms: tuple[str, ...]
    concurrency: int


def cpu_ms_per_call(side: Side) -> float:
    """Measured in a new process, so that nothing else of this one counts. Raises RunFailed with its last words."""
    command = [sys.executable, "-m", "experiments.benches.evaluate.client", json.dumps(asdict(side))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RunFailed(f"the client of the bench failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def measure(side: Side) -> float:
    """Milliseconds of CPU per call, user and system, of all threads of this process."""
    settings = ChatSettings(base_url=side.url, key_env="", model="bench", concurrency=side.concurrency)
    judge = LLMJudge(ChatClient(settings, ReplyCache(side.cache)), make_rubric("paper"))
    layout, benchmark, share = Layout(Path(side.out), "folder"), load(BenchmarkOptions(path=side.requests)), Share()
    judging = Judging(layout, "bench", benchmark, judge, share)
    tasks = open_tasks(layout, "bench", side.arms, share, chunk=1, retry=False)[:CALLS]
    began = time.process_time()
    judging.run(tasks)
    return 1000 * (time.process_time() - began) / max(1, judge.usage.calls)


if __name__ == "__main__":
    values = json.loads(sys.argv[1])
    print(measure(Side(**values | {"arms": tuple(values["arms"])})))
