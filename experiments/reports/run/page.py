"""report.html of a finished run, put together from the panels of its stages."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from common.files import write_text
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


def write_report(folder: Path, panels: Iterable[str] = PANELS) -> Path:
    """Write `report.html` of a finished run from its own files alone; `panels` are dotted paths."""
    run = FinishedRun.load(folder)
    return write_text(folder / "report.html", page(folder.name, body(run, load_panels(panels))))


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
