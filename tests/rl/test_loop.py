"""The resumable loop: ten steps are five, a new process, and five more."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from common.errors import BadData
from rl.loop import run_steps


class Training:
    """A least-squares fit by Adam: everything that changes lies in two parts."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.model = torch.nn.Linear(3, 2)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.parts = {"model": self.model, "optimizer": self.optimizer}

    def step(self, k: int) -> dict[str, float]:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(k))
        loss = (self.model(x) - x[:, :2]).square().mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"loss": loss.item()}

    def run(self, steps: int, folder: Path, identity: dict | None = None, **extra) -> int:
        return run_steps("fit", steps, self.step, self.parts, identity or {"seed": 0}, folder, every=3, **extra)


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "fit.jsonl").read_text().splitlines()]


def test_ten_is_five_and_five(tmp_path: Path) -> None:
    whole, part, rest = Training(), Training(), Training()
    assert whole.run(10, tmp_path / "a") == 0
    part.run(5, tmp_path / "b")
    assert rest.run(10, tmp_path / "b") == 5
    assert torch.equal(whole.model.weight, rest.model.weight)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


def test_a_kill_between_checkpoints_repeats_the_lost_steps(tmp_path: Path) -> None:
    whole, killed, again = Training(), Training(), Training()
    whole.run(10, tmp_path / "a")

    def die(done: int, metrics: dict[str, float]) -> None:
        if done == 8:
            raise SystemError

    with pytest.raises(SystemError):
        killed.run(10, tmp_path / "b", after=die)
    assert again.run(10, tmp_path / "b") == 6
    assert torch.equal(whole.model.weight, again.model.weight)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


def test_a_signal_saves_the_last_step(tmp_path: Path) -> None:
    stopped = Training()

    def ask(done: int, metrics: dict[str, float]) -> None:
        if done == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt, match="after step 4"):
        stopped.run(10, tmp_path, after=ask)
    assert Training().run(10, tmp_path) == 4


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    Training().run(3, tmp_path)
    with pytest.raises(BadData, match="differs in lr"):
        Training().run(6, tmp_path, {"seed": 0, "lr": 1})
