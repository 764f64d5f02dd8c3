"""report.html of a finished run, put together from the panels of its stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from common.files import write_text
from conf.schema import MAIN_JOB
from experiments.reports.html import page
from experiments.reports.panels import FinishedRun, Panel, load_panels

PANELS = (
    "experiments.reports.run.setup.PANEL",
    "experiments.reports.run.arms.CARDS",
    "experiments.reports.run.arms.PANEL",
    "experiments.reports.run.decomposition.CARDS",
    "experiments.reports.run.decomposition.PANEL",
    "experiments.reports.run.training.PANEL",
    "experiments.reports.run.strips.PANEL",
)


def write_report(folder: Path, panels: Iterable[str] | None = None) -> Path:
    """Write `report.html` of a finished run from its own files alone. `panels` are dotted paths; None: those of its stages."""
    run = FinishedRun.load(folder)
    panels = panels_of_job(run.config.job) if panels is None else panels
    return write_text(folder / "report.html", page(folder.name, body(run, load_panels(panels))))


def panels_of_job(job: Sequence[str]) -> Iterable[str]:
    """What the stages with these class paths show. The usual job's are known without loading its stages, which takes seconds."""
    if tuple(job) == MAIN_JOB:
        return PANELS
    from experiments.runs.stages import load_stages, panels_of

    return panels_of(load_stages(job))


def body(run: FinishedRun, panels: Iterable[Panel]) -> list[str]:
    panels = list(panels)
    lead = " ".join(filter(None, (panel.lead(run) for panel in panels if panel.lead is not None)))
    cards = [card for panel in panels if panel.cards is not None for card in panel.cards(run)]
    pieces = [
        f"<h1>{escape(run.folder.name)}</h1>",
        f'<p class="lead">{escape(lead)}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
    ]
    for panel in panels:
        section = list(panel.section(run)) if panel.section is not None else []
        if section:
            pieces += [f"<h2>{escape(panel.title)}</h2>", *section]
    return pieces


__all__ = ["PANELS", "body", "write_report"]
