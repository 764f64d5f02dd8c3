"""Finished phases of other runs: found while they are whole, taken as they are, and never at the cost of the run they come from."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from common.files import read_json, write_json, write_text
from experiments.sharing.phase import SharedPhase, without
from experiments.sharing.store import Store, forget_note, notes_of

PHASE = SharedPhase("grpo", {"values": {"seed": 0}}, ("metrics.jsonl", "decomposer"))


def made(folder: Path, text: str = "weights") -> Path:
    write_text(folder / "metrics.jsonl", '{"step": 1}\n')
    write_text(folder / "decomposer" / "model.safetensors", text)
    write_text(folder / "decomposer" / "deep" / "config.json", "{}")
    return folder


def offered(tmp_path: Path, name: str = "a") -> tuple[Store, Path]:
    store, folder = Store(tmp_path), made(tmp_path / name)
    store.offer(PHASE, folder, [{"phase": "sft", "seconds": 2.0}])
    return store, folder


def test_a_phase_is_taken_with_its_time_and_a_note_of_its_origin(tmp_path: Path) -> None:
    store, origin = offered(tmp_path)
    found = store.find(PHASE)
    assert found is not None
    store.take(PHASE, found, tmp_path / "b")
    taken = tmp_path / "b"
    for name in ("metrics.jsonl", "decomposer/model.safetensors", "decomposer/deep/config.json"):
        assert (taken / name).read_bytes() == (origin / name).read_bytes()
    assert notes_of(taken)["grpo"]["from"] == str(origin)
    assert '"seconds": 2.0, "from": "a"' in (taken / "timing.jsonl").read_text()


def test_weights_are_links_and_journals_are_copies(tmp_path: Path) -> None:
    """A journal that grows in one run must not grow in the other."""
    store, origin = offered(tmp_path)
    store.take(PHASE, store.find(PHASE), tmp_path / "b")  # type: ignore[arg-type]
    weights = "decomposer/model.safetensors"
    assert (origin / weights).samefile(tmp_path / "b" / weights)
    with (tmp_path / "b" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2}\n')
    assert (origin / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_what_an_unfinished_try_left_is_replaced(tmp_path: Path) -> None:
    store, _ = offered(tmp_path)
    write_text(tmp_path / "b" / "metrics.jsonl", '{"step": 7}\n')
    write_text(tmp_path / "b" / "decomposer" / "old.bin", "x")
    store.take(PHASE, store.find(PHASE), tmp_path / "b")  # type: ignore[arg-type]
    assert (tmp_path / "b" / "metrics.jsonl").read_text() == '{"step": 1}\n'
    assert not (tmp_path / "b" / "decomposer" / "old.bin").exists()
    store.take(PHASE, store.find(PHASE), tmp_path / "b")  # type: ignore[arg-type]  # again, over its own links
    assert (tmp_path / "b" / "decomposer" / "model.safetensors").read_text() == "weights"


@pytest.mark.parametrize("harm", ["folder", "file", "content", "longer", "touched", "entry", "entry is no list"])
def test_an_origin_that_is_not_as_it_was_is_not_there(tmp_path: Path, harm: str) -> None:
    store, origin = offered(tmp_path)
    weights = origin / "decomposer" / "model.safetensors"
    match harm:
        case "folder":
            shutil.rmtree(origin)
        case "file":
            weights.unlink()
        case "content":
            write_text(weights, "stiehgw")
        case "longer":
            write_text(weights, "weights and more")
        case "touched":
            os.utime(weights, ns=(1, 1))
        case "entry":
            store.entry(PHASE).write_text("{")
        case _:
            write_json(store.entry(PHASE), [1])
    assert store.find(PHASE) is None


def test_a_run_that_took_the_phase_serves_when_its_origin_is_gone(tmp_path: Path) -> None:
    store, origin = offered(tmp_path)
    store.take(PHASE, store.find(PHASE), tmp_path / "b")  # type: ignore[arg-type]
    store.offer(PHASE, tmp_path / "b", [])
    shutil.rmtree(origin)
    found = store.find(PHASE)
    assert found is not None and found.folder.name == "b"
    assert store.find(PHASE, besides=tmp_path / "b") is None  # a run takes nothing from itself


def test_a_folder_of_outputs_can_be_moved(tmp_path: Path) -> None:
    offered(tmp_path / "outputs")
    (tmp_path / "outputs").rename(tmp_path / "elsewhere")
    assert Store(tmp_path / "elsewhere").find(PHASE) is not None


def test_another_identity_is_another_phase(tmp_path: Path) -> None:
    store, _ = offered(tmp_path)
    assert store.find(SharedPhase("grpo", {"values": {"seed": 1}}, PHASE.leaves)) is None


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    store, order = Store(tmp_path), []
    entered = threading.Event()

    def first() -> None:
        with store.alone(PHASE, lambda: None):
            entered.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with store.alone(PHASE, lambda: order.append("waits")):
        order.append("second")
    thread.join()
    assert order == ["waits", "first", "second"]


def test_a_note_of_a_phase_that_was_not_taken_after_all_goes(tmp_path: Path) -> None:
    store, _ = offered(tmp_path)
    store.note(PHASE, store.find(PHASE), tmp_path / "b")  # type: ignore[arg-type]
    forget_note(tmp_path / "b", PHASE)
    assert read_json(tmp_path / "b" / "shared.json") == {}


def test_keys_are_taken_out_at_any_depth_and_nothing_else_changes() -> None:
    values = {"seed": 1, "scale": {"chunk": 2, "image_size": 64}, "editor": {"steps": 4}}
    assert without(values, ["editor", "scale.chunk", "judge.x", "seed.y"]) == {"seed": 1, "scale": {"image_size": 64}}
    assert values["scale"] == {"chunk": 2, "image_size": 64}
