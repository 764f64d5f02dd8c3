"""A run among others: its place in a sweep, the value that a sweep optimises, and an earlier run in the same folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.files import move_contents_aside, write_text
from common.progress import console
from conf.schema import RunConfig
from experiments.runs.run import Run


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
        raise BadInput(f"objective={given} is no number in {run.folder / 'results.json'}; give a dotted key of one")
    return None


def clear(folder: Path, force: bool) -> None:
    """With `force`, move what an earlier run left to a folder beside it; the lock file stays where it is."""
    if force and (folder / "config.yaml").is_file():
        console.print(f"force=true: the earlier run was moved to [bold]{move_contents_aside(folder)}[/]")


def note_sweep(config: RunConfig, folder: Path) -> None:
    """List the run in its sweep's folder, so that `python -m experiments.report <that folder>` finds it."""
    if not config.sweep:
        return
    listing = Path(config.paths.outputs) / "sweeps" / config.sweep / "runs.txt"
    existing = listing.read_text().splitlines() if listing.is_file() else []
    if str(folder) not in existing:
        write_text(listing, "\n".join([*existing, str(folder)]) + "\n")


__all__ = ["clear", "note_sweep", "objective"]
