"""`python -m experiments.sync run=outputs/<run>`: upload a run's steps, results, samples and report to
Weights & Biases.

Everything comes from the run's own files, whatever tracker it had, and however often it was stopped. Other keys: project=<name>,
entity=<team>, group=<name>.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UPLOAD_S = 600.0  # seconds at most to wait for the upload


@dataclass(frozen=True)
class Options:
    run: str = "<folder>"
    project: str = "of the run"
    entity: str = "of the run"
    group: str = "of the run"


def main(argv: Sequence[str]) -> None:
    from dataclasses import replace

    from common.errors import BadInput, MissingFile, RunFailed
    from common.filenames import check_name
    from common.files import locked, read_json
    from common.plain_command import read_options
    from experiments.runs.identity import identity, load_config
    from experiments.runs.results import flat
    from experiments.runs.tracking import TrackerTools, wandb_of
    from experiments.runs.wandb_account import KEY, MODE, has_key, wandb_mode
    from experiments.runs.wandb_run import WandB

    options = read_options(Options, argv, "experiments.sync")
    folder = Path(options.run)
    config = load_config(folder)
    part = wandb_of(config.tracker)
    given = {k: v for k, v in vars(options).items() if k != "run" and v != "of the run"}
    for key, value in given.items():
        check_name(value, key, 128)
    if wandb_mode("online") != "online":
        raise BadInput(f"{MODE} in the environment keeps W&B offline; unset it to upload {folder}")
    if not has_key():
        raise MissingFile(f"W&B needs the key {KEY} in the environment, or in ~/.netrc (wandb login)")
    results = folder / "results.json"
    with locked(folder):
        tools = TrackerTools(folder.resolve(), identity(config), config.sweep)
        tracker = WandB(replace(part, **given), tools, "online", finish_s=UPLOAD_S)
        if tracker.mode == "online" and results.is_file():
            tracker.summary(flat(read_json(results)))
        tracker.finish(0 if results.is_file() else 1)  # without results the run was stopped or has failed
    if tracker.mode != "online" or tracker.broken:
        raise RunFailed(f"{folder} was not uploaded; the same command tries again")


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__)
