"""The finished runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import BadInput, MissingFile
from common.progress import console


def find_runs(arguments: Sequence[str]) -> tuple[list[Path], Path]:
    """(finished runs, where a page about them goes). A folder with runs.txt (a sweep) or with runs inside stands for them."""
    if not arguments:
        raise BadInput("name run folders, or a sweep's folder: python -m experiments.report outputs/<run> …")
    runs: list[Path] = []
    for argument in arguments:
        folder = Path(argument)
        if (folder / "config.yaml").is_file():
            runs.append(folder)
        elif (folder / "runs.txt").is_file():
            runs += [Path(line) for line in (folder / "runs.txt").read_text().splitlines() if line]
        elif folder.is_dir():
            runs += sorted(p.parent for p in folder.glob("*/config.yaml") if ".old-" not in p.parent.name)
        else:
            raise MissingFile(f"there is no folder {folder}; runs lie in outputs/<name>-<hash>")
    by_path: dict[Path, Path] = {}
    for run in runs:
        by_path.setdefault(run.resolve(), run)  # a run named in two ways is one run
    runs = list(by_path.values())
    finished = [r for r in runs if (r / "results.json").is_file()]
    for run in runs:
        if run not in finished:
            console.print(f"[dim]{run} is not finished and left out: its command again goes on with it[/]")
    if not finished:
        raise MissingFile(f"no finished run in {', '.join(arguments)}: a finished run has results.json")
    first = Path(arguments[0])
    single = len(arguments) == 1 and not (first / "config.yaml").is_file()
    return finished, first if single else finished[0].parent
