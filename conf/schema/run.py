"""The main job's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from common.filenames import name_field
from common.parts import incidental
from common.ranges import number, seed_number
from conf.parts import part_field
from conf.schema.shared import ExecutionConfig, PathsConfig, ScaleConfig, SessionsConfig, UnlikeSandbox

MAIN_JOB = (
    "experiments.runs.training.Supervised",
    "experiments.runs.evaluating.DecompositionsBefore",
    "experiments.runs.training.GRPO",
    "experiments.runs.evaluating.DecompositionsAfter",
    "experiments.runs.evaluating.Arms",
    "experiments.runs.evaluating.Results",
)


@dataclass
class PruneConfig:
    """When a run of a sweep is stopped before its end, because others of the sweep do better (experiments/runs/pruning.py)."""

    metric: str = ""  # of metrics.jsonl, larger is better, as reward/mean; "": nothing is pruned
    start: int = number(20, 1, 1_000_000)  # no run is pruned before this step
    every: int = number(10, 1, 1_000_000)  # steps between two looks at the others
    runs: int = number(3, 1, 1000)  # others that must have come as far


@dataclass
class JobConfig:
    """A job and its parts: what an `experiment=` may set, for a run and for its plan."""

    name: str = name_field("main", defines=False)  # first part of the output folder's name
    seed: int = seed_number()
    verbose: bool = incidental(False)  # show what libraries print, in place of keeping it in log.txt
    allow_tiny: bool = incidental(False)  # train models that know the sandbox alone on what is unlike it
    unlike: UnlikeSandbox = incidental(UnlikeSandbox)
    experiment: str = MISSING
    change: str = incidental("none")  # what an ablation changes (conf/change); the values that it sets count themselves
    job: list[str] = field(default_factory=lambda: list(MAIN_JOB))  # class paths of the stages, in order
    # of the stage experiments.runs.published.PublishedBenchmarks: choices of benchmark= and judge= of experiments.evaluate
    table_benchmarks: list[str] = incidental(list)
    table_judges: list[str] = incidental(list)  # the judges of these benchmarks
    # names of the stages that are run; null: all of them. What is done is not done again
    stages: list[str] | None = incidental(None)
    prune: PruneConfig = incidental(PruneConfig)
    objective: str | None = incidental(None)  # dotted key of results.json that a sweep optimises; null: the stages' own
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    decomposer: Any = part_field()
    sequencer: Any = part_field()
    editor: Any = part_field()
    reward: Any = part_field()
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    algo: Any = part_field()
    rollouts: Any = part_field()
    engine: Any = part_field()
    launcher: Any = part_field(defines=False)
    judge: Any = part_field()
    rrm: Any = part_field()  # the reasoning reward model of experiment=edit_r1
    intent: Any = part_field()  # what writes the intents of a session's turns, for experiment=edit_r2
    sessions: SessionsConfig = field(default_factory=SessionsConfig)
    benchmark: Any = part_field()
    tracker: Any = part_field(defines=False)
    paths: PathsConfig = incidental(PathsConfig)


@dataclass
class RunConfig(JobConfig):
    """`python -m experiments.run`"""

    force: bool = incidental(False)  # start anew where a run of this identity exists (the old folder is moved aside)
    # take phases that another run of this folder of outputs has finished (docs/sweeps.md); false: everything is done here
    share: bool = incidental(True)
    sweep: str = name_field("", defines=False)  # id of the sweep that the run is part of; set by itself


__all__ = ["MAIN_JOB", "JobConfig", "RunConfig"]
