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

    check_exact_editor(config)
    check_judge_of_run(config.judge)
    check_loop(config)
    if note := loop_note(config):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    check_benchmark(config.benchmark)
    device_of(config.engine)
    check_engine(config.engine, config.launcher, config.algo, config.decomposer.dtype)


def loop_note(config: RunConfig) -> str:
    """What a user should know before a closed loop is trained by GRPO alone; "" where nothing is unusual."""
    supervised = getattr(config.algo, "sft", None)
    if not config.execution.looped or supervised is None or supervised.steps:
        return ""
    return (
        "execution=loop without a supervised part (algo.sft.steps=0) assumes a decomposer that knows how a loop is answered; "
        "experiment=loop teaches it first, and takes the quick editor"
    )


def check_exact_editor(config: RunConfig) -> None:
    """An editor whose pictures are approximate is not trained, and nothing is trained by its pictures. Raises BadInput."""
    if not config.editor.approximations:
        return
    trained = hasattr(config.algo, "sampling_steps") or hasattr(config.algo, "sessions_per_step")
    if not trained and not config.reward.pictures and not config.execution.looped:
        return
    why = f"algo={config.algo.name} trains it" if trained else "its pictures are rewards"
    raise BadInput(
        f"editor={config.editor.name} is approximate ({', '.join(config.editor.approximations)}) and {why}; train with "
        "editor.quantization=none editor.cache=none editor.attention=auto, and evaluate with them afterwards"
    )


__all__ = ["check_exact_editor", "check_name", "check_training", "loop_note"]
