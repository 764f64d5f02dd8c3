"""Jobs as real processes, here of a few lines: how many at a time, what waits, what is said of a failure, and how they stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.files import locked, read_json, write_json
from experiments.runs.failures import failures_in
from experiments.sharing.phase import SharedPhase
from experiments.sharing.store import Store
from experiments.sweeping.job import FAILED, FINISHED, PRUNED, STOPPED, Job
from experiments.sweeping.schedule import Schedule, in_use

OK = "pass"
SLEEP = "import time; time.sleep(60)"
POLITE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (print("saved"), sys.exit(130)))
print("ready", flush=True)
time.sleep(60)
"""


def job(tmp_path: Path, number: int, folder: Path | None = None, phases: tuple[SharedPhase, ...] = ()) -> Job:
    return Job(number, (f"seed={number}",), f"seed={number}", tmp_path / f"{number}.log", folder, phases)


def schedule(
    tmp_path: Path,
    jobs: list[Job],
    scripts: list[str],
    max_parallel: int = 1,
    tell: Callable[[Job | None], object] = lambda job: None,
) -> Schedule:
    def start(job: Job) -> subprocess.Popen[bytes]:
        with job.log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-S", "-c", scripts[job.number - 1]], stdout=out, stderr=out, start_new_session=True
            )

    return Schedule(jobs, max_parallel, tmp_path, Store(tmp_path), start, tell)


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def test_the_others_go_on_when_one_fails_and_its_own_words_are_kept(tmp_path: Path) -> None:
    jobs = [job(tmp_path, i) for i in (1, 2, 3)]
    said: list[tuple[int, str]] = []
    scripts = [OK, "import sys; print('error: there is no such colour'); sys.exit(2)", OK]
    schedule(tmp_path, jobs, scripts, tell=lambda j: j and said.append((j.number, j.state))).run()
    assert [j.state for j in jobs] == [FINISHED, FAILED, FINISHED]
    assert jobs[1].error == "there is no such colour"
    assert failures_in(tmp_path) == ["seed=2: failed: there is no such colour"]
    assert said.index((2, FAILED)) < said.index((3, FINISHED))  # at once, and not at the end


def test_a_process_that_was_killed_is_a_failure_of_its_run_too(tmp_path: Path) -> None:
    one = job(tmp_path, 1, folder=tmp_path / "run")
    script = f"""
import json, os, pathlib
folder = pathlib.Path({str(tmp_path / "run")!r}); folder.mkdir()
(folder / "status.json").write_text(json.dumps({{"state": "running", "process": os.getpid()}}))
os.kill(os.getpid(), 9)
"""
    schedule(tmp_path, [one], [script]).run()
    assert one.state == FAILED and "SIGKILL" in one.error
    status = read_json(tmp_path / "run" / "status.json")
    assert status["state"] == "failed" and "SIGKILL" in status["error"]
    assert "SIGKILL" in (tmp_path / "run" / "error.txt").read_text()


@pytest.mark.parametrize("most", [1, 2, 3])
def test_so_many_at_a_time_and_no_more(tmp_path: Path, most: int) -> None:
    jobs = [job(tmp_path, i) for i in range(1, 5)]
    counts: list[int] = []
    plan = schedule(tmp_path, jobs, [OK] * 4, most, lambda _: counts.append(len(plan.running)))
    plan.run()
    assert max(counts) == most and all(j.state == FINISHED for j in jobs)


def test_the_score_and_a_pruned_run_are_read_from_the_runs_folder(tmp_path: Path) -> None:
    jobs = [job(tmp_path, i, folder=tmp_path / str(i)) for i in (1, 2)]
    for one, state in zip(jobs, ("finished", "pruned"), strict=True):
        write_json(tmp_path / str(one.number) / "status.json", {"state": state, "score": one.number + 0.5})
    schedule(tmp_path, jobs, [OK, OK]).run()
    assert [(j.state, j.score) for j in jobs] == [(FINISHED, 1.5), (PRUNED, 2.5)]


def test_a_job_that_needs_what_another_makes_lets_others_go_first(tmp_path: Path) -> None:
    phase = SharedPhase("grpo", {"seed": 0}, ("weights",))
    store = Store(tmp_path)
    jobs = [job(tmp_path, 1, phases=(phase,)), job(tmp_path, 2, phases=(phase,)), job(tmp_path, 3)]
    order: list[int] = []

    def tell(one: Job | None) -> None:
        if one and one.state == "running":
            order.append(one.number)
        if jobs[2].state == FINISHED and store.find(phase) is None:
            assert jobs[1].state == "queued" and "grpo" in jobs[1].note
            write_json(tmp_path / "run" / "weights", 1)
            store.offer(phase, tmp_path / "run", [])  # job 1 has made it, and goes on with something else
            order.append(0)
            (tmp_path / "go").touch()

    until_told = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)"
    schedule(tmp_path, jobs, [until_told, OK, OK], 2, tell).run()
    assert order == [1, 3, 0, 2]


def test_a_job_whose_phase_nobody_finishes_makes_it_itself(tmp_path: Path) -> None:
    phase = SharedPhase("grpo", {"seed": 0}, ("weights",))
    jobs = [job(tmp_path, i, phases=(phase,)) for i in (1, 2)]
    schedule(tmp_path, jobs, ["import sys; sys.exit(2)", OK], 2).run()
    assert [j.state for j in jobs] == [FAILED, FINISHED]


def test_a_folder_that_a_process_of_a_killed_sweep_still_holds_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = locked(folder)
    holder.__enter__()
    assert in_use(folder) and not in_use(tmp_path / "another")
    jobs, order = [job(tmp_path, 1, folder=folder), job(tmp_path, 2)], []

    def tell(one: Job | None) -> None:
        if one and one.state == "running":
            order.append(one.number)
        if jobs[1].state == FINISHED and jobs[0].state == "queued" and in_use(folder):
            holder.__exit__(None, None, None)

    schedule(tmp_path, jobs, [OK, OK], tell=tell).run()
    assert order == [2, 1]


def test_ctrl_c_lets_every_process_save_and_starts_no_more(tmp_path: Path) -> None:
    jobs = [job(tmp_path, i) for i in (1, 2, 3)]
    plan = schedule(tmp_path, jobs, [POLITE] * 3, 2)

    def interrupt() -> None:
        wait_for(lambda: all(j.log.is_file() and b"ready" in j.log.read_bytes() for j in jobs[:2]))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        plan.run()
    assert [j.state for j in jobs] == [STOPPED] * 3
    assert all("saved" in j.log.read_text() for j in jobs[:2]) and not jobs[2].log.exists()


STUBBORN = """
import signal, time
signal.signal(2, lambda *_: print("asked", flush=True))
print("ready", flush=True)
while True: time.sleep(1)
"""


@pytest.mark.parametrize("together", [True, False], ids=["at once", "while it waits"])
def test_a_second_ctrl_c_ends_those_that_do_not_stop(tmp_path: Path, together: bool) -> None:
    one = job(tmp_path, 1)
    waiting = [b"ready"] if together else [b"ready", b"asked"]  # for what the process says before a signal comes

    def tell(_: Job | None) -> None:
        if waiting and one.log.is_file() and waiting[0] in one.log.read_bytes():
            waiting.pop(0)
            for _again in range(1 + together):
                signal.raise_signal(signal.SIGINT)

    plan = schedule(tmp_path, [one], [STUBBORN], tell=tell)
    with pytest.raises(KeyboardInterrupt):
        plan.run()
    assert not plan.running and one.over
