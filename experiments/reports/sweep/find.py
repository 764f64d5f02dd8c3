"""The finished runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import BadInput, MissingFile
from experiments.catalogue.find import run_folders
from experiments.catalogue.state import state_of
from experiments.runs.failures import failures_in


class Found(NamedTuple):
    """The finished runs, where a page about them goes, and a line for each run that is in no table because it failed or has
    not ended."""

    runs: list[Path]
    out: Path
    absent: list[str]


def find_runs(arguments: Sequence[str]) -> Found:
    """A folder with runs.txt (a sweep) or with runs inside stands for them. Raises MissingFile where no run is finished."""
    if not arguments:
        raise BadInput("name run folders, or a sweep's folder: python -m experiments.report outputs/<run> …")
    runs = run_folders(arguments)
    finished = [r for r in runs if (r / "results.json").is_file()]
    absent = [f"{r}: {how_it_ended(r)}" for r in runs if r not in finished]
    absent += [line for argument in arguments for line in failures_in(Path(argument))]
    if not finished:
        reasons = "".join(f"\n  {line}" for line in absent)
        raise MissingFile(f"no finished run in {', '.join(arguments)}: a finished run has results.json{reasons}")
    first = Path(arguments[0])
    single = len(arguments) == 1 and not (first / "config.yaml").is_file()
    return Found(finished, first if single else finished[0].parent, absent)


def how_it_ended(run: Path) -> str:
    if state_of(run).word == "pruned":
        return "pruned, as others of its sweep were better"
    return "not finished; its command again goes on with it"
