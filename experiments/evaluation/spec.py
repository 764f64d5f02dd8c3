"""What an evaluation was asked to do: the command line, and a run's own parts where there is one, made into one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.item import Benchmark
from common.errors import BadInput, MissingFile
from conf.schema import BenchmarkConfig, EvaluateConfig, RunConfig
from experiments.evaluation.layout import Share
from experiments.evaluation.names import ARMS

NO = ("", "none", "null")  # how a command line says that there is none
TEXT_ONLY = ("mice_text",)


@dataclass(frozen=True)
class EvaluationSpec:
    """`used` is the configuration that is evaluated: the run's with what the command line names in it, or the command
    line's alone. `start` and `trained` are its decomposer before and after RL."""

    config: EvaluateConfig
    used: RunConfig
    start: Path
    trained: Path | None
    arms: tuple[str, ...]  # of ARMS; empty: what is there already is judged
    pictures: Path | None

    @property
    def out(self) -> Path:
        return Path(self.config.out)

    @property
    def share(self) -> Share:
        return Share(self.config.shard, self.config.shards)

    @property
    def judged(self) -> bool:
        return self.used.judge.name != "none"

    @property
    def benchmark_name(self) -> str:
        """Of its folder and column: with its protocol and language, for these are different items."""
        b = self.used.benchmark
        parts = [b.name, b.protocol, "" if b.language in ("", "all") else b.language]
        return "-".join(p for p in parts if p)

    def ready(self) -> None:
        """Prepare the libraries of models, where one runs in this process: loading them takes seconds."""
        if self.arms or self.used.judge.kind in ("vlm", "rrm") or self.config.metrics.names:
            from experiments.build.device import use_threads
            from experiments.runs.libraries import quiet_libraries

            quiet_libraries(self.config.verbose)
            use_threads(self.used.engine)

    def named(self, arm: str) -> str:
        """The arm's name in this folder: with `label`, so that several editors can be compared in one table."""
        return f"{self.config.label}/{arm}" if self.config.label else arm


def run_of(config: EvaluateConfig) -> Path | None:
    return None if config.run.strip().lower() in NO else Path(config.run)


def arms_of(config: EvaluateConfig, has_run: bool) -> tuple[str, ...]:
    """`all`, `none`, or names with commas between them."""
    given = config.arms if isinstance(config.arms, list) else str(config.arms).strip("[]() ").split(",")
    words = [str(w).strip() for w in given if str(w).strip()]
    if not words or words in (["none"], ["null"]):
        return ()
    if words == ["all"]:
        return ARMS if has_run else ARMS[:2]
    for word in words:
        if word not in ARMS:
            raise BadInput(f"arms={word} is unknown; choose all, none, or some of {', '.join(ARMS)}")
    if not has_run and "agents_rl" in words:
        raise BadInput("arms=agents_rl is the team after RL: it needs run=<folder of a finished run>")
    return tuple(a for a in ARMS if a in words)


def as_before(config: EvaluateConfig, words: Sequence[str]) -> bool:
    """Whether this is an evaluation of a run as a run evaluates itself: its decompositions (arms=none), or all its arms on
    the sandbox by the sandbox's judge, with the report of a run."""
    given = {w.partition("=")[0]: w.partition("=")[2] for w in words}
    measured = any(key.partition(".")[0] == "metrics" and value != "none" for key, value in given.items())
    more = config.pictures or config.label or measured or config.shards > 1 or config.launcher.processes > 1
    if run_of(config) is None or more:
        return False
    benchmark = given.get("benchmark", "sandbox") in ("sandbox", *TEXT_ONLY)
    judge = given.get("judge", config.judge.name or "sandbox") == "sandbox"
    return benchmark and judge and str(config.arms).strip() in ("all", "none")


