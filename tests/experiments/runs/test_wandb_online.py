"""Uploads through the package wandb as installed, to a server on this machine that speaks W&B's interface."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import BadInput, RunFailed
from common.files import locked, read_json
from common.jsonl import Journal, read_jsonl
from experiments import sync
from experiments.runs.identity import identity, load_config
from experiments.runs.metric_names import tracked
from experiments.runs.results import flat
from experiments.runs.tracking import TrackerTools, WandBTracker, end, make_tracker
from experiments.runs.wandb_account import BASE, KEY, MODE, has_key, wandb_mode
from tests.experiments.runs.pictures import with_pictures
from tests.made_up_runs import make_run
from tests.wandb_server import KEY as SECRET
from tests.wandb_server import WandBServer, wandb_server

wandb = pytest.importorskip("wandb")
from experiments.runs import wandb_run, wandb_service  # noqa: E402
from experiments.runs.wandb_run import OLDER, WandB  # noqa: E402

VALUES = {"experiment": "main", "scale": {"name": "tiny"}, "algo": {"name": "grpo", "sft": {"steps": 0}}}
NAME = "main-0a1b2c3d"


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandBServer]:
    """One for all tests: W&B's helper process reads the address once."""
    patch, elsewhere = pytest.MonkeyPatch(), tmp_path_factory.mktemp("elsewhere")
    wandb.teardown()
    with wandb_server() as server:
        for name in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{name}_DIR", str(elsewhere / name))
        for name in (MODE, "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            patch.delenv(name, raising=False)
        patch.setenv(BASE, server.url)
        patch.setenv(KEY, SECRET)
        patch.setenv("NETRC", str(elsewhere / "netrc"))
        yield server
        server.heal()
        wandb.teardown()
    patch.undo()


@pytest.fixture
def server(one_server: WandBServer) -> Iterator[WandBServer]:
    one_server.runs.clear()
    one_server.artifacts.clear()
    one_server.operations.clear()
    yield one_server
    one_server.heal()
    assert not one_server.unknown


def row(step: int) -> dict[str, Any]:
    return {"step": step, "reward/mean": step / 10}


def opened(folder: Path, said: list[str] | None = None, finish_s: float = 20.0) -> WandB:
    lines = [] if said is None else said
    return WandB(WandBTracker(), TrackerTools(folder, VALUES, "sweep-1"), "online", lines.append, finish_s)


def test_a_run_that_was_stopped_and_goes_on_has_each_step_once(server: WandBServer, tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME / "metrics.jsonl")
    first = opened(tmp_path / NAME)
    for step in range(1, 6):
        journal.append([row(step)])
        first.log(row(step))
    first.finish(130)
    assert list(server.runs["0a1b2c3d"].steps()) == [1, 2, 3, 4, 5] and server.runs["0a1b2c3d"].exit_code == 130
    journal.cut_after(3)  # the last checkpoint's step: 4 and 5 are done again
    again = opened(tmp_path / NAME)
    assert (again.next, again.rows) == (6, 5)  # nothing that is there is sent again
    for step in range(4, 9):
        journal.append([row(step)])
        again.log(row(step))
    again.finish(0)
    assert list(server.runs) == ["0a1b2c3d"] and not first.broken and not again.broken
    run = server.runs["0a1b2c3d"]
    told = [(r["_step"], r["step"], r["reward/mean"]) for _, r in sorted(run.history.items())]
    assert told == [(k, k, k / 10) for k in range(1, 9)] and run.exit_code == 0
    assert run.settings == {"displayName": NAME, "groupName": "sweep-1", "jobType": "main", "tags": ["tiny", "grpo"],
                            "notes": f"python -m experiments.report {tmp_path / NAME}"}  # fmt: skip
    assert run.config["algo"]["value"] == VALUES["algo"]


@pytest.mark.slow
def test_a_finished_run_has_its_settings_results_samples_and_report(server: WandBServer, tmp_path: Path) -> None:
    folder = with_pictures(make_run(tmp_path / NAME, ("tracker=wandb",), steps=8), 3)
    values = identity(load_config(folder))
    rows = read_jsonl(folder / "metrics.jsonl")
    (folder / "metrics.jsonl").unlink()
    tracker = make_tracker(load_config(folder).tracker, folder, values, "sweep-1")
    for metrics in rows:
        tracker.log(metrics)
    tracker.summary(flat(read_json(folder / "results.json")))
    end(tracker, 0)
    run = server.runs["0a1b2c3d"]
    assert isinstance(tracker, WandB) and tracker.mode == "online" and not tracker.broken
    for metrics in rows:  # every number of every step
        assert tracked(metrics).items() <= run.steps()[metrics["step"]].items()
    assert {k: v["value"] for k, v in run.config.items() if k != "_wandb"} == json.loads(json.dumps(values))
    assert run.settings["jobType"] == "main" and {"tiny", "qwen", "grpo"} <= set(run.settings["tags"])
    assert run.settings["notes"].startswith("python -m experiments.report") and run.settings["groupName"] == "sweep-1"
    for when in ("before", "after"):
        assert (
            run.summary[f"mean_f1/{when}/low"] <= run.summary[f"mean_f1/{when}"] <= run.summary[f"mean_f1/{when}/high"]
        )
    for arm in ("editor", "agents", "agents_rl"):
        assert run.summary[f"overall/{arm}/low"] <= run.summary[f"overall/{arm}"] <= run.summary[f"overall/{arm}/high"]
    assert {f"difference/{x}{end}" for x in ("mean_f1", "agents_rl-editor") for end in ("", "/low", "/high")} <= set(
        run.summary
    )
    by_type = {a.type: a for a in server.artifacts.values()}
    assert all(a.committed for a in by_type.values())
    assert by_type["report"].files == {"report.html": b"<html>the report</html>"}
    table = json.loads(by_type["run_table"].files["samples.table.json"])
    assert table["columns"][:3] == ["id", "request", "given"] and len(table["data"]) >= 3
    pictures = [cell for line in table["data"] for cell in line if isinstance(cell, dict)]
    assert len(pictures) >= 4 * 3 and all(by_type["run_table"].files[p["path"]][1:4] == b"PNG" for p in pictures)
    assert run.exit_code == 0 and run.summary["samples"]["nrows"] == len(table["data"])


@pytest.mark.slow
def test_the_graph_of_models_and_evaluation_sets(server: WandBServer, tmp_path: Path) -> None:
    """A run makes an editor; another one starts from that folder, under another path, and uses the same artifact."""
    first = make_run(tmp_path / NAME, n=12, steps=2)
    made = tmp_path / NAME / "editor"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    large = make_run(tmp_path / "main-4e5f6a7b", n=12, steps=2)
    shutil.copytree(made, tmp_path / "elsewhere" / "editor")
    config = (large / "config.yaml").read_text()
    tiny = re.search(r"checkpoint: (\S*flux_kontext|\S*qwen_image_edit)", config)
    assert tiny
    (large / "config.yaml").write_text(config.replace(tiny[1], str(tmp_path / "elsewhere" / "editor")))
    sync.main([f"run={first}"])
    sync.main([f"run={large}"])
    assert not server.unknown
    (name,) = {a.name for a in server.artifacts.values() if a.name.startswith("editor-")}
    versions = [a for a in server.artifacts.values() if a.name == name]
    assert [(a.type, a.made_by, a.used_by) for a in versions] == [
        ("model", "0a1b2c3d", []), ("model", "", ["4e5f6a7b"])]  # fmt: skip
    one, other = ({name: f["digest"] for name, f in v.manifest["contents"].items()} for v in versions)
    assert one == other and set(one) == {
        "model.json",
        "model.safetensors",
        "config.json",
    }  # the service has one version
    sets = [a for a in server.artifacts.values() if a.type == "evaluation-set"]
    assert {a.used_by[0] for a in sets} == {"0a1b2c3d", "4e5f6a7b"} and len({a.name for a in sets}) == 1
    assert any(a.name.startswith("decomposer_direct-") and a.used_by == ["0a1b2c3d"] for a in server.artifacts.values())


def test_a_large_model_is_recorded_and_not_uploaded(tmp_path: Path) -> None:
    from experiments.runs.wandb_artifacts import CARD, Model, made_by

    folder = tmp_path / "run" / "rrm" / "gcpo"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"0" * 3000)
    (tmp_path / "run" / "checkpoints" / "5").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "5" / "config.json").write_text("{}")
    (model,) = made_by(tmp_path / "run")
    assert model == Model.of(folder) and model.name == f"gcpo-{model.digest}"
    assert set(model.artifact(1.0).manifest.entries) == {CARD, "config.json", "model.safetensors"}
    small = model.artifact(0.001)
    assert set(small.manifest.entries) == {CARD} and small.metadata == {"digest": model.digest, "bytes": 3002}


