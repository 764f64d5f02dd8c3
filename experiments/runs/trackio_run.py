"""A run in a local Trackio project: steps of every training, samples with pictures, the final scores.

The files of the run are the truth: whenever it starts or goes on, an earlier record of the same run is deleted and written anew
from the journals of its trainings, so that each step is there once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import MissingFile
from experiments.runs.metric_names import STEP, tracked
from experiments.runs.tracked_samples import arms_of, tracked_samples
from experiments.runs.trainings import rows_of, trainings
from experiments.runs.wandb_results import headline


class Trackio:
    """`options`: TrackioTracker, `tools`: TrackerTools."""

    def __init__(self, options: Any, tools: Any) -> None:
        try:
            import trackio
        except ImportError as e:
            raise MissingFile("tracker=trackio needs the package trackio: `make extra-apps` installs it") from e
        self.trackio, self.folder, self.project = trackio, tools.folder, options.project
        self.next = 0
        with silent():
            self._forget(tools.folder.name)
            self.run = trackio.init(
                project=options.project,
                name=tools.folder.name,
                group=options.group or tools.sweep or None,
                config={k: v for k, v in tools.values.items() if not k.startswith("_")},
                embed=False,
                auto_log_cpu=False,  # the steps have their own memory and times
                auto_log_gpu=False,
            )
        self.first: dict[str, int] = {}
        for training in trainings(self.folder):
            for row in rows_of(self.folder, training):
                self.log(row, training.name)

    def _forget(self, name: str) -> None:
        try:
            earlier = [run for run in self.trackio.Api().runs(self.project) if run.name == name]
        except ValueError:  # the project is new
            return
        for run in earlier:
            run.delete()

    def log(self, metrics: Mapping[str, Any], training: str = "") -> None:
        """A step that is there already is not written again."""
        if training not in self.first:
            begun = [t.first for t in trainings(self.folder) if t.name == training]
            self.first[training] = begun[0] if begun else 0
        place = self.first[training] + int(metrics[STEP])
        if place >= self.next:
            numbers = {k: v for k, v in metrics.items() if k != STEP}  # a word that Trackio keeps for itself
            self.run.log(tracked(numbers, training), step=place)
            self.next = place + 1

    def summary(self, values: Mapping[str, Any]) -> None:
        self.run.log(headline(self.folder, values) | self._samples(), step=self.next)

    def _samples(self) -> dict[str, Any]:
        samples, trackio = tracked_samples(self.folder), self.trackio
        if not samples:
            return {}
        arms = arms_of(samples)
        columns = ["id", "request", " · ".join(["given", *arms]), *(f"overall of {arm}" for arm in arms)]
        data = [
            [s.id, s.request, trackio.Image(s.strip()), *(s.results.get(arm, (None, None))[1] for arm in arms)]
            for s in samples
        ]
        return {"samples": trackio.Table(columns=columns, data=data)}

    def finish(self, exit_code: int = 0) -> None:
        with silent():
            if exit_code:
                self.run.log({"exit_code": exit_code}, step=self.next)
            self.trackio.finish()  # of this run, which is then forgotten: at its end the process has none to finish


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Trackio prints how to start its page; the run says that in one line itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


__all__ = ["Trackio"]
