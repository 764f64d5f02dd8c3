"""`python -m experiments.run`: train the decomposer by GRPO, compare three arms, write results.json and report.html.

The folder is named by what defines the run: the same command again resumes an interrupted run, or shows a finished one. The job
is the list of stages that `experiment=` chooses; `stages=[a,b]` runs a part of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.schema import RunConfig
from experiments.runs.cli import command

if TYPE_CHECKING:
    from experiments.runs.run import Run
    from experiments.runs.stages import Stage


def main(config: RunConfig) -> float | None:
    """Returns what a sweep optimises, where this run has it. A job of a sweep that fails is noted in the sweep's folder."""
    from common.progress import console
    from experiments.runs.failures import note_failure
    from experiments.runs.nodes import on_this_node
    from experiments.runs.pruning import Pruned

    try:
        return on_this_node(config, run_job)
    except Pruned as early:
        console.print(early, markup=False, soft_wrap=True)
        return None
    except Exception as error:
        note_failure(config, error)
        raise


def run_job(config: RunConfig) -> float | None:
    """The stages that are not done, then the tables and the report."""
    from common.files import locked, read_json, write_text
    from common.progress import clock, console
    from experiments.preflight.limits import check_limits
    from experiments.preflight.run import preflight
    from experiments.preflight.unlike_sandbox import check_run
    from experiments.reports.run.terminal import print_results
    from experiments.runs.checks import check_name, check_training
    from experiments.runs.contents import known_by_name
    from experiments.runs.failures import forget_failure, job_name
    from experiments.runs.identity import config_text, identity, run_folder
    from experiments.runs.run import Run
    from experiments.runs.status import kept, note_score
    from experiments.runs.sweeps import clear, note_sweep, objective

    began = time.monotonic()
    forget_failure(config)  # of an earlier try
    check_limits(config)
    check_name(config)
    stages, chosen = the_stages(config)
    preflight(config, chosen)
    values = identity(config)
    folder = run_folder(config, values)
    if config.force or not (folder / "results.json").is_file():
        check_training(config)
        for unlike in check_run(config):
            console.print(f"allowed by allow_tiny=true: {unlike}", markup=False)
    with locked(folder):
        clear(folder, config.force)
        finished = (folder / "results.json").is_file()
        run = Run(config, folder, stages=stages)
        if finished and all(stage.done(run) for stage in chosen):
            console.print(f"[bold]{folder}[/] is finished: showing its results (force=true runs it anew)")
        else:
            existing = (folder / "config.yaml").is_file()
            console.print(f"[bold]{folder}[/]: " + ("going on with an interrupted run" if existing else "a new run"))
            for line in sorted({n for g in values for n in known_by_name(getattr(config, g))}):
                console.print(f"note: {line}")
            if not existing:
                write_text(folder / "config.yaml", config_text(config))
            note_sweep(config, folder)  # before the work, so that a report names a run that did not end
            with kept(folder, job_name(config)):
                work(run, chosen, values)
        if not (folder / "results.json").is_file():
            console.print(f"stages {', '.join(s.name for s in chosen)}: done in {clock(time.monotonic() - began)}")
            return None
        note_sweep(config, folder)
        if not (folder / "report.html").is_file():
            from experiments.reports.run.page import write_report

            write_report(folder)
    results = read_json(folder / "results.json")
    print_results(folder, results)
    for stage in stages:
        stage.show(run, results)
    console.print(f"report: [bold]{folder / 'report.html'}[/]   total time: {clock(time.monotonic() - began)}")
    value = objective(run, results)
    note_score(folder, value)
    return value


def the_stages(config: RunConfig) -> tuple[list[Stage], list[Stage]]:
    """The whole job, and the stages that are to be run."""
    from experiments.runs.stages import load_stages, selected

    stages = load_stages(config.job)
    return stages, selected(stages, config.stages)


def work(run: Run, stages: Sequence[Stage], values: dict[str, Any]) -> None:
    """Every stage that is not done, with the run's tracker, which is finished whatever happens; an interrupt says where it came
    to."""
    from common.files import read_json
    from common.jsonl import Journal
    from experiments.build.device import use_threads
    from experiments.reports.run.page import write_report
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.results import flat
    from experiments.runs.surroundings import working
    from experiments.runs.tracking import end, make_tracker
    from experiments.sharing.doing import do_stage

    quiet_libraries(run.config.verbose, run.folder)
    use_threads(run.config.engine)
    Journal(run.folder / "timing.jsonl").cut_after(0)  # a line that a kill tore; its rows carry no step and stay
    run.tracker = make_tracker(run.config.tracker, run.folder, values, run.config.sweep)
    results, exit_code = Path(run.folder) / "results.json", 1
    try:
        with working(run.config):
            for stage in stages:
                if not stage.done(run):
                    run.enter(stage.name)
                    do_stage(run, stage, values)
        if results.is_file():
            if (run.folder / "config.yaml").is_file():
                write_report(run.folder)  # before the tracker ends, which keeps it
            run.tracker.summary(flat(read_json(results)))
        exit_code = 0
    except KeyboardInterrupt as e:
        exit_code = 130
        where = f" ({e})" if str(e) else ""
        raise KeyboardInterrupt(
            f"stopped during {run.phase}{where}; nothing that was done is lost: the same command goes on from here"
        ) from e
    finally:
        end(run.tracker, exit_code)


if __name__ == "__main__":
    command("run", main)
