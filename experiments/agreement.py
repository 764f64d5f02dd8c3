"""`python -m experiments.agreement data=… path=… judge=… out=<folder>`: measure how well a judge agrees with people.

Scores every edit of a set of preference data (or takes the scores that a CSV carries: scores=csv) and writes
agreement.json, agreement.md and agreement.html: accuracy by the set's own rule, tie-aware accuracy, rank correlations,
kappas and a self-preference check, each with its interval. Rows are kept as they come, in verdicts.jsonl; the same command
again goes on.

`compare=[<out>,<out>,…] out=<folder>` puts finished studies of the same data side by side in compare.json, compare.md and
compare.html: every judge's accuracies, and paired differences to the first one.
"""

from __future__ import annotations

from pathlib import Path

from conf.schema import AgreementConfig
from experiments.runs.cli import command

FREE_TEXT = ("path", "out")  # keys whose values are taken as they are


def main(config: AgreementConfig) -> None:
    from common.files import locked
    from common.progress import console
    from common.third_party import library_lines
    from experiments.evaluation.agreement.study import check_config, run_study
    from experiments.reports.agreement.page import write_reports
    from experiments.reports.agreement.terminal import summary_lines
    from experiments.reports.screen import print_line
    from experiments.runs.libraries import quiet_libraries

    if config.compare:
        compare_studies(config)
        return
    check_config(config)
    if config.judge.local_model:
        quiet_libraries(config.verbose, config.out)
    out = Path(config.out)
    with locked(out):
        with library_lines():
            study = run_study(config, out)
        paths = write_reports(out, config, study.data, study.findings, study.judge)
    for line in summary_lines(study.data, study.findings):
        print_line(line.lstrip(), line[: len(line) - len(line.lstrip())])
    console.print("\n".join(f"written: {p}" for p in [out / "agreement.json", *paths]), markup=False, soft_wrap=True)
    study.check()


def compare_studies(config: AgreementConfig) -> None:
    """`compare=`: nothing is judged. Raises BadInput."""
    from common.errors import BadInput
    from common.files import locked
    from common.progress import console
    from experiments.evaluation.agreement.compare import compare
    from experiments.reports.agreement.side_by_side import terminal_lines, write_comparison
    from experiments.reports.screen import print_line

    if config.data:
        raise BadInput("compare reads finished studies, and data belongs to a new one; leave one of them out")
    out = Path(config.out)
    with locked(out):
        comparison = compare(config, out)
        paths = write_comparison(out, comparison)
    for line in terminal_lines(comparison):
        print_line(line.lstrip(), line[: len(line) - len(line.lstrip())])
    console.print("\n".join(f"written: {p}" for p in [out / "compare.json", *paths]), markup=False, soft_wrap=True)


if __name__ == "__main__":
    command("agreement", main, FREE_TEXT)
