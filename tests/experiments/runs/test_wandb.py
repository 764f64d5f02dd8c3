"""W&B has all of a run's steps under one id, however often it was stopped, and never stops or delays a run itself. Records are
wandb's own, offline; what they hold is read back."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.errors import BadInput, ImageEditError
from common.jsonl import Journal
from experiments import sync
from experiments.preflight.machine import missing_of
from experiments.runs import tracking
from experiments.runs.tracking import NoTracker, TrackerTools, WandBTracker, end, logger, make_tracker
from experiments.runs.trainings import begin, trainings
from experiments.runs.wandb_account import KEY, MODE, has_key, wandb_mode

pytest.importorskip("wandb")
from experiments.runs.wandb_run import OLDER, RECORDS, WandB, tags_of  # noqa: E402
from experiments.runs.wandb_service import unavailable, within  # noqa: E402

VALUES = {
    "experiment": "main",
    "scale": {"name": "tiny"},
    "editor": {"name": "qwen"},
    "algo": {"name": "grpo", "sft": {"steps": 0}},
}


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY, MODE, "WANDB_BASE_URL", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere" / name))


def records(folder: Path) -> list[Any]:
    """Everything in the offline record of a run's folder. W&B's helper process writes its end a little later."""
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob(f"{RECORDS}/offline-run-*/*.wandb")
    found: list[Any] = []
    for _ in range(200):
        found = []
        with suppress(DecodeError):  # a record that is being written
            for data in chunks(file.read_bytes()):
                found.append(record := wandb_internal_pb2.Record())
                record.ParseFromString(data)
        if any(r.WhichOneof("record_type") == "exit" for r in found):
            break
        time.sleep(0.05)
    return found


def chunks(data: bytes) -> Iterator[bytes]:
    """The records of LevelDB's log format: blocks of 32 KiB, each piece with checksum, length and kind; 7 bytes come first."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == 0:
            break
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            yield whole
            whole = b""


def metrics_of(folder: Path) -> list[Any]:
    return [r.metric for r in records(folder) if r.WhichOneof("record_type") == "metric"]


def history(folder: Path) -> list[dict[str, Any]]:
    rows = [r.history.item for r in records(folder) if r.WhichOneof("record_type") == "history"]
    return [{i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in row} for row in rows]


def row(step: int) -> dict[str, Any]:
    return {"step": step, "reward/mean": step / 10}


def test_a_run_that_was_killed_has_all_its_steps_in_one_record(tmp_path: Path) -> None:
    folder = tmp_path / "main-0a1b2c3d"
    journal = Journal(folder / "metrics.jsonl")
    first = make_tracker(WandBTracker(mode="offline"), folder, VALUES, sweep="run-1")
    for step in range(1, 6):
        journal.append([row(step)])
        first.log(row(step))
    end(first, 130)
    journal.cut_after(4)  # the last checkpoint's step
    again = make_tracker(WandBTracker(mode="offline"), folder, VALUES, sweep="run-1")
    for step in range(5, 9):
        journal.append([row(step)])
        again.log(row(step))
    end(again, 0)
    rows = history(folder)
    assert [(r["step"], r["_step"], r["reward/mean"]) for r in rows] == [(k, k, k / 10) for k in range(1, 9)]
    run = next(r.run for r in records(folder) if r.WhichOneof("record_type") == "run")
    assert (run.run_id, run.run_group, run.job_type, list(run.tags)) == (
        "0a1b2c3d",
        "run-1",
        "main",
        ["tiny", "qwen", "grpo"],
    )
    assert len(list((folder / OLDER).iterdir())) == 1  # the first record is kept, where an upload does not find it


def test_a_step_that_is_done_again_is_recorded_once(tmp_path: Path) -> None:
    folder = tmp_path / "main-0a1b2c3d"
    Journal(folder / "metrics.jsonl").append(row(k) for k in range(1, 6))  # killed with a checkpoint of step 3
    tracker = make_tracker(WandBTracker(mode="offline"), folder, VALUES)
    for step in range(4, 7):
        tracker.log(row(step))
    end(tracker, 0)
    assert [r["step"] for r in history(folder)] == [1, 2, 3, 4, 5, 6]


