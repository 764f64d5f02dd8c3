"""A run in its folder, as its stages see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import MissingFile
from common.jsonl import Journal
from conf.parts import with_keys
from conf.schema import RunConfig
from experiments.build.judges import takes_rubric
from experiments.evaluation.spec import EvaluationSpec
from experiments.runs.identity import START, TRAINED, identity
from experiments.runs.tracking import NoTracker, Tracker, logger
from experiments.runs.trainings import begin

if TYPE_CHECKING:
    from experiments.runs.stages import Stage
    from experiments.runs.team import TeamParts


@dataclass
class Run:
    """`phase` is what is being done, for the message when it is interrupted. What is heavy is loaded when it is first needed."""

    config: RunConfig
    folder: Path
    tracker: Tracker = field(default_factory=NoTracker)
    stages: Sequence[Stage] = ()
    phase: str = "setting up"

    def enter(self, phase: str) -> None:
        self.phase = phase

    @property
    def start(self) -> Path:
        """The decomposer before RL: the given checkpoint, or the one after the supervised start. Raises MissingFile where that
        was asked for and is not there yet."""
        if self.config.algo.sft.steps == 0:
            return Path(self.config.decomposer.checkpoint)
        return self._made(START, "supervised")

    @property
    def trained(self) -> Path:
        """The decomposer after RL. Raises MissingFile where it is not there yet."""
        return self._made(TRAINED, "grpo")

    def _made(self, name: str, stage: str) -> Path:
        folder = self.folder / name
        if not folder.is_dir():
            raise MissingFile(f"{folder} is not there yet; run the stage that makes it first (stages=[{stage},…])")
        return folder

    @property
    def edits_pictures(self) -> bool:
        """Whether the benchmark has pictures to edit, so that arms are compared."""
        return not self.config.benchmark.text_only

    @cached_property
    def parts(self) -> TeamParts:
        """The parts of a team, loaded once for all arms."""
        from experiments.preflight.editor import expected_edits
        from experiments.runs.team import TeamParts

        return TeamParts(self.config, self.start, expected_edits(self.config))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What defines the run."""
        return identity(self.config)

    def spec(self) -> EvaluationSpec:
        """The run's evaluation of itself: its own parts on the held-out samples, the same for every seed of the run, so that runs
        can be compared. A model as the judge scores by the paper's rubric, whose aspects the tables of runs have."""
        c = self.config
        done = self.folder / TRAINED
        return EvaluationSpec(
            used=replace(c, judge=_rubric_of_runs(c.judge)),
            out=self.folder,
            start=self.start,
            trained=done if done.is_dir() else None,
            samples=c.scale.test_samples,
            chunk=c.scale.chunk,
            editor_calls=0,
            traces=c.scale.strips,
            gallery=0,
        )

    def log_of(self, journal: str) -> Callable[[Mapping[str, Any]], None]:
        """What a training with this journal in the run's folder tells the tracker its steps by."""
        return logger(self.tracker, begin(self.folder, journal).name)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the block's seconds to timing.jsonl, whose rows of all processes are summed."""
        began = time.perf_counter()
        yield
        Journal(self.folder / "timing.jsonl").append([{"phase": what, "seconds": time.perf_counter() - began}])


def _rubric_of_runs(judge: Any) -> Any:
    return with_keys(judge, "judge", {"rubric": "paper"}) if takes_rubric(judge) else judge


__all__ = ["Run"]
