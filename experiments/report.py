"""Write tables, plots and a page of one run, or of several side by side.

python -m experiments.report outputs/<run>               write its report.html anew, print its tables
python -m experiments.report outputs/<run> outputs/…     one table and one page over several runs
python -m experiments.report outputs/sweeps/<sweep>      the same over a sweep (or any folder of runs)
python -m experiments.report <out of an evaluation>      its tables and page anew

Of several runs, also of several sweeps:
rows=<keys> cols=<keys>    a table by these keys of the configuration (separated by commas), averaged over all others and the seeds
value=<measure>            what it shows: a measure of the tables, or any number of results.json (editor_rl.exact_overall.after)
out=<folder>               where the page and its tables go, in place of the sweep's folder
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    rows: str = ""
    cols: str = ""
    value: str = ""
    out: str = ""


def main(arguments: Sequence[str]) -> None:
    """One finished run: write its report anew. Several, or a sweep's folder: one table and one page over all of them."""
    from common.files import read_json
    from experiments.catalogue.words import read_words
    from experiments.evaluation.load import is_evaluation
    from experiments.reports.evaluation.rewrite import rewrite
    from experiments.reports.run.page import write_report
    from experiments.reports.run.terminal import print_results
    from experiments.reports.sweep.find import find_runs
    from experiments.reports.sweep.pivot import Asked
    from experiments.reports.sweep.report import report_sweep

    names, options = read_words(Options, arguments, "experiments.report")
    if len(names) == 1 and is_evaluation(Path(names[0])):
        print(f"report: {rewrite(Path(names[0]))}")
        return
    runs, out, absent = find_runs(names)
    asked = Asked(options.rows, options.cols, options.value)
    if len(runs) == 1 and asked == Asked():
        for line in absent:
            print(f"in no table: {line}")
        print_results(runs[0], read_json(runs[0] / "results.json"))
        print(f"report: {write_report(runs[0])}")
    else:
        report_sweep(runs, Path(options.out) if options.out else out, absent, asked)


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__)
