"""Everything that is said about several runs: tables on the terminal, sweep.html, sweep.md and sweep.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.files import write_text
from common.progress import console
from experiments.reports.screen import print_line, show_table
from experiments.reports.sweep.files import comparisons_csv, markdown
from experiments.reports.sweep.jobs import measures_of_jobs
from experiments.reports.sweep.page import sweep_page
from experiments.reports.sweep.runs import load
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.terminal import comparisons_table, mean_tables, runs_tables
from experiments.runs.identity import load_config


def report_sweep(folders: Sequence[Path], out: Path, absent: Sequence[str] = ()) -> Path:
    """Print the tables of finished runs; write `sweep.html`, `sweep.md` and `sweep.csv` into `out`. Returns the page.
    `absent`: a line for each run that failed or has not ended."""
    measures = measures_of_jobs(load_config(folder).job for folder in folders)
    sweep = Sweep.of(out.name, [load(folder, measures) for folder in folders], measures, absent)
    for table in (*mean_tables(sweep), *runs_tables(sweep), comparisons_table(sweep)):
        if table is not None:
            show_table(table)
    for note in [*sweep.notes, *sweep.remarks, *sweep.equal]:
        print_line(note)
    for line in sweep.absent:
        console.print(f"  in no table: {line}", markup=False, soft_wrap=True)
    for text in sweep.refused:
        print_line(f"not compared: {text}")
    write_text(out / "sweep.md", markdown(sweep))
    write_text(out / "sweep.csv", comparisons_csv(sweep.comparisons))
    write_text(out / "sweep.html", sweep_page(sweep))
    console.print(
        f"report: [bold]{out / 'sweep.html'}[/]; tables to paste: sweep.md and sweep.csv beside it", soft_wrap=True
    )
    return out / "sweep.html"
