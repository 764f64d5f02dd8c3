"""A comparison of runs as a workspace and a report of Weights & Biases, through its own package wandb-workspaces.

Saved again, both are changed in place: `dashboard.json` beside the runs keeps their addresses.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadData, MissingFile, RunFailed
from common.files import read_json, write_json
from experiments.dashboards.contents import Chart, Contents, Section
from experiments.runs.wandb_run import reason
from experiments.runs.wandb_service import within

SAVED = "dashboard.json"
SAVE_S = 180.0  # seconds at most for both pages: the library asks for the project once per run set
COLUMNS, WIDE, ROWS = 3, 8, 6  # of a section's charts, and the size of each on W&B's grid of 24


@dataclass(frozen=True)
class Pages:
    """`entity` and `project`: whose the pages are, and the runs; empty where nothing is asked of the service."""

    contents: Contents
    entity: str
    project: str

    def workspace(self) -> Any:
        ws, _, expr = libraries()
        c = self.contents
        return ws.Workspace(
            entity=self.entity,
            project=self.project,
            name=c.title,
            sections=[
                ws.Section(
                    name=section.title,
                    panels=self._panels(section),
                    is_open=bool(section.charts or section.bars),
                    layout_settings=ws.SectionLayoutSettings(columns=COLUMNS, rows=2),
                )
                for section in c.sections
            ],
            settings=ws.WorkspaceSettings(x_axis="Step", max_runs=max(10, len(c.ids))),
            runset_settings=ws.RunsetSettings(
                filters=[expr.Metric("ID").isin(list(c.ids))],
                groupby=[expr.Config(key) for key in c.keys],
                pinned_columns=self._columns(),
            ),
        )

    def report(self, asks: bool = True) -> Any:
        """`asks`: the run sets name their project, for which the library asks the service."""
        _, wr, _ = libraries()
        c = self.contents
        blocks = [wr.TableOfContents()]
        for section in c.sections:
            runs = wr.Runset(
                entity=self.entity if asks else "",
                project=self.project if asks else "",
                name=c.title,
                filters=f"Metric('ID') in {json.dumps(list(c.ids))}",
                groupby=[f"config.{key}" for key in c.keys],
                pinned_columns=self._columns(),
            )
            panels = self._panels(section)
            if section.bars:
                panels.append(wr.RunComparer(diff_only="split", layout=wr.Layout(w=24, h=12)))
            blocks += [wr.H1(section.title), wr.P(section.about)]
            if panels:
                blocks.append(wr.PanelGrid(runsets=[runs], panels=panels))
        return wr.Report(
            entity=self.entity, project=self.project, title=c.title[:128], blocks=blocks, width="fluid",
            description=f"{len(c.ids)} runs, grouped by {', '.join(c.keys) or 'nothing: they differ in the seed alone'}",
        )  # fmt: skip

    def _columns(self) -> list[str]:
        keys = [key.split(".") for key in self.contents.keys]
        shown = [f"config:{'.'.join([first, 'value', *rest])}" for first, *rest in keys]
        return ["run:displayName", *shown, *(f"summary:{name}" for name in self.contents.final)]

    def _panels(self, section: Section) -> list[Any]:
        _, wr, _ = libraries()
        places = ((WIDE * (i % COLUMNS), ROWS * (i // COLUMNS)) for i in range(1000))
        panels = [self._lines(chart, next(places)) for chart in section.charts]
        for name in section.bars:
            x, y = next(places)
            panels.append(
                wr.BarPlot(
                    title=name,
                    metrics=[wr.SummaryMetric(name)],
                    groupby_aggfunc="mean",
                    groupby_rangefunc="stderr",
                    layout=wr.Layout(x=x, y=y, w=WIDE, h=ROWS),
                )
            )
        if section.samples:
            panels.append(wr.WeavePanelSummaryTable(table_name="samples", layout=wr.Layout(w=24, h=16)))
        return panels

    @staticmethod
    def _lines(chart: Chart, place: tuple[int, int]) -> Any:
        _, wr, _ = libraries()
        return wr.LinePlot(
            title=chart.title,
            x=chart.axis,
            y=list(chart.metrics),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            layout=wr.Layout(x=place[0], y=place[1], w=WIDE, h=ROWS),
        )

    def specification(self) -> dict[str, Any]:
        """What would be sent, as plain values; nothing is asked of the service."""
        workspace, report = self.workspace()._to_model(), self.report(asks=False)._to_model()
        return {
            "title": self.contents.title,
            "runs": list(self.contents.ids),
            "grouped_by": list(self.contents.keys),
            "workspace": json.loads(workspace.spec.model_dump_json(by_alias=True, exclude_none=True)),
            "report": json.loads(report.spec.model_dump_json(by_alias=True, exclude_none=True)),
        }

    def save(self, folder: Path) -> tuple[str, str]:
        """The addresses of the workspace and the report. Raises RunFailed for what the service or the library refuses."""
        known = _saved(folder / SAVED, f"{self.entity}/{self.project}")
        workspace, report = self.workspace(), self.report()
        workspace._internal_name, workspace._internal_id = known.get("workspace", ("", ""))
        report.id = known.get("report", "")
        try:
            with quiet():
                within(SAVE_S, lambda: (workspace.save(), report.save()))
        except Exception as error:  # noqa: BLE001  # W&B raises many kinds, of several libraries
            raise RunFailed(f"W&B did not take the dashboard: {reason(error)}") from error
        ids = {"workspace": [workspace._internal_name, workspace._internal_id], "report": report.id}
        write_json(folder / SAVED, {"in": f"{self.entity}/{self.project}", **ids})
        return workspace.url, report.url


def _saved(path: Path, place: str) -> dict[str, Any]:
    """What was saved before in the same project."""
    if not path.is_file():
        return {}
    known = read_json(path)
    if not isinstance(known, dict) or "in" not in known:
        raise BadData(f"{path} is not ours; move it away")
    return known if known["in"] == place else {}


def libraries() -> tuple[Any, Any, Any]:
    """Workspaces, reports, expressions."""
    try:
        import wandb_workspaces.expr as expr
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise MissingFile("the dashboard needs the package wandb-workspaces: `make extra-apps` installs it") from error
    return workspaces, reports, expr


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The library writes its own lines to the terminal."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


__all__ = ["SAVED", "Pages"]
