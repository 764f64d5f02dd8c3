"""Settings of a run that cannot work, refused before anything is loaded or written."""

from __future__ import annotations

from common.errors import BadInput
from common.progress import console
from conf.schema import RunConfig


def check_numbers(config: RunConfig) -> None:
    """Numbers that the parts do not check themselves. Raises BadInput."""
    positive = {
        "scale.image_size": config.scale.image_size,
        "scale.test_samples": config.scale.test_samples,
        "scale.chunk": config.scale.chunk,
        "algo.steps": config.algo.steps,
        "algo.prompts_per_step": config.algo.prompts_per_step,
    }
    for key, value in positive.items():
        if value < 1:
            raise BadInput(f"{key}={value} cannot be used; give 1 or more")
    if config.seed < 0 or config.scale.test_seed < 0:
        raise BadInput(f"seed={config.seed}, scale.test_seed={config.scale.test_seed}: seeds must be 0 or more")
    if not config.name or any(c in config.name for c in "/\\ "):
        raise BadInput(f"name='{config.name}' names a folder: use letters, digits, - and _")
    check_calls(config.scale.editor_calls)


def check_calls(calls: int | None) -> None:
    if calls is not None and calls < 0:
        raise BadInput(f"scale.editor_calls={calls} cannot be used; give 1 or more, 0 for none, null for the team's")


def check_training(config: RunConfig) -> None:
    """Parts that do not go together. Raises BadInput."""
    if console.is_terminal:
        console.print("[dim]loading torch …[/]")  # seconds in which nothing else can be seen
    from experiments.build.benchmarks import check_benchmark
    from experiments.build.device import device_of
    from experiments.build.engines import check_engine
    from experiments.build.judges import check_judge_of_run

    check_judge_of_run(config.judge)
    check_benchmark(config.benchmark)
    device_of(config.engine)
    check_engine(config.engine, config.launcher, config.algo, config.decomposer.dtype)


__all__ = ["check_calls", "check_numbers", "check_training"]
