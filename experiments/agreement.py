"""`python -m experiments.agreement data=… path=… judge=… out=<folder>`: how well a judge agrees with people.

Scores every edit of a set of preference data (or takes the scores that a CSV carries: scores=csv) and writes
agreement.json, agreement.md and agreement.html: accuracy by the set's own rule, tie-aware accuracy, rank correlations,
kappas and a self-preference check, each with its interval. Rows are kept as they come, in verdicts.jsonl; the same command
again goes on.
"""

from __future__ import annotations

from pathlib import Path

from conf.schema import AgreementConfig
from experiments.runs.cli import command

FREE_TEXT = ("path", "out")  # keys whose values are taken as they are


def main(config: AgreementConfig) -> None:
    from common.files import locked
    from common.progress import console
    from experiments.evaluation.agreement.study import check_config, run_study
    from experiments.reports.agreement.page import write_reports
    from experiments.reports.agreement.terminal import summary_lines
    from experiments.reports.screen import print_line
    from experiments.runs.libraries import quiet_libraries

    check_config(config)
    if config.judge.local_model:
        quiet_libraries(config.verbose)
    out = Path(config.out)
    with locked(out):
        study = run_study(config, out)
        paths = write_reports(out, config, study.data, study.findings, study.judge)
    for line in summary_lines(study.data, study.findings):
        print_line(line.lstrip(), line[: len(line) - len(line.lstrip())])
    console.print("\n".join(f"written: {p}" for p in [out / "agreement.json", *paths]), markup=False, soft_wrap=True)
    study.check()


if __name__ == "__main__":
    command("agreement", main, FREE_TEXT)
