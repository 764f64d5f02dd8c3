"""Show what differs between runs: the keys of their configurations, and their scores with paired intervals.

python -m experiments.diff outputs/<run> outputs/<run>          B against A
python -m experiments.diff outputs/<run> outputs/<run> …        each against the first
python -m experiments.diff outputs/sweeps/<sweep>               all runs of a sweep, each against its first

format=table|json          json has both as one object

Scores of runs whose test samples are the same are compared sample by sample. Runs that are not finished show their configuration.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    format: Literal["table", "json"] = "table"


def main(arguments: Sequence[str]) -> None:
    import json

    from common.errors import BadInput
    from common.progress import console
    from experiments.catalogue.configs import read_config
    from experiments.catalogue.find import run_folders
    from experiments.catalogue.state import FINISHED, state_of
    from experiments.catalogue.words import read_words
    from experiments.reports.diff import (
        as_values,
        config_table,
        differing_keys,
        letters,
        notes,
        score_rows,
        score_table,
        with_scores,
    )
    from experiments.reports.screen import print_line, show_table

    names, options = read_words(Options, arguments, "experiments.diff")
    folders = run_folders(names)
    if len(folders) < 2:
        raise BadInput(f"name at least two different runs; {' '.join(names) or 'nothing'} names {len(folders)}")
    configs, states = [read_config(folder) for folder in folders], [state_of(folder) for folder in folders]
    runs, measures, unread = with_scores(folders)
    rows, refused = score_rows(runs, measures)
    if options.format == "json":
        print(json.dumps(as_values(folders, configs, rows), indent=1, ensure_ascii=False))
        return
    for letter, folder, state in zip(letters(len(folders)), folders, states, strict=True):
        said = "" if state.word == FINISHED else f" ({state.word})"
        console.print(f"{letter}  {folder}{said}", markup=False, soft_wrap=True)
    if differing_keys(configs):
        show_table(config_table(configs))
    else:
        print_line("No key of the configurations differs: files that they name do, or a folder was copied.")
    if rows:
        show_table(score_table(rows))
    for note in notes(rows):
        print_line(note)
    for line in refused:
        print_line(f"not paired: {line}")
    for line in unread:
        print_line(f"no scores: {line}")


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__)
