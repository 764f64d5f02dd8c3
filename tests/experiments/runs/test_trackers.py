"""TensorBoard, Trackio and several trackers at once, each with its real library: what they have of a run that was stopped, killed
or never stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.errors import BadInput
from common.jsonl import Journal
from experiments.runs.cli import compose, typed
from experiments.runs.guarded import Guarded
from experiments.runs.run import Run
from experiments.runs.tracked_samples import tracked_samples
from experiments.runs.tracking import ManyTrackers, NoTracker, end, logger, make_tracker, wandb_of
from tests.experiments.runs.pictures import with_pictures

VALUES = {"experiment": "main", "seed": 3, "scale": {"name": "tiny"}, "algo": {"name": "grpo"}}
Events = dict[str, list[tuple[int, float]]]


def row(step: int, value: float | None = None) -> dict[str, Any]:
    return {"step": step, "reward/mean": step / 10 if value is None else value, "grad_norm": 1.0, "time/step": 2.0}


@pytest.fixture
def trackio_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Trackio reads where it keeps things when it is imported."""
    pytest.importorskip("trackio")
    for name in [n for n in sys.modules if n == "trackio" or n.startswith("trackio.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    yield tmp_path / "trackio"
    for name in [n for n in sys.modules if n == "trackio" or n.startswith("trackio.")]:
        del sys.modules[name]


def part(*words: str) -> Any:
    return typed(compose("run", list(words))).tracker


def tensorboard_events(folder: Path) -> Events:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0})
    events.Reload()
    return {tag: [(e.step, round(e.value, 5)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def trackio_events(folder: Path) -> Events:
    from trackio.sqlite_storage import SQLiteStorage

    (record,) = [r for r in SQLiteStorage.get_run_records("imageedit-r1") if r["name"] == folder.name]
    out: Events = {}
    for line in SQLiteStorage.get_logs("imageedit-r1", folder.name, run_id=record["id"]):
        for key, value in line.items():
            if isinstance(value, int | float) and key != "step":
                out.setdefault(key, []).append((line["step"], round(value, 5)))
    return out


READERS: dict[str, Callable[[Path], Events]] = {"tensorboard": tensorboard_events, "trackio": trackio_events}
both = pytest.mark.parametrize("name", READERS)


def train(folder: Path, name: str, steps: range, journal: str = "metrics.jsonl", exit_code: int = 0) -> None:
    """A process of a run that does these steps of one training; its journal was cut to the checkpoint before them."""
    run = Run(typed(compose("run", [])), folder)
    run.tracker = make_tracker(part(f"tracker={name}"), folder, VALUES)
    log = run.log_of(journal)
    Journal(folder / journal).cut_after(steps.start - 1)
    for step in steps:
        Journal(folder / journal).append([row(step)])
        log(row(step))
    if exit_code >= 0:
        end(run.tracker, exit_code)


@both
def test_a_run_that_was_stopped_has_the_events_of_one_that_was_not(
    name: str, tmp_path: Path, trackio_folder: Path
) -> None:
    pytest.importorskip(name)
    whole, stopped = tmp_path / "main-0a1b2c3d", tmp_path / "main-4e5f6a7b"
    train(whole, name, range(1, 101))
    train(stopped, name, range(1, 54), exit_code=130)
    train(stopped, name, range(51, 101))  # the last checkpoint was at 50
    events = [READERS[name](folder) for folder in (whole, stopped)]
    for one in events:
        one.pop("exit_code", None)
    assert events[0] == events[1]
    assert events[0]["reward/mean"] == [(k, k / 10) for k in range(1, 101)]
    assert set(events[0]) >= {"reward/mean", "train/grad_norm", "time/step"}


@both
def test_a_run_that_was_killed_has_every_step_of_its_files_once(
    name: str, tmp_path: Path, trackio_folder: Path
) -> None:
    """Nothing was flushed: the events come from the journal."""
    pytest.importorskip(name)
    folder = tmp_path / "main-0a1b2c3d"
    train(folder, "jsonl", range(1, 6), exit_code=-1)
    train(folder, name, range(4, 9))
    assert READERS[name](folder)["reward/mean"] == [(k, k / 10) for k in range(1, 9)]


@both
def test_trainings_of_one_run_are_apart(name: str, tmp_path: Path, trackio_folder: Path) -> None:
    pytest.importorskip(name)
    folder = tmp_path / "edit_r1-0a1b2c3d"
    train(folder, name, range(1, 4), "rrm-sft.jsonl")
    train(folder, name, range(1, 3), "gcpo.jsonl")
    train(folder, name, range(1, 5))
    events, offset = READERS[name](folder), name == "trackio"
    assert [len(events[f"{k}reward/mean"]) for k in ("rrm-sft/", "gcpo/", "")] == [3, 2, 4]
    first = 1 + 5 * offset  # Trackio has one axis for all trainings
    assert [step for step, _ in events["reward/mean"]] == list(range(first, first + 4))


@both
def test_a_finished_run_has_its_scores_and_samples_with_pictures(
    name: str, tmp_path: Path, finished_run: Path, trackio_folder: Path
) -> None:
    pytest.importorskip(name)
    folder = with_pictures(finished_run, 3)
    tracker = make_tracker(part(f"tracker={name}"), folder, VALUES)
    tracker.summary({"seed": 3, "editor_settings/steps": 8, "arms.editor": 5.5})
    end(tracker, 0)
    events = READERS[name](folder)
    assert [v for _, v in events["summary/arms.editor"]] == [5.5] and "summary/overall/agents_rl" in events
    assert not {"summary/seed", "summary/editor_settings/steps"} & set(events)  # chosen, not measured
    if name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        shown = EventAccumulator(str(folder / "tensorboard"))
        shown.Reload()
        assert len(shown.Tags()["images"]) == len(tracked_samples(folder)) >= 3
        picture = shown.Images("samples/00")[0]
        assert picture.width == 4 * picture.height  # the given one, and one of each arm
        assert "_hparams_/session_start_info" in shown.summary_metadata
    else:
        from trackio.sqlite_storage import SQLiteStorage

        tables = [v for line in SQLiteStorage.get_logs("imageedit-r1", folder.name) for v in line.values()
                  if isinstance(v, Mapping) and v.get("_type") == "trackio.table"]  # fmt: skip
        assert len(tables) == 1 and "overall of team after RL" in tables[0]["_value"][0]
        assert len(list((trackio_folder / "media").rglob("*.png"))) == len(tracked_samples(folder)) >= 3


def test_a_tracker_that_fails_is_said_once_and_every_step_is_done(tmp_path: Path) -> None:
    class Failing:
        def log(self, metrics: Mapping[str, Any], training: str) -> None:
            calls.append(metrics["step"])
            raise OSError(28, "No space left on device")

        def summary(self, values: Mapping[str, Any]) -> None:
            raise AssertionError("not called after a fault")

        def finish(self, exit_code: int) -> None:
            calls.append("finished")
            raise OSError(28, "No space left on device")

    calls: list[Any] = []
    said: list[str] = []
    tracker = Guarded("Some", Failing, said=said.append)
    done = []
    for step in range(1, 6):
        tracker.log(row(step))
        done.append(step)
    tracker.summary({})
    tracker.finish(1)
    assert done == [1, 2, 3, 4, 5] and calls == [1, "finished"]
    assert len(said) == 1 and "No space left" in said[0] and "the run goes on" in said[0]


def test_a_folder_that_cannot_be_written_stops_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").write_text("a file is in the way")
    tracker = make_tracker(part("tracker=tensorboard"), tmp_path, VALUES)
    tracker.log(row(1))
    end(tracker, 0)
    assert "TensorBoard stopped recording" in capsys.readouterr().out


def test_several_at_once(tmp_path: Path, trackio_folder: Path) -> None:
    pytest.importorskip("tensorboard")
    many = part("tracker=many", "tracker.parts=[tensorboard,trackio]", "tracker.trackio.group=mine")
    assert isinstance(many, ManyTrackers) and many.trackio.group == "mine"
    folder = tmp_path / "main-0a1b2c3d"
    tracker = make_tracker(many, folder, VALUES)
    tracker.log(row(1))
    end(tracker, 0)
    assert [READERS[name](folder)["reward/mean"] for name in READERS] == [[(1, 0.1)], [(1, 0.1)]]


def test_an_unknown_part_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no 'tensorbord'.*tensorboard"):
        part("tracker=many", "tracker.parts=[tensorbord]")


def test_the_settings_of_wandb_are_found_in_any_tracker() -> None:
    assert wandb_of(part("tracker=many", "tracker.wandb.project=mine")).project == "mine"
    assert wandb_of(part("tracker=wandb", "tracker.project=mine")).project == "mine"
    assert wandb_of(part("tracker=jsonl")).project == "imageedit-r1"


def test_a_tracker_of_ones_own_may_know_no_trainings() -> None:
    class Own(NoTracker):
        def log(self, metrics: Mapping[str, Any]) -> None:  # type: ignore[override]
            seen.append(dict(metrics))

    seen: list[dict[str, Any]] = []
    logger(Own(), "gcpo")(row(1))
    assert seen == [row(1)]


def test_a_package_that_is_not_there_is_named() -> None:
    class Bare:
        def has_package(self, name: str) -> bool:
            return False

    for name in ("tensorboard", "trackio"):
        (line,) = part(f"tracker={name}").missing(Bare())
        assert f"package {name}" in line and "make extra-apps" in line
    assert len(list(part("tracker=many", "tracker.parts=[tensorboard,trackio]").missing(Bare()))) == 2