def test_supervised_steps_come_before_those_of_rl(tmp_path: Path) -> None:
    folder = tmp_path / "main-0a1b2c3d"
    Journal(folder / "sft.jsonl").append({"step": k, "sft/loss": 1.0} for k in (1, 2, 3))
    Journal(folder / "metrics.jsonl").append([row(1)])
    values = VALUES | {"algo": {"sft": {"steps": 3}}}
    tracker = make_tracker(WandBTracker(mode="offline"), folder, values)
    tracker.log(row(2))
    end(tracker, 0)
    assert [(r["_step"], r.get("step"), r.get("sft/step"), "sft/loss" in r) for r in history(folder)] == [
        (1, None, 1, True), (2, None, 2, True), (3, None, 3, True), (4, 1, None, False), (5, 2, None, False)]  # fmt: skip
    assert tags_of({}) == []
    axes = {m.name: m.step_metric for m in metrics_of(folder)}
    assert (axes["sft/loss"], axes["reward/mean"]) == ("sft/step", "step")


def test_every_training_of_a_job_is_in_the_record(tmp_path: Path) -> None:
    """Each counts its steps from 1: the later ones are no repetitions of the first."""
    folder = tmp_path / "edit_r1-0a1b2c3d"
    for journal, steps in (("rrm-sft.jsonl", 5), ("gcpo.jsonl", 3), ("metrics.jsonl", 4)):
        tracker = make_tracker(WandBTracker(mode="offline"), folder, VALUES)  # a process of its own for each
        log = logger(tracker, begin(folder, journal).name)
        for step in range(1, steps + 1):
            Journal(folder / journal).append([row(step)])
            log(row(step))
        end(tracker, 0)
    rows = history(folder)
    assert [r["_step"] for r in rows] == list(range(1, 13))
    assert [(len([r for r in rows if f"{k}reward/mean" in r])) for k in ("rrm-sft/", "gcpo/", "")] == [5, 3, 4]
    assert [t.first for t in trainings(folder)] == [0, 5, 8]


@pytest.mark.parametrize("code", [0, 1, 130])
def test_how_a_run_ended_is_recorded(code: int, tmp_path: Path) -> None:
    folder = tmp_path / "main-0a1b2c3d"
    end(make_tracker(WandBTracker(mode="offline"), folder, VALUES), code)
    assert [r.exit.exit_code for r in records(folder) if r.WhichOneof("record_type") == "exit"] == [code]


def test_a_stage_that_raises_ends_the_record_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the command's own loop over stages; a tracker that knows no exit codes is finished as well."""
    from experiments import run as command
    from experiments.runs import libraries
    from experiments.runs.cli import compose, typed
    from experiments.runs.run import Run

    class Failing:
        name = "failing"
        own_sharing = False

        def __init__(self, error: BaseException | None) -> None:
            self.error = error

        def done(self, run: Run) -> bool:
            return False

        def run(self, run: Run) -> None:
            if self.error is not None:
                raise self.error

    class Knowing(NoTracker):
        def finish(self, exit_code: int = -1) -> None:
            codes.append(exit_code)

    codes: list[int] = []
    monkeypatch.setattr(libraries, "quiet_libraries", lambda *anything: None)
    monkeypatch.setattr(tracking, "make_tracker", lambda *anything: Knowing())
    config = typed(compose("run", []))
    for error in (None, BadInput("no"), OSError("disk full"), KeyboardInterrupt("at step 3")):
        stage: Any = Failing(error)
        if error is None:
            command.work(Run(config, tmp_path), [stage], {})
            continue
        with pytest.raises(type(error)):
            command.work(Run(config, tmp_path), [stage], {})
    assert codes == [0, 1, 1, 130]
    end(NoTracker(), 1)


def test_the_environment_wins_and_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert wandb_mode("auto") == "offline" and wandb_mode("online") == "online"
    for given, mode in (("offline", "offline"), ("dryrun", "offline"), ("ONLINE", "online"), ("disabled", "disabled")):
        monkeypatch.setenv(MODE, given)
        assert wandb_mode("auto") == wandb_mode("online") == wandb_mode("offline") == mode
    assert isinstance(make_tracker(WandBTracker(mode="online"), tmp_path, {}), NoTracker)
    monkeypatch.setenv(MODE, "sometimes")
    with pytest.raises(BadInput, match="WANDB_MODE=sometimes"):
        wandb_mode("auto")


