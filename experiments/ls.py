"""List runs: how each stands, its phase and progress, key scores, age and size.

python -m experiments.ls                                       runs in outputs/
python -m experiments.ls outputs outputs/sweeps/<sweep>        runs in several folders, or of a sweep
python -m experiments.ls where=reward=f1_goal where=state=finished sort=-overall
python -m experiments.ls 'where=algo.lr>=1e-5' show=reward,algo.lr format=csv

where=<key><sign><value>   only these runs, where= may be given several times; signs: = != < > <= >=; * and ? in words
sort=<key>                 by any key, -<key> turns the order around; else by the time of the last change
show=<key>,<key>           further columns
format=table|json|csv      json has all that is known of a run

A key is one of the configuration (reward, algo.lr, seed), of results.json (arms.agents_rl.sandbox.overall), a key score as in the
table (overall, "F1 after"), or run, state, phase, done, age, size, folder, error. Ages may be written as 30m, 12h, 7d, 2w.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    where: tuple[str, ...] = ()
    sort: str = "age"
    show: str = ""
    format: Literal["table", "json", "csv"] = "table"


def main(arguments: Sequence[str]) -> None:
    from common.progress import console
    from experiments.catalogue.entry import read_entry
    from experiments.catalogue.find import run_folders
    from experiments.catalogue.listing import as_csv, as_json, summary, table
    from experiments.catalogue.query import check_key, chosen, ordered
    from experiments.catalogue.words import read_words

    folders, options = read_words(Options, arguments, "experiments.ls")
    shown = [key.strip() for key in options.show.split(",") if key.strip()]
    runs = [folder for folder in run_folders(folders or ["outputs"]) if (folder / "config.yaml").is_file()]
    entries = [read_entry(folder) for folder in runs]
    for key in shown:
        check_key(entries, key, "show")
    listed = ordered(chosen(entries, options.where), options.sort)
    if options.format == "json":
        print(as_json(listed))
    elif options.format == "csv":
        print(as_csv(listed, shown), end="")
    elif listed:
        console.print(table(listed, shown, console.width))
        console.print(summary(listed, len(entries)), markup=False)
    else:
        console.print(f"no run of {len(entries)} is so" if entries else "no runs there", markup=False)


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
