"""Everything that is said about several runs: tables on the terminal, a page, and files to paste."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.files import read_json, write_text
from common.progress import console
from experiments.reports.screen import print_line, show_table
from experiments.reports.sweep.effects import main_effects
from experiments.reports.sweep.files import comparisons_csv, markdown, runs_csv
from experiments.reports.sweep.jobs import measures_of_jobs
from experiments.reports.sweep.latex import latex
from experiments.reports.sweep.page import sweep_page
from experiments.reports.sweep.pivot import Asked, pivot
from experiments.reports.sweep.runs import load
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.terminal import (
    comparisons_table,
    effects_table,
    mean_tables,
    pivot_table,
    runs_tables,
)
from experiments.runs.identity import load_config

NOTHING = Asked()
FILES = ("sweep.html", "sweep.md", "sweep.tex", "sweep.csv", "runs.csv")


def report_sweep(folders: Sequence[Path], out: Path, absent: Sequence[str] = (), asked: Asked = NOTHING) -> Path:
    """Print the tables of finished runs; write FILES into `out`: the page, its tables as Markdown and LaTeX, its comparisons and
    its runs as CSV. Returns the page. `absent`: a line for each run that failed or has not ended; `asked`: the table by rows and
    columns. Raises BadInput for keys that no run has."""
    jobs = [load_config(folder).job for folder in folders]
    measures = measures_of_jobs(jobs, [read_json(folder / "results.json") for folder in folders])
    sweep = Sweep.of(out.name, [load(folder, measures) for folder in folders], measures, absent)
    table = pivot(sweep, asked)
    effects = main_effects(sweep, table.measure) if table is not None else []
    write_text(out / "sweep.md", markdown(sweep, table, effects))
    write_text(out / "sweep.tex", latex(sweep, table, effects))
    write_text(out / "sweep.csv", comparisons_csv([*(e.comparison for e in effects), *sweep.comparisons]))
    write_text(out / "runs.csv", runs_csv(sweep))
    write_text(out / "sweep.html", sweep_page(sweep, table, effects))
    for shown in (
        *mean_tables(sweep),
        pivot_table(table) if table is not None else None,
        effects_table(effects),
        *runs_tables(sweep),
        comparisons_table(sweep),
    ):
        if shown is not None:
            show_table(shown)
    if table is not None:
        print_line(table.note)
    for note in [*sweep.notes, *sweep.remarks, *sweep.equal]:
        print_line(note)
    for line in sweep.absent:
        console.print(f"  in no table: {line}", markup=False, soft_wrap=True)
    for text in sweep.refused:
        print_line(f"not compared: {text}")
    console.print(
        f"report: [bold]{out / 'sweep.html'}[/]; tables to paste: sweep.md, sweep.tex, sweep.csv and runs.csv beside it",
        soft_wrap=True,
    )
    return out / "sweep.html"
