"""Folders of runs, from what a command line names: a run, a sweep, or a folder with runs inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import MissingFile

CONFIG, LISTING, ASIDE = "config.yaml", "runs.txt", ".old-"


def run_folders(arguments: Sequence[str], aside: bool = False) -> list[Path]:
    """Every run that the arguments name, each once, in the order given. A folder with runs.txt (a sweep) stands for the runs it
    lists, another folder for the runs inside. `aside`: also those that force=true moved aside. Raises MissingFile."""
    by_path: dict[Path, Path] = {}
    for argument in arguments:
        for run in _runs_of(Path(argument), aside):
            by_path.setdefault(run.resolve(), run)  # a run named in two ways is one run
    return list(by_path.values())


def _runs_of(folder: Path, aside: bool) -> list[Path]:
    if (folder / CONFIG).is_file():
        return [folder]
    if (folder / LISTING).is_file():
        return [Path(line) for line in (folder / LISTING).read_text(encoding="utf-8").splitlines() if line]
    if not folder.is_dir():
        first = ", and python -m experiments.run makes the first one" if folder == Path("outputs") else ""
        raise MissingFile(f"there is no folder {folder}; runs lie in outputs/<name>-<hash>{first}")
    inside = sorted(p.parent for p in folder.glob(f"*/{CONFIG}"))
    return [run for run in inside if aside or ASIDE not in run.name]


__all__ = ["CONFIG", "run_folders"]