KILLED = """
import sys
from pathlib import Path
from common.jsonl import Journal
from tests.experiments.runs.test_wandb_online import NAME, opened, row
folder = Path(sys.argv[1]) / NAME
journal, tracker = Journal(folder / "metrics.jsonl"), opened(folder)
for step in range(1, 6):
    journal.append([row(step)])
    tracker.log(row(step))
print("five", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_run_that_was_killed_has_all_steps_once(server: WandBServer, tmp_path: Path) -> None:
    code = [sys.executable, "-c", KILLED, str(tmp_path)]
    own = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"}  # its own helper process, as after a reboot
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own) as process:
        assert process.stdout is not None and process.stdout.readline() == "five\n"
        process.send_signal(signal.SIGKILL)
    journal, again = Journal(tmp_path / NAME / "metrics.jsonl"), opened(tmp_path / NAME)
    for step in range(6, 9):
        journal.append([row(step)])
        again.log(row(step))
    again.finish(0)
    run = server.runs["0a1b2c3d"]
    assert list(server.runs) == ["0a1b2c3d"] and not again.broken
    assert [(k, r["step"], r["reward/mean"]) for k, r in run.steps().items()] == [(k, k, k / 10) for k in range(1, 9)]


@pytest.mark.slow
def test_a_run_that_was_offline_is_uploaded_later_and_twice_is_harmless(server: WandBServer, tmp_path: Path) -> None:
    folder = with_pictures(make_run(tmp_path / NAME, ("tracker=wandb",), steps=8), 2)
    values = identity(load_config(folder))
    offline = make_tracker(WandBTracker(mode="offline"), folder, values)
    end(offline, 0)
    assert not server.operations
    sync.main([f"run={folder}"])
    run = server.runs["0a1b2c3d"]
    steps = [r["step"] for r in run.history.values() if "reward/mean" in r]
    assert steps == list(range(1, 9)) and set(steps) <= set(run.steps()) and run.exit_code == 0
    assert {a.type for a in server.artifacts.values()} == {"run_table", "report", "model", "evaluation-set"}
    assert len(list((folder / OLDER).iterdir())) == 1  # the offline record: uploading it as well would give steps twice
    before = (dict(run.history), len(server.artifacts))
    sync.main([f"run={folder}"])
    assert (run.history, len(server.artifacts)) == before and list(server.runs) == ["0a1b2c3d"]
    (folder / "results.json").write_text((folder / "results.json").read_text() + "\n")  # other results: all anew
    sync.main([f"run={folder}", "group=other"])
    assert len(server.artifacts) == 2 * before[1] and run.settings["groupName"] == "other"
    (folder / "results.json").unlink()
    sync.main([f"run={folder}"])
    assert run.exit_code == 1  # no results: it did not end


@pytest.mark.slow
def test_the_other_command_that_is_named_uploads_the_record(server: WandBServer, tmp_path: Path) -> None:
    said: list[str] = []
    tracker = WandB(WandBTracker(), TrackerTools(tmp_path / NAME, VALUES), "offline", said.append)
    for step in range(1, 9):
        tracker.log(row(step))
    tracker.finish(0)
    words = said[0].partition("(or ")[2].rstrip(")").split()
    assert words[:2] == ["wandb", "sync"]
    subprocess.run(
        [sys.executable, "-m", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=600
    )
    assert list(server.runs["0a1b2c3d"].steps()) == list(range(1, 9))


def test_an_upload_is_refused_while_the_run_goes_on_or_the_environment_keeps_it_offline(
    server: WandBServer, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(finished_run), pytest.raises(BadInput, match="in use by another process"):
        sync.main([f"run={finished_run}"])
    monkeypatch.setenv(MODE, "offline")
    with pytest.raises(BadInput, match="WANDB_MODE in the environment keeps W&B offline"):
        sync.main([f"run={finished_run}"])
    monkeypatch.delenv(MODE)
    server.trouble = 500
    with pytest.raises(RunFailed, match="was not uploaded; the same command tries again"):
        sync.main([f"run={finished_run}"])
    assert not server.runs


@pytest.mark.parametrize("trouble", [401, 500, "hang", "refuses"])
def test_a_service_that_is_ill_at_the_start(
    trouble: int | str, server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(wandb_service, "WAIT_S", 0.5)
    if trouble == "refuses":
        monkeypatch.setenv(BASE, "http://127.0.0.1:9")
    else:
        server.trouble = trouble
    began, said = time.monotonic(), list[str]()
    tracker = opened(tmp_path / NAME, said)
    for step in range(1, 4):
        tracker.log(row(step))
    tracker.finish(0)
    assert time.monotonic() - began < 5 and tracker.mode == "offline" and not tracker.broken
    why = {
        401: "does not accept the key in WANDB_API_KEY",
        500: "answers with status 500",
        "hang": "no answer from http",
    }
    assert why.get(trouble, "broke off") in said[0] and "recorded offline" in said[0] and len(said) == 2
    no_key_in(tmp_path, [*said, *capfd.readouterr()])


def test_a_service_that_falls_ill_while_a_record_is_opened(
    server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(wandb_run, "INIT_S", 1.0)
    monkeypatch.setattr(wandb_run, "LEAVE_S", 0.5)
    server.trouble_at = ("RunResumeStatus", "hang")
    began, said = time.monotonic(), list[str]()
    tracker = opened(tmp_path / NAME, said)
    tracker.log(row(1))
    tracker.finish(0)
    assert time.monotonic() - began < 8 and tracker.mode == "offline" and not tracker.broken
    assert "W&B cannot be used" in said[0] and len(said) == 2
    no_key_in(tmp_path, [*said, *capfd.readouterr()])


@pytest.mark.parametrize("trouble", [401, 500, "hang"])
def test_a_service_that_falls_ill_later(
    trouble: int | str, server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Also where W&B itself ends without a word, as it does after a refusal: the service then has none of the steps."""
    monkeypatch.setattr(wandb_service, "WAIT_S", 0.5)
    said: list[str] = []
    tracker = opened(tmp_path / NAME, said, finish_s=1.0)
    server.trouble, began = trouble, time.monotonic()
    for step in range(1, 9):
        tracker.log(row(step))
    assert time.monotonic() - began < 1  # steps never wait
    tracker.finish(0)
    assert time.monotonic() - began < 5 and tracker.broken
    assert ["W&B stopped recording" in line for line in said] == [False, True]
    assert f"experiments.sync run={tmp_path / NAME}" in said[1]
    no_key_in(tmp_path, [*said, *capfd.readouterr()])