def check(asked: EvaluationSpec) -> None:
    """Settings that contradict each other. Raises BadInput, MissingFile."""
    c, launcher = asked.config, asked.used.launcher
    _ = asked.share  # raises for a shard that is none
    for key, value, least in (("chunk", c.chunk, 1), ("gallery", c.gallery, 0)):
        if value < least:
            raise BadInput(f"{key}={value} cannot be used; give {least} or more")
    if c.budget is not None and c.budget < 0:
        raise BadInput(f"budget={c.budget} cannot be used; give dollars, 0 or more, or null for no limit")
    if c.editor_calls is not None:
        raise BadInput("editor_calls belongs to arms=all of a run on the sandbox; leave it out here")
    if "/" in c.label:
        raise BadInput(f"label={c.label}: a label has no / in it")
    if asked.pictures is not None:
        if not asked.pictures.is_dir():
            raise MissingFile(f"there is no folder pictures={asked.pictures}")
        if asked.pictures.name in ARMS and not c.label:
            raise BadInput(f"pictures={asked.pictures}: an arm of this project has that name; give label=<name> too")
    if launcher.nodes > 1:
        raise BadInput(
            "an evaluation on several machines is started on each: shard=<i> shards=<n>, the same out=<folder>"
        )
    if launcher.processes < 1:
        raise BadInput(f"launcher.processes={launcher.processes} must be 1 or more")


def open_benchmark(config: BenchmarkConfig, used: RunConfig) -> Benchmark:
    """Any benchmark of the catalogue, or the sandbox."""
    if config.name in TEXT_ONLY:
        raise BadInput(f"benchmark={config.name} has no pictures to edit; arms and judges need one with pictures")
    if config.name == "sandbox":
        from experiments.evaluation.sandbox import SandboxItems

        count = used.scale.test_samples if config.samples is None else config.samples
        if count < 1:
            raise BadInput(f"samples={count} cannot be used; give 1 or more")
        return SandboxItems(count, used.scale.test_seed, used.scale.image_size, config.max_edits)
    from benchmarks import catalogue

    given = {k: v for k, v in asdict(config).items() if k not in ("name", "max_edits", "train_share")}
    return catalogue.load(config.name, **given)


def benchmark_identity(asked: EvaluationSpec) -> dict[str, Any]:
    """Settings that choose items; where the data lie does not."""
    values = asdict(asked.used.benchmark)
    return {k: v for k, v in values.items() if k not in ("path", "train_share")} | {"place": asked.benchmark_name}


def resolve(config: EvaluateConfig, words: Sequence[str]) -> EvaluationSpec:
    """Raises BadInput, MissingFile for what cannot be evaluated."""
    from experiments.evaluate import composed, swapped
    from experiments.runs.identity import START, TRAINED, load_config

    run = run_of(config)
    if run is None:
        used = composed([w for w in words if _of_a_run(w)])
        start, trained = Path(used.decomposer.checkpoint), None
    else:
        own = sorted(k for w in words if (k := w.partition("=")[0]).partition(".")[0] in ("scale", "decomposer"))
        if own:
            raise BadInput(f"{', '.join(own)} come from run={run}; leave them out, or run=none")
        settings = load_config(run)
        if not (run / TRAINED).is_dir():
            raise MissingFile(
                f"{run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
            )
        used = replace(swapped(settings, words), launcher=config.launcher)
        if any(w.partition("=")[0].partition(".")[0] == "rollouts" for w in words):
            used = replace(used, rollouts=config.rollouts)
        start = run / START if (run / START).is_dir() else Path(settings.decomposer.checkpoint)
        trained = run / TRAINED
    if config.samples is not None:
        used = replace(used, benchmark=replace(used.benchmark, samples=config.samples))
    pictures = Path(config.pictures) if config.pictures else None
    asked = EvaluationSpec(config, used, start, trained, arms_of(config, trained is not None), pictures)
    check(asked)
    return asked


GROUPS = (
    "scale",
    "decomposer",
    "sequencer",
    "editor",
    "execution",
    "rollouts",
    "engine",
    "launcher",
    "judge",
    "benchmark",
)


def _of_a_run(word: str) -> bool:
    return word.partition("=")[0].lstrip("+~").partition(".")[0] in (*GROUPS, "paths")


__all__ = ["EvaluationSpec", "arms_of", "as_before", "benchmark_identity", "open_benchmark", "resolve", "run_of"]
