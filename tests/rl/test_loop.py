"""The resumable loop: ten steps are five, a new process, and five more; ranks leave together; limits hold."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import BadInput, RunFailed
from common.jsonl import read_jsonl
from rl.checkpoint import Checkpoints
from rl.clock import Clock
from rl.loop import LoopState, StepResult, run_loop


class Fit:
    """A least-squares fit by Adam. Half of its noise comes from torch's own generator, which a resumption must restore."""

    def __init__(self, usable: Any = lambda k: True) -> None:
        torch.manual_seed(1)
        self.model, self.usable = torch.nn.Linear(3, 2), usable
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)

    def step(self, k: int, clock: Clock) -> StepResult:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(k)) + torch.randn(8, 3)
        loss = (self.model(x) - x[:, :2]).square().mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return StepResult({"loss": loss.item()}, [{"step": k + 1, "x": float(x[0, 0])}], self.usable(k))

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def fit(algorithm: Any, steps: int, folder: Path, identity: dict | None = None, **extra: Any) -> LoopState:
    settings = {"name": "fit", "checkpoint_every": 3} | extra
    return run_loop(algorithm, steps=steps, identity=identity or {"seed": 0}, folder=folder, **settings)


def files(folder: Path) -> list[Any]:
    return [read_jsonl(folder / "fit.jsonl"), read_jsonl(folder / "fit-rows.jsonl")]


def stop_at(step: int, number: int = signal.SIGTERM) -> Any:
    return lambda done, total, metrics: os.kill(os.getpid(), number) if done == step else None


def test_ten_is_five_and_five(tmp_path: Path) -> None:
    whole, rest = Fit(), Fit()
    assert fit(whole, 10, tmp_path / "a").resumed_from == 0
    fit(Fit(), 5, tmp_path / "b")
    state = fit(rest, 10, tmp_path / "b")
    assert (state.step, state.resumed_from) == (10, 5) and state.metrics == files(tmp_path / "b")[0][-1]
    assert torch.equal(whole.model.weight, rest.model.weight)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    before = (tmp_path / "b" / "fit.jsonl").read_bytes()
    assert fit(Fit(), 10, tmp_path / "b") == LoopState(10, 10, state.metrics)  # finished: nothing is done again
    assert (tmp_path / "b" / "fit.jsonl").read_bytes() == before


def test_a_crash_between_checkpoints_repeats_the_lost_steps(tmp_path: Path) -> None:
    whole, again = Fit(), Fit()
    fit(whole, 10, tmp_path / "a")

    def crash(metrics: dict[str, float]) -> None:
        if metrics["step"] == 8:
            raise SystemError

    with pytest.raises(SystemError):
        fit(Fit(), 10, tmp_path / "b", log=crash)
    assert fit(again, 10, tmp_path / "b").resumed_from == 6
    assert torch.equal(whole.model.weight, again.model.weight)
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_last_step(tmp_path: Path, number: int) -> None:
    with pytest.raises(KeyboardInterrupt, match="fit stopped after step 4"):
        fit(Fit(), 10, tmp_path, progress=stop_at(4, number))
    assert fit(Fit(), 10, tmp_path).resumed_from == 4


def test_a_signal_within_a_step_gives_that_step_up_at_its_safe_point(tmp_path: Path) -> None:
    class Careful(Fit):
        def step(self, k: int, clock: Clock) -> StepResult:
            if k == 4:
                os.kill(os.getpid(), signal.SIGINT)
            clock.safe_point()
            return super().step(k, clock)

    whole, again = Fit(), Fit()
    fit(whole, 6, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt, match="after step 4"):
        fit(Careful(), 6, tmp_path / "b")
    assert fit(again, 6, tmp_path / "b").resumed_from == 4
    assert torch.equal(whole.model.weight, again.model.weight)


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    fit(Fit(), 3, tmp_path)
    with pytest.raises(BadInput, match="differs in lr"):
        fit(Fit(), 6, tmp_path, {"seed": 0, "lr": 1})


def test_steps_without_anything_to_learn_from_end_the_training(tmp_path: Path) -> None:
    def usable(k: int) -> bool:
        return k < 2 or k == 3

    with pytest.raises(RunFailed, match="3 consecutive"):
        fit(Fit(usable), 20, tmp_path, max_missing_steps=3)
    assert [r["update/missing_steps"] for r in files(tmp_path)[0]] == [0, 0, 1, 0, 1, 2, 3]
    with pytest.raises(RunFailed, match="step 7: 3 consecutive"):  # the count is part of the checkpoint of step 6
        fit(Fit(usable), 20, tmp_path, max_missing_steps=3)


class SecondOfTwo:
    """The other rank sees `theirs` wherever this one gathers."""

    rank, world_size = 1, 2

    def __init__(self, theirs: Any = None) -> None:
        self.theirs = theirs

    def all_gather(self, value: Any) -> list[Any]:
        return [value if self.theirs is None else self.theirs(value), value]


def test_only_the_first_rank_writes_and_a_signal_to_any_stops_all(tmp_path: Path) -> None:
    assert fit(Fit(), 4, tmp_path, ranks=SecondOfTwo()).step == 4
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt, match="after step 1"):
        fit(Fit(), 4, tmp_path, ranks=SecondOfTwo(lambda value: True if value is False else value))


def test_ranks_that_see_different_checkpoints_are_refused(tmp_path: Path) -> None:
    fit(Fit(), 3, tmp_path)
    with pytest.raises(RunFailed, match="shared folder"):
        fit(Fit(), 6, tmp_path, ranks=SecondOfTwo(lambda value: 6))


def test_the_main_training_of_a_folder_has_no_name(tmp_path: Path) -> None:
    fit(Fit(), 2, tmp_path, name="")
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.jsonl", "samples.jsonl", "checkpoints"}
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2]


def test_an_algorithm_may_want_no_further_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The training ends with its checkpoint, and the same command does not go past it unless the algorithm changes its mind."""
    done: list[int] = []
    state = fit(Fit(), 10, tmp_path, log=lambda m: done.append(1), stopped=lambda: "enough" if len(done) == 5 else "")
    assert (state.step, state.stopped) == (5, "enough") and "ends after step 5 of 10: enough" in caplog.text
    assert Checkpoints(tmp_path / "checkpoints-fit").steps()[-1] == state.step
    assert fit(Fit(), 10, tmp_path, stopped=lambda: "enough").step == state.step
    assert fit(Fit(), 10, tmp_path).step == 10
