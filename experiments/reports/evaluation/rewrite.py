"""Results, tables and page of an evaluation's folder, written anew from its rows alone."""

from __future__ import annotations

from pathlib import Path

from common.files import read_json, write_json
from experiments.evaluation.layout import LOCKS
from experiments.evaluation.load import ABOUT, RESULTS, load, made_from
from experiments.evaluation.scores import scores
from experiments.evaluation.shares import held
from experiments.reports.evaluation.decomposition import print_decompositions
from experiments.reports.evaluation.files import write_tables
from experiments.reports.evaluation.page import write_page
from experiments.reports.evaluation.terminal import print_table


def rewrite(out: Path) -> Path:
    """Write everything that the evaluation in `out` reports; returns the page. Raises BadData naming a damaged file."""
    with held(out / LOCKS / "report.lock", wait=True):
        previous = read_json(out / RESULTS)
        sections = load(out)
        values = scores(sections, made_from(out), {k: previous[k] for k in ABOUT if k in previous})
        write_tables(out, values)
        page = write_page(out, values, sections, values.get("gallery", 4))
        write_json(out / RESULTS, values)
    print_table(values)
    print_decompositions(values)
    return page


__all__ = ["rewrite"]
