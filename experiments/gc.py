"""Free disk: remove old checkpoints, leftovers and, where asked, trained models and caches.

python -m experiments.gc                                    what would go in outputs/, and how much disk that frees
python -m experiments.gc outputs keep=none older_than=7d    of finished runs older than a week no checkpoint stays
python -m experiments.gc keep=none state=failed apply=true  remove those of failed runs

keep=last|best|none                     of each training the newest checkpoint stays, that of the highest reward (lowest loss)
                                        over the ten steps before it, or none: an unfinished run then starts anew
state=finished|failed|stopped|all       runs that are cleaned
older_than=30m|12h|7d|2w                since their last change
trained=true                            trained models too; the run's command would train again
caches=true                             cached replies of judges in <folder>/cache, as old as older_than says
apply=true                              remove it; without, nothing is removed

Never touched: a running run, results, reports, rows and journals, and what another run points to (a checkpoint that its
configuration names, a phase that it shares, a link).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    keep: Literal["last", "best", "none"] = "last"
    state: Literal["finished", "failed", "stopped", "all"] = "finished"
    older_than: str = "0s"
    trained: bool = False
    caches: bool = False
    apply: bool = False


def main(arguments: Sequence[str]) -> None:
    from common.progress import console
    from experiments.catalogue.caches import old_replies, remove_replies
    from experiments.catalogue.cleaning import Rule, freed, plan, remove
    from experiments.catalogue.entry import read_entry
    from experiments.catalogue.find import run_folders
    from experiments.catalogue.plan_table import plan_table
    from experiments.catalogue.sizes import size_text, span
    from experiments.catalogue.state import FAILED, FINISHED, STOPPED
    from experiments.catalogue.words import read_words

    named, options = read_words(Options, arguments, "experiments.gc")
    folders = named or ["outputs"]
    states = (FINISHED, FAILED, STOPPED, "pruned") if options.state == "all" else (options.state,)
    rule = Rule(options.keep, states, span(options.older_than, "older_than"), options.trained)
    runs = [run for run in run_folders(folders, aside=True) if (run / "config.yaml").is_file()]
    neighbours = run_folders(list(dict.fromkeys(str(run.parent) for run in runs)), aside=True)
    planned = plan([read_entry(run) for run in runs], rule, neighbours)
    replies = old_replies(folders, rule.older_than) if options.caches else []
    size = freed([*planned.paths, *replies])
    if planned.removed:
        console.print(plan_table(planned))
    for line in planned.kept:
        console.print(f"  kept: {line}", markup=False, soft_wrap=True)
    if replies:
        console.print(f"  {len(replies)} cached replies of judges", markup=False)
    if not planned.removed and not replies:
        console.print("nothing to remove by this rule")
    elif not options.apply:
        console.print(f"would free {size_text(size)}; nothing was removed: apply=true does it", markup=False)
    else:
        skipped = [*remove(planned), *remove_replies(replies)]
        for line in skipped:
            console.print(f"  skipped: {line}", markup=False, soft_wrap=True)
        console.print(f"freed {'less than ' if skipped else ''}{size_text(size)}", markup=False)


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
