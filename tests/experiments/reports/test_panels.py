"""Panels: the page of a run is what its stages bring, those of a user's own package too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import BadInput
from conf.schema import MAIN_JOB
from experiments.reports.panels import load_panels
from experiments.reports.run.page import PANELS, panels_of_job, write_report
from experiments.runs.stages import load_stages, panels_of

MINE = """
from experiments.reports.panels import Panel

STEPS = Panel("Steps", 55, lambda run: [f"<p>{len(run.metrics)} steps of training</p>"], cards=lambda run: ["<b>mine</b>"])
EMPTY = Panel("Nothing to show", 56, lambda run: [])
NO_PANEL = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "mypanels.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "mypanels"
    sys.modules.pop("mypanels", None)


def test_the_usual_page_is_what_the_stages_of_the_main_job_declare() -> None:
    assert set(panels_of(load_stages(MAIN_JOB))) == set(PANELS) == set(panels_of_job(MAIN_JOB))
    orders = [panel.order for panel in load_panels(PANELS)]
    assert orders == sorted(set(orders))  # the same page, whatever the order of the stages


def test_a_panel_of_ones_own_stands_at_its_place(finished_run: Path, package: str) -> None:
    text = write_report(finished_run, [f"{package}.EMPTY", f"{package}.STEPS", *PANELS]).read_text(encoding="utf-8")
    headings = ["The arms", "Decomposition", "Training", "Steps", "Before and after", "Configuration"]
    places = [text.index(f"<h2>{heading}</h2>") for heading in headings]
    assert places == sorted(places) and "<p>20 steps of training</p>" in text and "<b>mine</b>" in text
    assert "Nothing to show" not in text  # a section without content has no heading


@pytest.mark.parametrize("name", ["NO_PANEL", "GONE"])
def test_a_path_that_leads_to_no_panel_is_named(package: str, name: str) -> None:
    with pytest.raises(BadInput, match=f"{package}.{name}"):
        load_panels([f"{package}.{name}"])


def test_a_path_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(BadInput, match="no_such_package.PANEL"):
        load_panels(["no_such_package.PANEL"])
