"""What is known of a job before it starts: its run's folder, whether it is finished, what it may have in common with others."""

from __future__ import annotations

from pathlib import Path

from common.errors import ImageEditError
from experiments.runs.composing import compose, typed
from experiments.runs.identity import identity, run_folder
from experiments.runs.run import Run
from experiments.runs.stages import load_stages, selected
from experiments.runs.status import status_of
from experiments.runs.sweeps import note_sweep
from experiments.sharing.stage_phases import phase_of
from experiments.sweeping.job import FINISHED, PRUNED, Job


def plan(job: Job, sweep: str) -> None:
    """Fill in the job. One that cannot be composed or named stays as it is: its own process says why."""
    try:
        config = typed(compose("run", list(job.words)), sweep)
        values = identity(config)
        stages = load_stages(config.job)
        chosen = selected(stages, config.stages)
    except ImageEditError:
        return
    job.folder = run_folder(config, values)
    run = Run(config, job.folder, stages=stages)
    if config.force:
        return
    if config.prune.metric and status_of(job.folder).get("state") == PRUNED:
        job.reused = True
        job.end(PRUNED)
        return
    left = [stage for stage in chosen if not stage.done(run)]
    if not left and finished(job.folder, whole=len(chosen) == len(stages)):
        job.reused, job.score = True, status_of(job.folder).get("score")
        job.end(FINISHED)
        note_sweep(config, job.folder)
        return
    if config.share:
        phases = (phase_of(stage, stages, config, values) for stage in left)
        job.phases = tuple(phase for phase in phases if phase is not None)


def finished(folder: Path, whole: bool) -> bool:
    """Whether its process would only show what is there."""
    ended = status_of(folder).get("state") == "finished"
    return ended and (not whole or (folder / "report.html").is_file())


__all__ = ["plan"]
