"""`python -m experiments.dashboard sweep=outputs/sweeps/<sweep>`: compare runs in a workspace and a report on
Weights & Biases.

Instead of a sweep: runs=outputs/<run>,outputs/<run>. The runs must be in one W&B project (tracker=wandb, or experiments.sync).
Learning curves are grouped by what the runs differ in; then come final results, rollout health, time and memory, and samples.
The same command changes its pages in place. dry_run=true asks nobody and writes the specification to dashboard-spec.json beside
the runs. Other keys: project=<name>, entity=<team>, title=<text>.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    sweep: str = "<folder>"
    runs: str = "<folder,folder>"
    project: str = "of the runs"
    entity: str = "of the runs"
    title: str = "name of the sweep"
    dry_run: str = "false"


def main(argv: Sequence[str]) -> None:
    from pathlib import Path

    from common.errors import BadInput, MissingFile
    from common.filenames import check_name
    from common.files import write_json
    from common.plain_command import read_options
    from common.progress import console
    from experiments.catalogue.find import run_folders
    from experiments.dashboards.contents import contents
    from experiments.dashboards.wandb_pages import Pages
    from experiments.runs.identity import load_config
    from experiments.runs.tracking import wandb_of
    from experiments.runs.wandb_account import KEY, MODE, has_key, wandb_mode
    from experiments.runs.wandb_service import rows_known, whose_key

    options = read_options(Options, argv, "experiments.dashboard")
    given = {k: v for k, v in vars(options).items() if v != getattr(Options, k)}
    if ("sweep" in given) == ("runs" in given):
        raise BadInput("give sweep=<folder>, or runs=<folder>,<folder>")
    if options.dry_run not in ("true", "false"):
        raise BadInput(f"dry_run={options.dry_run} is neither true nor false")
    words = [options.sweep] if "sweep" in given else [w for w in options.runs.strip("[]").split(",") if w.strip()]
    runs = run_folders([word.strip() for word in words])
    if not runs:
        raise MissingFile(f"no run in {', '.join(words)}; runs lie in outputs/<name>-<hash>")
    part = wandb_of(load_config(runs[0]).tracker)
    project, entity = given.get("project", part.project), given.get("entity", part.entity or "")
    check_name(project, "project", 128)
    if entity:
        check_name(entity, "entity", 128)
    place = Path(options.sweep) if "sweep" in given else runs[0].resolve().parent
    title = given.get("title", place.resolve().name if "sweep" in given else f"{len(runs)} runs")
    made = contents(runs, title)
    if options.dry_run == "true":
        path = write_json(place / "dashboard-spec.json", Pages(made, entity, project).specification())
        console.print(f"specification: {path}", markup=False, soft_wrap=True)
        return
    if wandb_mode("online") != "online":
        raise BadInput(f"{MODE} in the environment keeps W&B offline; unset it, or give dry_run=true")
    if not has_key():
        raise MissingFile(
            f"W&B needs the key {KEY} in the environment, or in ~/.netrc (wandb login); dry_run=true needs none"
        )
    pages = Pages(made, entity or whose_key(), project)
    absent = [run for run, key in zip(runs, made.ids, strict=True) if rows_known(pages.entity, project, key) is None]
    for run in absent:
        console.print(f"not in {pages.entity}/{project} yet: python -m experiments.sync run={run}", markup=False)
    if len(absent) == len(runs):
        raise MissingFile(
            f"none of the runs is in {pages.entity}/{project}; give the project and entity that they are in"
        )
    for what, address in zip(("workspace", "report"), pages.save(place), strict=True):
        console.print(f"{what}: {address}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__)
