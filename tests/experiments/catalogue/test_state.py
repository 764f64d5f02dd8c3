"""How a run stands, also after kills, and how far it is."""

from __future__ import annotations

import json
import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from common.files import locked
from experiments.catalogue.configs import read_config
from experiments.catalogue.entry import read_entry
from experiments.catalogue.progress import progress_of
from experiments.catalogue.state import state_of
from tests.experiments.catalogue.folders import add_run


def hold(folder: Path, held: Event, leave: Event) -> None:
    with locked(folder):
        held.set()
        leave.wait(60)


def test_a_held_lock_is_a_running_run_and_nothing_else_is(tmp_path: Path) -> None:
    run = add_run(tmp_path / "r", overall=5.0)
    (run / "status.json").write_text('{"state": "running"}')
    assert state_of(run).word == "finished"  # it has results, and nobody works there
    context = multiprocessing.get_context("spawn")
    held, leave = context.Event(), context.Event()
    process = context.Process(target=hold, args=(run, held, leave))
    process.start()
    assert held.wait(60)
    assert state_of(run).word == "running"
    process.kill()
    process.join()
    assert (run / ".lock").read_text() == str(process.pid)  # a kill leaves it
    assert state_of(run).word == "finished"
    with locked(run):  # asking did not keep the lock
        pass


@pytest.mark.parametrize(
    ("status", "results", "error", "word"),
    [
        (None, False, None, "stopped"),
        (None, True, None, "finished"),
        (None, False, "Traceback\nRunFailed: no reward", "failed"),
        ({"state": "running"}, False, None, "stopped"),  # killed
        ({"state": "failed", "error": "no\nreward"}, False, None, "failed"),
        ({"state": "failed", "error": "later stage"}, True, None, "failed"),
        ({"state": "stopped"}, False, None, "stopped"),
        ({"state": "pruned"}, False, None, "pruned"),
        ("{torn", True, None, "finished"),
        ([1], False, None, "stopped"),
    ],
)
def test_the_state_without_a_lock(tmp_path: Path, status: object, results: bool, error: str | None, word: str) -> None:
    run = add_run(tmp_path / "r", overall=1.0 if results else None)
    if status is not None:
        (run / "status.json").write_text(status if isinstance(status, str) else json.dumps(status))
    if error:
        (run / "error.txt").write_text(error)
    state = state_of(run)
    assert state.word == word and (word == "failed") == bool(state.error) and "\n" not in state.error


def test_times_are_read_as_seconds_or_as_a_date(tmp_path: Path) -> None:
    run = add_run(tmp_path / "r", overall=1.0)
    status = {"state": "finished", "started": "1970-01-01T00:01:00+00:00", "ended": 90}
    (run / "status.json").write_text(json.dumps(status))
    assert (state_of(run).started, state_of(run).ended) == (60.0, 90.0)


def test_the_youngest_file_tells_the_phase(tmp_path: Path) -> None:
    run = add_run(tmp_path / "r")
    config = read_config(run)
    assert str(progress_of(run, config)) == "training 20/20"
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "rew')  # torn by a kill
    assert str(progress_of(run, config)) == "training 20/20"
    rows = run / "sandbox" / "edits" / "agents_rl"
    rows.mkdir(parents=True)
    for shard in (0, 1):
        (rows / f"{shard}-of-2.jsonl").write_text("{}\n{}\n")
    assert str(progress_of(run, config)) == "edits agents_rl 4/8"
    complex_rows = run / "sandbox_complex" / "verdicts" / "sandbox" / "agents"
    complex_rows.mkdir(parents=True)
    (complex_rows / "0-of-1.jsonl").write_text("{}\n")
    assert str(progress_of(run, config)) == "verdicts agents, complex 1"
    (run / "metrics.jsonl").unlink()
    (run / "sft.jsonl").write_text('{"step": 3}\n')
    (run / "sft-rows.jsonl").write_text("{}\n")
    assert str(progress_of(run, config)) == "supervised 3/5"


def test_a_damaged_file_does_not_hide_a_run(tmp_path: Path) -> None:
    run = add_run(tmp_path / "r", overall=1.0)
    (run / "results.json").write_text("{")
    entry = read_entry(run)
    assert "results.json" in entry.trouble and entry.config["reward"] == "f1_goal" and entry.scores == {}
    (run / "config.yaml").write_text("a: [")
    assert "config.yaml" in read_entry(run).trouble
