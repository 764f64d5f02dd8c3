"""Commands that use editors, judges and trained decomposers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from omegaconf import MISSING

from common.ranges import MANY, number, seed_number
from conf.parts import part_field
from conf.schema.run import JobConfig
from conf.schema.shared import ExecutionConfig, PathsConfig, ScaleConfig, UnlikeSandbox


@dataclass
class EvaluateConfig:
    """`python -m experiments.evaluate`: arms and judges on any benchmark, or a finished run's decompositions. With a run the
    parts come from it, and what is given here replaces them."""

    keys_of_a_run: ClassVar[bool] = True  # keys of a group that is not chosen change the run's own part

    run: str = "none"  # the run's folder; none: the configured decomposer as it is, with scale, editor, ... from here
    out: str = MISSING  # folder; further benchmarks, judges and arms with the same out are added to its table
    arms: Any = "none"  # all | none (what is there is judged; of a run alone decompositions) | editor,agents,agents_rl
    pictures: str = ""  # folder of pictures edited elsewhere, <id>.png; an arm with the folder's name
    label: str = ""  # before the arms' names, so that several editors or runs stand in one table
    # at most so many units; all of a data set, or the scale's test_samples of the sandbox
    samples: int | None = number(None, 1, MANY)
    part: str = "all"  # mice_text, prepared: all | train | test (the run's held-out part)
    # arms=all of a run: as scale.editor_calls; null: as the run had it, on public benchmarks 0
    editor_calls: int | None = number(None, 0, 1000)
    # of a run on the sandbox, complex requests evaluated beside the others; null: as the run had it (scale.complex_samples); 0: off
    complex_samples: int | None = number(None, 0, 1_000_000)
    # where a run's decompositions are scored, k of pass@k before RL; null: as the run had it (scale.pass_at); 0: off
    pass_at: int | None = number(None, 0, 10_000)
    # units edited together and saved at a time; they decide the last bits of a picture. null: as a run has it (scale.chunk)
    # where a run can be trained on the benchmark, 8 elsewhere
    chunk: int | None = number(None, 1, 100_000)
    shard: int = number(0, 0, 99_999)  # which part of the work this process does ...
    # ... of so many; all parts write to the same out, and the last one to end reports
    shards: int = number(1, 1, 100_000)
    # dollars for a judge's calls on a benchmark, over all starts; it stops before it spends more
    budget: float | None = number(None, 0, 1e9)
    retry: bool = False  # do again what failed: edits without a picture, invalid verdicts (asked anew)
    gallery: int = number(4, 0, 1000)  # best, worst and most disputed items on the page, so many of each
    verbose: bool = False  # show what libraries print
    benchmark: Any = part_field()  # with arms=all the run's own, if none is given
    engine: Any = part_field()  # likewise
    metrics: Any = part_field()
    launcher: Any = part_field()  # in how many processes, each with its shard
    # of these an empty name means the run's own; a key alone (editor.steps=4) changes that key of it
    editor: Any = part_field()
    execution: ExecutionConfig = field(default_factory=lambda: ExecutionConfig(name=""))
    sequencer: Any = part_field()
    judge: Any = part_field()
    scale: ScaleConfig = field(default_factory=ScaleConfig)  # with run=none, likewise the next two
    decomposer: Any = part_field()
    rollouts: Any = part_field()
    allow_tiny: bool = False  # evaluate models that know the sandbox alone on pictures and texts that are unlike it
    unlike: UnlikeSandbox = field(default_factory=UnlikeSandbox)
    paths: PathsConfig = field(default_factory=PathsConfig)  # where the tiny checkpoints of an editor given here lie


@dataclass
class TeamUse:
    """What every command has that gives a team pictures to edit."""

    run: str | None = None  # take the trained decomposer of this run; else the tiny one after its supervised start
    seed: int = seed_number()
    allow_tiny: bool = False  # edit what is unlike the sandbox with models that know nothing else
    unlike: UnlikeSandbox = field(default_factory=UnlikeSandbox)
    verbose: bool = False  # show what libraries print
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    decomposer: Any = part_field()
    sequencer: Any = part_field()
    editor: Any = part_field()
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    rollouts: Any = part_field()
    engine: Any = part_field()
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class EditConfig(TeamUse):
    """`python -m experiments.edit`: the team on one's own pictures."""

    image: str | None = None  # a picture; or a folder of pictures, or a pattern such as 'scans/*.png'
    instruction: str | None = None  # taken as it is typed; "-": read from standard input
    instruction_file: str | None = None  # a text file with the instruction
    instructions: str | None = None  # for several pictures: a CSV with the columns file,instruction
    plan: str | None = None  # a trace.json: its calls again, or its sub_requests where they were changed in the file
    # null: <paths.outputs>/edits/<name of the picture>.png; the ending says the format. Of several pictures: a folder
    out: str | None = None
    # candidates with the seeds seed, seed+1, …; the judge picks one, without a judge it is the first
    n: int = number(1, 1, 64)
    judge: Any = part_field()  # picks among the candidates, and scores a single one; none: nobody does


@dataclass
class SessionConfig(TeamUse):
    """`python -m experiments.session`: several turns on one's own picture, in the terminal."""

    image: str | None = None  # the picture of a new session; null: a scene of the sandbox
    scene: int = number(0, 0, 99_999)  # number of that scene, among those that the models were never trained on
    out: str | None = None  # the session's folder, new or to go on with; null: <paths.outputs>/sessions/<what it is of>
    intent: Any = part_field()  # writes what a turn means by itself; null: the decomposer reads turns as they were said


@dataclass
class PlanConfig(JobConfig):
    """`python -m experiments.plan`: what an editor, the decomposer's training and the phases of a job need, computed without any
    weights. It takes the choices and keys of a run."""

    gpu: str = "h100"  # a name of common/gpus.py
    mfu: float = number(0.4, 0, 1, above=True)  # assumed share of the GPU's peak that is reached
    host_gb_s: float = number(25.0, 0, 1e6, above=True)  # assumed speed between main memory and GPU, for offloading
    gpus: int = number(8, 1, 100_000)  # that share the decomposer's training under ZeRO
    ratio: float = number(1.0, 0.01, 100)  # width / height of the picture
    instruction_tokens: int = number(30, 1, 1_000_000)
    request_tokens: int = number(100, 1, 1_000_000)  # of the decomposer's prompt, besides the picture
    out: str | None = None  # write the numbers to this file as well, as JSON


__all__ = ["EditConfig", "EvaluateConfig", "PlanConfig", "SessionConfig", "TeamUse"]
