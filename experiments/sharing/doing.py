"""Do a phase of a run, or take it from another run that has the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadData
from common.jsonl import read_jsonl
from common.progress import console
from experiments.sharing.phase import SharedPhase
from experiments.sharing.stage_phases import phase_of
from experiments.sharing.store import TIMES, Store, forget_note

if TYPE_CHECKING:
    from experiments.runs.run import Run
    from experiments.runs.stages import Stage


def do_stage(run: Run, stage: Stage, values: Mapping[str, Any]) -> None:
    """Do what is left of a stage of the run whose identity is `values`, or take it from another run. A stage with sharing of its
    own sees to that itself."""
    phase = None if stage.own_sharing else phase_of(stage, run.stages, run.config, values)
    if phase is None:
        stage.run(run)
    else:
        take_or_make(run, phase, partial(stage.run, run))


def take_or_make(
    run: Run, phase: SharedPhase, make: Callable[[], Any], fine: Callable[[], bool] = lambda: True
) -> None:
    """`make()` does what is left of the phase; it is not called where another run has it. `fine()` says afterwards whether others
    may have it. With share=false the phase is made and nobody is told; with force=true it is made in any case."""
    if not run.config.share:
        make()
        return
    store = Store(Path(run.config.paths.outputs))

    def waits() -> None:
        console.print(f"  {phase.name}: waiting for another run that is doing the same", markup=False)

    with store.alone(phase, waits):
        origin = None if run.config.force else store.find(phase, run.folder)
        if origin is not None:
            store.take(phase, origin, run.folder)
            console.print(f"  {phase.name}: taken from {origin.folder} (share=false does it anew)", markup=False)
            if phase.steps and (run.folder / phase.steps).is_file():
                log = run.log_of(phase.steps)
                for row in read_jsonl(run.folder / phase.steps):
                    log(row)
            times = origin.times
        else:
            forget_note(run.folder, phase)
            before = len(_times(run.folder))
            make()
            times = _times(run.folder)[before:]
        if fine():
            store.offer(phase, run.folder, times)


def _times(folder: Path) -> list[dict[str, Any]]:
    try:
        return read_jsonl(folder / TIMES) if (folder / TIMES).is_file() else []
    except BadData:  # a line that a kill tore; it is cut off when the run goes on
        return []


__all__ = ["do_stage", "take_or_make"]
