"""`python -m experiments.run`: train the decomposer by GRPO, compare three arms, write results.json and report.html.

The folder is named by what defines the run: the same command again resumes an interrupted run, or shows a finished one.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from conf.schema import RunConfig
from experiments.runs.cli import command


def main(config: RunConfig) -> None:
    from common.files import locked, read_json, write_text
    from common.progress import clock, console
    from experiments.preflight.run import preflight
    from experiments.reports.run.terminal import print_results
    from experiments.runs.identity import config_text, identity, run_folder

    began = time.monotonic()
    preflight(config)
    check_numbers(config)
    folder = run_folder(config)
    if config.force or not (folder / "results.json").is_file():
        check_training(config)
    with locked(folder):
        clear(folder, config.force)
        finished = (folder / "results.json").is_file()
        if finished:
            console.print(f"[bold]{folder}[/] is finished: showing its results (force=true runs it anew)")
        else:
            known = (folder / "config.yaml").is_file()
            console.print(f"[bold]{folder}[/]: " + ("going on with an interrupted run" if known else "a new run"))
            if not known:
                write_text(folder / "config.yaml", config_text(config))
            work(config, folder, identity(config))
        note_sweep(config, folder)
        if not finished or not (folder / "report.html").is_file():
            from experiments.reports.run.page import write_report

            write_report(folder)
    print_results(folder, read_json(folder / "results.json"))
    console.print(f"report: [bold]{folder / 'report.html'}[/]   total time: {clock(time.monotonic() - began)}")


def work(config: RunConfig, folder: Path, values: dict) -> None:
    """The job with its tracker, which is finished whatever happens; an interrupt says where it came to."""
    from experiments.runs.job import Job
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.results import flat
    from experiments.runs.tracking import make_tracker

    quiet_libraries(config.verbose)
    tracker = make_tracker(config.tracker, folder, values)
    job = Job(config, folder, tracker)
    try:
        tracker.summary(flat(job.run()))
    except KeyboardInterrupt as e:
        where = f" ({e})" if str(e) else ""
        raise KeyboardInterrupt(
            f"stopped during {job.phase}{where}; nothing that was done is lost: the same command goes on from here"
        ) from e
    finally:
        tracker.finish()


def check_training(config: RunConfig) -> None:
    """Refuse training numbers that cannot work before the run's folder is there."""
    from common.progress import console

    if console.is_terminal:
        console.print("[dim]loading torch …[/]")  # seconds in which nothing else can be seen
    from experiments.build.benchmarks import check_benchmark
    from experiments.build.device import device_of
    from experiments.build.engines import check_engine
    from experiments.build.judges import check_judge_of_run
    from experiments.runs.arms import check_calls

    check_calls(config.scale.editor_calls)
    check_judge_of_run(config.judge)
    check_benchmark(config.benchmark)
    device_of(config.engine)
    check_engine(config.engine, config.launcher, config.algo, config.decomposer.dtype)


def clear(folder: Path, force: bool) -> None:
    """With `force`, move what an earlier run left to a sub-folder's name beside it; the lock file stays where it is."""
    from common.files import move_contents_aside
    from common.progress import console

    if force and (folder / "config.yaml").is_file():
        console.print(f"force=true: the earlier run was moved to [bold]{move_contents_aside(folder)}[/]")


def check_numbers(config: RunConfig) -> None:
    """Refuse numbers that cannot work before anything is loaded; parts check their own."""
    from common.errors import BadInput
    from rewards.compose import RewardSpec

    RewardSpec.from_weights(asdict(config.reward.weights))
    positive = {
        "scale.image_size": config.scale.image_size,
        "scale.test_samples": config.scale.test_samples,
        "scale.chunk": config.scale.chunk,
        "algo.steps": config.algo.steps,
        "algo.prompts_per_step": config.algo.prompts_per_step,
        "engine.threads": config.engine.threads,
    }
    for key, value in positive.items():
        if value < 1:
            raise BadInput(f"{key}={value} cannot be used; give 1 or more")
    if config.seed < 0 or config.scale.test_seed < 0:
        raise BadInput(f"seed={config.seed}, scale.test_seed={config.scale.test_seed}: seeds must be 0 or more")
    if not 0 <= config.benchmark.train_share <= 1:
        raise BadInput(f"benchmark.train_share={config.benchmark.train_share} is no share; give 0 to 1")
    if not config.name or any(c in config.name for c in "/\\ "):
        raise BadInput(f"name='{config.name}' names a folder: use letters, digits, - and _")


def note_sweep(config: RunConfig, folder: Path) -> None:
    """List the run in its sweep's folder, so that `python -m experiments.report <that folder>` finds it."""
    from common.files import write_text

    if not config.tracker.group:
        return
    listing = Path(config.paths.outputs) / "sweeps" / config.tracker.group / "runs.txt"
    known = listing.read_text().splitlines() if listing.is_file() else []
    if str(folder) not in known:
        write_text(listing, "\n".join([*known, str(folder)]) + "\n")


if __name__ == "__main__":
    command("run", main)
