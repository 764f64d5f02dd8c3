"""What is evaluated, with which parts, and where the rows go. A run makes one for itself; the command makes one from its words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.item import Benchmark
from common.errors import BadInput, MissingFile
from conf.schema import RunConfig
from conf.schema.shared import UnlikeSandbox
from experiments.build.benchmarks import BenchmarkTools
from experiments.build.benchmarks import open_benchmark as open_part
from experiments.build.metrics import MetricSet
from experiments.evaluation.names import ARMS
from experiments.evaluation.shares import Share
from experiments.preflight.limits import check_draws
from experiments.runs.contents import values_with_content


@dataclass(frozen=True)
class EvaluationSpec:
    """`used` is the configuration that is evaluated. `start` and `trained` are its decomposer before and after RL."""

    used: RunConfig
    out: Path
    start: Path
    trained: Path | None = None
    arms: tuple[str, ...] = ()  # of ARMS; the pictures of other arms in the folder are judged too
    decompositions: tuple[str, ...] = ()  # of "before", "after"
    pass_at: int = 0  # k of pass@k before RL, where "before" is among them; 0: off
    pass_samples: int | None = None  # answers drawn of each item for it; None: k
    edited: int | None = None  # at most so many units have their pictures edited and judged; None: all
    editor_calls: int | None = 0  # of the editor alone on an item; None: as many as the team made there; 0: off
    pictures: Path | None = None  # a folder of pictures that were edited elsewhere, as one more arm
    label: str = ""  # before the arms' names, so that several editors can be compared in one table
    samples: int | None = None  # at most so many units; None: all
    part: str = "test"  # of a benchmark that a run trains on: all | train | validation | test
    chunk: int = 8  # units that are edited, or decomposed, together
    share: Share = field(default_factory=Share)
    budget: float | None = None  # dollars for the judge's calls, over all starts
    retry: bool = False  # do again what failed
    metrics: Any = field(default_factory=lambda: MetricSet("none"))
    traces: int = 0  # items whose traces are kept, evenly spaced over the benchmark
    gallery: int = 4  # items of each kind on the page
    run: str = "none"  # the run's folder, for the report
    verbose: bool = False
    allow_tiny: bool = True  # models that know the sandbox alone may edit what is unlike it
    unlike: UnlikeSandbox = field(default_factory=UnlikeSandbox)  # from when on it is unlike it

    @property
    def judged(self) -> bool:
        return self.used.judge.verdicts and not self.text_only

    @property
    def text_only(self) -> bool:
        return self.used.benchmark.text_only

    @property
    def benchmark_name(self) -> str:
        """With its protocol and language, for these are different items: the name of its folder and of its column."""
        return place_of(self.used.benchmark)

    @property
    def checkpoints(self) -> dict[str, Path]:
        """The decomposers that can be scored: before RL, and after it where there is one."""
        return {"before": self.start} | ({} if self.trained is None else {"after": self.trained})

    @property
    def drawn(self) -> tuple[str, ...]:
        """The decomposers of which answers are drawn."""
        return ("before",) if self.pass_at and "before" in self.decompositions else ()

    @property
    def draws(self) -> int:
        """Answers of each item."""
        return self.pass_at if self.pass_samples is None else self.pass_samples

    def named(self, arm: str) -> str:
        """The arm's name in this folder."""
        return f"{self.label}/{arm}" if self.label else arm

    def prepare_libraries(self) -> None:
        """Where a model runs in this process: fix its threads and quiet its libraries, whose imports take seconds."""
        if self.arms or self.decompositions or self.used.judge.local_model or self.metrics.names:
            from experiments.build.device import use_threads
            from experiments.runs.libraries import quiet_libraries

            quiet_libraries(self.verbose, self.out)
            use_threads(self.used.engine)


def place_of(benchmark: Any) -> str:
    """The name of a benchmark's folder and column: with what tells its items from others of the same benchmark."""
    return str(getattr(benchmark, "place", benchmark.name))


def check(spec: EvaluationSpec) -> None:
    """Refuse settings that contradict each other. Raises BadInput, MissingFile."""
    for key, value, least in (("chunk", spec.chunk, 1), ("gallery", spec.gallery, 0)):
        if value < least:
            raise BadInput(f"{key}={value} cannot be used; give {least} or more")
    if spec.budget is not None and spec.budget < 0:
        raise BadInput(f"budget={spec.budget} cannot be used; give dollars, 0 or more, or null for no limit")
    if spec.editor_calls is not None and spec.editor_calls < 0:
        raise BadInput(
            f"editor_calls={spec.editor_calls} cannot be used; give 1 or more, 0 for none, null for the team's"
        )
    if spec.drawn:
        check_draws(spec.pass_at, spec.draws)
    if spec.part not in PARTS:
        raise BadInput(f"part={spec.part} is unknown; choose {', '.join(PARTS[:-1])} or {PARTS[-1]}")
    if spec.text_only and (spec.arms or spec.pictures is not None):
        raise BadInput(f"benchmark={spec.used.benchmark.name} has no pictures to edit; choose one with pictures")
    if "/" in spec.label:
        raise BadInput(f"label={spec.label}: a label has no / in it")
    if spec.pictures is not None:
        if not spec.pictures.is_dir():
            raise MissingFile(f"there is no folder pictures={spec.pictures}")
        if spec.pictures.name in ARMS and not spec.label:
            raise BadInput(f"pictures={spec.pictures}: an arm of this project has that name; give label=<name> too")
    launcher = spec.used.launcher
    if launcher.nodes > 1:
        raise BadInput(
            "an evaluation on several machines is started on each: shard=<i> shards=<n>, the same out=<folder>"
        )
    if launcher.processes < 1:
        raise BadInput(f"launcher.processes={launcher.processes} must be 1 or more")


PARTS = ("all", "train", "validation", "test")


def open_benchmark(spec: EvaluationSpec) -> Benchmark:
    """The items that are evaluated. Raises BadInput, BadData, MissingFile."""
    if spec.samples is not None and spec.samples < 1:
        raise BadInput(f"samples={spec.samples} cannot be used; give 1 or more")
    scale = spec.used.scale
    tools = BenchmarkTools(scale.image_size, scale.test_samples, scale.test_seed, spec.samples, spec.part)
    return open_part(spec.used.benchmark, tools)


def benchmark_identity(spec: EvaluationSpec) -> dict[str, Any]:
    """The settings that choose items; where the data lie is no part of it."""
    values = values_with_content(spec.used.benchmark)
    if spec.samples is not None:
        values["samples"] = spec.samples
    return {k: v for k, v in values.items() if k != "train_share"} | {"place": spec.benchmark_name}


__all__ = ["EvaluationSpec", "benchmark_identity", "check", "open_benchmark", "place_of"]