def test_rows_that_the_service_refuses_are_noticed(server: WandBServer, tmp_path: Path) -> None:
    """The rows alone are refused; W&B itself then ends as if all were well."""
    journal, said = Journal(tmp_path / NAME / "metrics.jsonl"), list[str]()
    journal.append(map(row, range(1, 6)))
    opened(tmp_path / NAME).finish(130)
    server.trouble, server.trouble_in = 404, "/file_stream"
    again = opened(tmp_path / NAME, said)
    for step in range(6, 9):
        again.log(row(step))
    again.finish(0)
    assert len(said) == 2 and "the service has 5 rows of 8" in said[1] and again.broken
    journal.append(map(row, range(6, 9)))
    server.heal()
    opened(tmp_path / NAME).finish(0)
    assert list(server.runs["0a1b2c3d"].steps()) == list(range(1, 9))


def test_results_are_not_waited_for_where_the_service_is_gone(
    server: WandBServer, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_service, "WAIT_S", 0.5)
    said: list[str] = []
    tracker = opened(with_pictures(finished_run, 1), said, finish_s=1.0)
    server.trouble, began = "hang", time.monotonic()
    tracker.summary({"seed": 0})
    tracker.finish(0)
    assert time.monotonic() - began < 5 and len(said) == 2 and not server.artifacts


