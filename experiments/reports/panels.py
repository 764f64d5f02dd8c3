"""Panels: the parts that the page of a run is put together from.

A stage of a job names the panels it brings by dotted path, as text, so that no stage imports the reports. A panel may
contribute to the sentence under the page's title, to the row of cards, and a section with a heading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from common.dotted import load_dotted
from common.errors import BadInput
from common.files import read_json
from common.jsonl import read_jsonl
from conf.schema import RunConfig
from experiments.runs.identity import load_config
from experiments.runs.results import Evaluation


@dataclass(frozen=True)
class FinishedRun:
    """What the panels of a run are made of: its configuration, results.json, evaluation rows and training metrics."""

    folder: Path
    config: RunConfig
    results: Mapping[str, Any]
    evaluation: Evaluation
    metrics: Sequence[Mapping[str, Any]]  # of training, one row per step; empty where nothing was trained

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises MissingFile or BadData naming the file."""
        metrics = folder / "metrics.jsonl"
        return cls(
            folder,
            load_config(folder),
            read_json(folder / "results.json"),
            Evaluation.load(folder),
            read_jsonl(metrics) if metrics.is_file() else [],
        )


@dataclass(frozen=True)
class Panel:
    """`order` sorts the sections of a page, and its cards. A section without any piece of HTML is left out, heading and all."""

    title: str
    order: int
    section: Callable[[FinishedRun], Sequence[str]] | None = None  # pieces of HTML
    cards: Callable[[FinishedRun], Sequence[str]] | None = None  # HTML of each card
    lead: Callable[[FinishedRun], str] | None = None  # plain text


def load_panels(paths: Iterable[str]) -> list[Panel]:
    """The panels that dotted paths name ("mypackage.reports.MY_PANEL"), each once, in the order of the page.

    Raises BadInput where a path leads to no panel.
    """
    return sorted((load_panel(path) for path in dict.fromkeys(paths)), key=lambda panel: panel.order)


def load_panel(path: str) -> Panel:
    panel = load_dotted(path, f"the report panel {path}")
    if not isinstance(panel, Panel):
        raise BadInput(f"{path!r} is no report panel but a {type(panel).__name__}; it must be a {__name__}.Panel")
    return panel


__all__ = ["FinishedRun", "Panel", "load_panel", "load_panels"]
