"""A run among others: its place in a sweep, the value that a sweep optimises, and an earlier run in the same folder."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from common.dotted import nearest
from common.errors import BadInput
from common.files import move_contents_aside, waiting, write_text
from common.progress import console
from conf.schema import RunConfig
from experiments.catalogue.scores import numbers
from experiments.catalogue.state import FINISHED, state_of

if TYPE_CHECKING:
    from experiments.runs.run import Run

LISTING = "runs.txt"  # of a sweep's folder: the folders of its finished runs, absolute
SEARCHED = "optimization_results.yaml"  # of a search's folder, by Hydra's Optuna sweeper


def objective(run: Run, values: Mapping[str, Any]) -> float | None:
    """The number in results.json that `objective=` names, or the one that the last stage with an objective declares; None where
    no stage has one. Raises BadInput for a key that is no number there."""
    given = run.config.objective
    declared = [key for stage in run.stages if (key := stage.objective(run))]
    key = given or (declared[-1] if declared else "")
    if not key:
        return None
    node: Any = values
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if isinstance(node, int | float) and not isinstance(node, bool):
        return float(node)
    if given:
        place, near = run.folder / "results.json", nearest(given, sorted(numbers(values)))
        raise BadInput(
            f"objective={given} is no number in {place}{near}. The run itself is finished; "
            "repeat the command with a key that is there"
        )
    return None


def clear(folder: Path, force: bool) -> None:
    """With `force`, move what an earlier run left to a folder beside it; the lock file stays where it is."""
    if force and (folder / "config.yaml").is_file():
        console.print(f"force=true: the earlier run was moved to [bold]{move_contents_aside(folder)}[/]")


def note_sweep(config: RunConfig, folder: Path) -> None:
    """List the run in its sweep's folder, so that `python -m experiments.report <that folder>` finds it."""
    if not config.sweep:
        return
    listing = sweep_folder(config.paths.outputs, config.sweep) / LISTING
    with waiting(listing.with_name(".runs.lock")):  # jobs of a sweep end at the same time
        existing = listing.read_text().splitlines() if listing.is_file() else []
        if str(folder.resolve()) not in existing:
            write_text(listing, "\n".join([*existing, str(folder.resolve())]) + "\n")


def sweep_folder(outputs: str | Path, sweep: str) -> Path:
    return Path(outputs) / "sweeps" / sweep


def print_sweep(outputs: str | Path, sweep: str) -> None:
    """Where a sweep that has ended lies, and how to see it."""
    folder = sweep_folder(outputs, sweep)
    listing = folder / LISTING
    listed = map(Path, listing.read_text().splitlines()) if listing.is_file() else ()
    states = Counter(state_of(run).word for run in listed)
    runs = states.pop(FINISHED, 0)
    others = "".join(f", {number} {state}" for state, number in sorted(states.items()))
    console.print(f"sweep: [bold]{folder}[/], {runs} finished run{'' if runs == 1 else 's'}{others}", soft_wrap=True)
    if runs:
        console.print(
            f"their tables and plots: python -m experiments.report {shlex.quote(str(folder))}", soft_wrap=True
        )


def print_best(path: Path) -> None:
    """The settings that a search ends with, as words for a run; nothing where the sweep was none."""
    if not path.is_file():
        return
    found = OmegaConf.to_container(OmegaConf.load(path))
    if isinstance(found, dict) and "best_params" in found:
        words = " ".join(f"{key}={value}" for key, value in found["best_params"].items())
        console.print(f"best: {found['best_value']:.4g} with {words}", markup=False, soft_wrap=True)


__all__ = ["LISTING", "SEARCHED", "clear", "note_sweep", "objective", "print_best", "print_sweep", "sweep_folder"]
