"""Settings of a run that cannot work, refused before anything is loaded or written."""

from __future__ import annotations

from common.errors import BadInput
from common.progress import console
from conf.schema import RunConfig


def check_name(config: RunConfig) -> None:
    """The first part of the folder's name; what it may hold was checked with the configuration. Raises BadInput."""
    if not config.name or " " in config.name:
        raise BadInput(f"name='{config.name}' names a folder: use letters, digits, - and _")


def check_training(config: RunConfig) -> None:
    """Parts that do not go together. Raises BadInput."""
    if console.is_terminal:
        console.print("[dim]loading torch …[/]")  # seconds in which nothing else can be seen
    from experiments.build.benchmarks import check_benchmark
    from experiments.build.device import device_of
    from experiments.build.engines import check_engine
    from experiments.build.judges import check_judge_of_run
    from experiments.build.loops import check_loop

    check_judge_of_run(config.judge)
    check_loop(config)
    check_benchmark(config.benchmark)
    device_of(config.engine)
    check_engine(config.engine, config.launcher, config.algo, config.decomposer.dtype)


__all__ = ["check_name", "check_training"]