def test_the_environment_keeps_a_run_offline_in_spite_of_a_key(
    server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODE, "offline")
    tracker = make_tracker(WandBTracker(mode="online"), tmp_path / NAME, VALUES)
    tracker.log(row(1))
    end(tracker, 0)
    assert isinstance(tracker, WandB) and tracker.mode == "offline" and not server.operations


def test_a_key_of_wandb_login_uploads(server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B writes the host with its port, and the address of an own server into its settings."""
    monkeypatch.delenv(KEY)
    (tmp_path / "netrc").write_text(f"machine {server.url[7:]}\n  login user\n  password {SECRET}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert has_key() and wandb_mode("auto") == "online"
    tracker = opened(tmp_path / NAME)
    tracker.log(row(1))
    tracker.finish(0)
    assert tracker.mode == "online" and list(server.runs["0a1b2c3d"].steps()) == [1] and not tracker.broken
    monkeypatch.delenv(BASE)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    assert not has_key()
    (tmp_path / "settings").write_text(f"[default]\nbase_url = {server.url}\n")
    assert has_key() and wandb_mode("auto") == "online"
    (tmp_path / "settings").write_text(f"[default]\nbase_url = {server.url}\nmode = offline\n")
    assert wandb_mode("auto") == "offline" and wandb_mode("online") == "online"


def no_key_in(folder: Path, printed: list[str]) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not [text for text in printed if SECRET in text]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert os.environ[KEY] == SECRET
