"""Killed, interrupted or out of disk: what was computed stays, and the run ends as if nothing had happened."""

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import SaveFailed
from common.jsonl import read_jsonl
from rl import checkpoint
from tests.rl.runs import CONFIG, outcome, run
from tests.tiny_models import both_families


@pytest.fixture(scope="module")
def whole(tiny_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """The outcome of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    return outcome(run(tiny_vlm_path, out), out)


def test_two_halves_are_the_whole_bit_for_bit(tiny_vlm_path: Path, tmp_path: Path, whole: list) -> None:
    run(tiny_vlm_path, tmp_path, replace(CONFIG, steps=3))
    assert outcome(run(tiny_vlm_path, tmp_path), tmp_path) == whole
    before = (tmp_path / "metrics.jsonl").read_bytes()
    state = run(tiny_vlm_path, tmp_path)  # finished: nothing is done again
    assert state.step == 6 and state.checksum == whole[0] and (tmp_path / "metrics.jsonl").read_bytes() == before


@both_families
def test_the_logged_kl_is_to_the_runs_start_after_a_resumption_too(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """With no KL term in the loss the reference only serves the log; a resumed run must not measure from its own weights."""
    config = replace(CONFIG, kl_coef=0.0, kl_log_sequences=5)
    once = outcome(run(tiny_vlm_path, tmp_path / "a", config), tmp_path / "a")
    run(tiny_vlm_path, tmp_path / "b", replace(config, steps=3))
    twice = outcome(run(tiny_vlm_path, tmp_path / "b", config), tmp_path / "b")
    assert once == twice and once[1][-1]["kl/k3"] > once[1][0]["kl/k3"]


def test_a_broken_newest_checkpoint_is_passed_over(tiny_vlm_path: Path, tmp_path: Path, whole: list, caplog) -> None:
    run(tiny_vlm_path, tmp_path, replace(CONFIG, steps=5))
    state = tmp_path / "checkpoints" / "step-00000005" / "state.pt"
    raw = bytearray(state.read_bytes())
    raw[len(raw) // 2] ^= 1
    state.write_bytes(raw)
    assert outcome(run(tiny_vlm_path, tmp_path), tmp_path) == whole
    assert "sha256" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_last_step_and_interrupts(
    tiny_vlm_path: Path, tmp_path: Path, whole: list, number: int
) -> None:
    handler = signal.getsignal(number)
    config = replace(CONFIG, checkpoint_every=50)
    with pytest.raises(KeyboardInterrupt, match="step 3"):
        run(tiny_vlm_path, tmp_path, config, log=lambda m: os.kill(os.getpid(), number) if m["step"] == 3 else None)
    assert signal.getsignal(number) is handler
    assert checkpoint.Checkpoints(tmp_path / "checkpoints").steps() == [3]
    assert outcome(run(tiny_vlm_path, tmp_path, config), tmp_path) == whole


def test_a_signal_during_rollouts_does_not_train_on(tiny_vlm_path: Path, tmp_path: Path, whole: list) -> None:
    from tests.rl.runs import letters

    calls = []

    def reward(*a):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return letters(*a)

    with pytest.raises(KeyboardInterrupt, match="step 3"):
        run(tiny_vlm_path, tmp_path, replace(CONFIG, checkpoint_every=50), reward=reward)
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == 3
    assert outcome(run(tiny_vlm_path, tmp_path), tmp_path) == whole


def test_a_full_disk_leaves_the_older_checkpoint(tiny_vlm_path: Path, tmp_path: Path, whole: list, monkeypatch) -> None:
    write, room = checkpoint._Hashing.write, [1_500_000 * 2]

    def full(self, data):
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    run(tiny_vlm_path, tmp_path, replace(CONFIG, steps=2))
    room[0] = 100_000
    with monkeypatch.context() as m:
        m.setattr(checkpoint._Hashing, "write", full)
        with pytest.raises(SaveFailed, match="step 2 is intact"):
            run(tiny_vlm_path, tmp_path)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    assert outcome(run(tiny_vlm_path, tmp_path), tmp_path) == whole
