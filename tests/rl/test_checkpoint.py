"""Checkpoints and journals on their own, without a model."""

import errno
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import BadData, BadInput, MissingFile, SaveFailed
from common.jsonl import Journal, read_jsonl
from rl import checkpoint
from rl.checkpoint import Checkpoints, rng_state, set_rng_state


def state(k: int) -> dict:
    return {"x": torch.full((1000,), float(k)), "k": k, "name": "é"}


def test_round_trip_keeps_the_newest(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path / "c", keep=2)
    assert held.latest() is None
    for k in (1, 2, 30):
        held.save(k, state(k))
    assert held.steps() == [2, 30]
    step, result = held.latest()
    assert step == result["k"] == 30 and torch.equal(result["x"], state(30)["x"])
    held.save(30, state(30))  # saving a step again is no error
    assert held.steps() == [2, 30]


def damage_cut(folder: Path) -> None:
    raw = (folder / "state.pt").read_bytes()
    (folder / "state.pt").write_bytes(raw[: len(raw) // 2])


def damage_flip(folder: Path) -> None:
    raw = bytearray((folder / "state.pt").read_bytes())
    raw[700] ^= 4
    (folder / "state.pt").write_bytes(raw)


def damage_no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, damage_no_manifest, damage_manifest])
def test_damage_is_seen_and_the_previous_one_used(tmp_path: Path, damage, caplog) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, state(1))
    damage(held.save(2, state(2)))
    assert held.latest()[0] == 1 and "step-00000002 is passed over" in caplog.text


def test_drafts_of_a_killed_save_are_ignored_and_cleared(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, state(1))
    (tmp_path / ".draft-step-00000002").mkdir()
    assert held.steps() == [1]
    held.save(3, state(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001", "step-00000003"]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path, monkeypatch, where: str) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, state(1))

    def full(*a, **k):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(checkpoint._Hashing if where == "write" else checkpoint.os, where, full)
        with pytest.raises(SaveFailed, match="step 1 is intact"):
            held.save(2, state(2))
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"] and held.latest()[0] == 1


def test_random_states_come_back(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path)
    held.save(1, rng_state())
    draw = lambda: (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: E731
    first = draw()
    set_rng_state(held.latest()[1])
    assert draw() == first


def test_keep_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        Checkpoints(tmp_path, keep=0)


def test_journal_is_cut_to_a_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "sub" / "m.jsonl")
    journal.cut_after(3)  # no file yet: nothing to do
    journal.append({"step": k, "text": "ä\n"} for k in (1, 1, 2, 3))
    journal.append([{"note": "no step"}])
    with journal.path.open("a") as f:
        f.write('{"step": 2, "te')  # what a kill leaves
    journal.cut_after(1)
    assert read_jsonl(journal.path) == [{"step": 1, "text": "ä\n"}] * 2 + [{"note": "no step"}]
    assert list(tmp_path.glob("sub/*")) == [journal.path]


def test_unreadable_rows_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n\nnonsense\n{"step": 2}\n')
    with pytest.raises(BadData, match="line 3"):
        read_jsonl(path)
    path.write_text(json.dumps([1]) + "\n")
    with pytest.raises(BadData, match="line 1"):
        read_jsonl(path)
    with pytest.raises(MissingFile):
        read_jsonl(tmp_path / "none.jsonl")


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a file, not a folder")
    with pytest.raises(SaveFailed):
        Journal(tmp_path / "f" / "m.jsonl").append([{"step": 1}])
