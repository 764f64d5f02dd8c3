"""`python -m experiments.single_edits`: measure what editors do with explicit single edits, by action.

The instructions are what a user would call plain ("remove the red star"), on held-out scenes: what the editor itself can do,
with no team before it. Settings are each editor's own at its scale. Writes scores.json, scores.md and edits.png into `out`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    editors: str = "qwen,flux_kontext"
    samples: int = 400
    out: str = "outputs/single_edits"


def main(argv: Sequence[str]) -> None:
    from common.plain_command import read_options
    from experiments.preflight.command_limits import check_single_edits

    options = read_options(Options, argv, "experiments.single_edits")
    check_single_edits(options.samples, len(options.editors.split(",")))  # before what takes seconds to import
    from common.files import write_json, write_text
    from common.progress import console
    from experiments.build.device import use_threads
    from experiments.evaluation.single_edits import by_action, edit, held_out, judge, means_of
    from experiments.reports.single_edits import markdown, print_table, sheet
    from experiments.runs.cli import compose, typed
    from experiments.runs.libraries import libraries_in_log

    samples, out = held_out(options.samples), Path(options.out)
    pictures, scores = {}, {}
    with libraries_in_log(out):
        for name in options.editors.split(","):
            config = typed(compose("run", [f"editor={name}"]))
            use_threads(config.engine)
            pictures[name] = edit(config, samples, name)
            scores[name] = judge(samples, pictures[name])
    table = by_action(samples, scores)
    print_table(table, list(scores))
    write_json(out / "scores.json", {"n": len(samples), "editors": means_of(table)})
    write_text(out / "scores.md", markdown(table, list(scores)))
    one_each = list({sample.gold[0].action: i for i, sample in reversed(list(enumerate(samples)))}.values())
    sheet(samples, pictures, sorted(one_each)).save(out / "edits.png")
    console.print(f"written: {out / 'scores.json'}, scores.md, edits.png")


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
