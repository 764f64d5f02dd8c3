"""report.html of one run, and tables and plots of several.

python -m experiments.report outputs/<run>               write its report.html anew, print its tables
python -m experiments.report outputs/<run> outputs/…     one table and one page over several runs
python -m experiments.report outputs/sweeps/<sweep>      the same over a sweep (or any folder of runs)
python -m experiments.report <out of an evaluation>      its tables and page anew
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """One finished run: write its report anew. Several, or a sweep's folder: one table and one page over all of them."""
    from common.files import read_json
    from experiments.evaluation.load import is_evaluation
    from experiments.reports.evaluation.rewrite import rewrite
    from experiments.reports.run.page import write_report
    from experiments.reports.run.terminal import print_results
    from experiments.reports.sweep.find import find_runs
    from experiments.reports.sweep.report import report_sweep

    if len(arguments) == 1 and is_evaluation(Path(arguments[0])):
        print(f"report: {rewrite(Path(arguments[0]))}")
        return
    runs, out, absent = find_runs(arguments)
    if len(runs) == 1:
        for line in absent:
            print(f"in no table: {line}")
        print_results(runs[0], read_json(runs[0] / "results.json"))
        print(f"report: {write_report(runs[0])}")
    else:
        report_sweep(runs, out, absent)


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__)