def test_a_key_of_wandb_login_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_key() and any(KEY in line for line in missing_of(WandBTracker(mode="online")))
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n  login user\n  password 0123456789\n")
    assert has_key() and wandb_mode("auto") == "online" and not missing_of(WandBTracker(mode="online"))
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not has_key()
    (tmp_path / "netrc").write_text("what is this")
    assert not has_key()


def test_no_network_neither_kills_nor_delays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port of this machine: offline, which waits for nobody, said once, every step recorded."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv(KEY, "0" * 40)
    said: list[str] = []
    folder = tmp_path / "main-0a1b2c3d"
    tracker = WandB(WandBTracker(), TrackerTools(folder, VALUES), "online", said.append)
    tracker.log(row(1))
    tracker.finish(0)
    assert tracker.mode == "offline" and [r["step"] for r in history(folder)] == [1]
    assert sum("cannot be used" in line for line in said) == 1
    assert any("experiments.sync run=" in line and "wandb sync" in line and str(folder) in line for line in said)


def test_a_tracker_that_fails_later_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = WandB(WandBTracker(), TrackerTools(tmp_path / "main-0a1b2c3d", VALUES), "offline", said.append)
    tracker.run.finish()
    lines = len(said)
    for step in (1, 2, 3):
        tracker.log(row(step))
    tracker.finish(0)
    assert len(said) <= lines + 1


def test_whether_a_service_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert "127.0.0.1" in unavailable()
    monkeypatch.setenv("WANDB_BASE_URL", "nonsense")
    assert unavailable() == "nonsense is no address of a service"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    assert not unavailable()  # left to the package wandb, which knows such proxies


def test_a_call_is_waited_for_so_long_and_no_longer() -> None:
    assert within(5.0, lambda: 3) == 3
    with pytest.raises(OSError, match="no"):
        within(5.0, lambda: (_ for _ in ()).throw(OSError("no")))
    released = threading.Event()
    with pytest.raises(TimeoutError):  # and not the call's answer, for which it would have to wait
        within(0.05, lambda: released.wait(60))
    released.set()


def test_an_upload_without_key_or_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImageEditError, match="no run folder"):
        sync.main([f"run={tmp_path}"])
    with pytest.raises(BadInput, match="usage: python -m experiments.sync"):
        sync.main([str(tmp_path)])
    assert os.environ.get(KEY) is None


def test_a_finished_run_tells_its_results_samples_and_report(tmp_path: Path) -> None:
    from PIL import Image

    from common.filenames import folder_name
    from experiments.runs.results import Evaluation
    from experiments.runs.tracked_samples import MOST
    from experiments.runs.wandb_results import samples_table, summary_of
    from tests.made_up_runs import make_run

    folder = make_run(tmp_path / "main-0a1b2c3d")
    (folder / "report.html").write_text("<html></html>")
    evaluation = Evaluation.load(folder)
    for arm in ("editor", "agents"):
        for line in evaluation.arms[arm][: MOST + 3]:
            place = folder / "traces" / arm / folder_name(line["id"])
            place.mkdir(parents=True, exist_ok=True)
            for k in range(2):
                Image.new("RGB", (8, 8), (40 * k, 9, 9)).save(place / f"{k}.png")
    summary = summary_of(folder)
    assert summary["overall/agents_rl/low"] <= summary["overall/agents_rl"] <= summary["overall/agents_rl/high"]
    assert {"mean_f1/before", "mean_f1/after", "difference/mean_f1", "difference/agents_rl-editor"} <= set(summary)
    table = samples_table(folder)
    assert len(table.data) == MOST and table.columns[:4] == ["id", "request", "given", "picture of editor alone"]
    tracker = WandB(WandBTracker(), TrackerTools(folder, VALUES), "offline", [].append)
    tracker.summary({"seed": 0})
    tracker.finish(0)
    assert not tracker.broken
    told = records(folder)
    names = {
        i.key or "/".join(i.nested_key)
        for r in told
        if r.WhichOneof("record_type") == "summary"
        for i in r.summary.update
    }
    assert {"seed", "mean_f1/after", "overall/agents_rl/low", "difference/agents_rl-editor"} <= names
    assert "samples" in {name.split("/")[0] for line in history(folder) for name in line}
    assert any(r.artifact.type == "report" for r in told if r.WhichOneof("record_type") == "artifact") or any(
        r.request.log_artifact.artifact.type == "report" for r in told if r.WhichOneof("record_type") == "request"
    )
