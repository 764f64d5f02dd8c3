"""A run as TensorBoard shows it: scalars of every training, the choices with the final scores, samples with pictures.

The files of the run are the truth: whenever it starts or goes on, its events are written anew from the journals of its
trainings. So a run that was stopped or killed has each step once, like one that was not, and steps that were never flushed are
there too.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import Any

from common.errors import MissingFile
from experiments.runs.metric_names import STEP, step_metric, tracked
from experiments.runs.tracked_samples import tracked_samples
from experiments.runs.trainings import rows_of, trainings
from experiments.runs.wandb_results import headline

FOLDER = "tensorboard"
FLUSH_S = 30


class TensorBoard:
    """`tools`: TrackerTools."""

    def __init__(self, tools: Any) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as e:
            raise MissingFile("tracker=tensorboard needs the package tensorboard: `make extra-apps` installs it") from e
        self.run, self.values = tools.folder, tools.values
        place = self.run / FOLDER
        shutil.rmtree(place, ignore_errors=True)
        self.writer = SummaryWriter(str(place), flush_secs=FLUSH_S)
        self.last: dict[str, int] = {}  # step of each training that is there
        for training in trainings(self.run):
            rows = list(rows_of(self.run, training))
            times = ended(rows, time.time())
            for row, at in zip(rows, times, strict=True):
                self.log(row, training.name, at)

    def log(self, metrics: Mapping[str, Any], training: str = "", at: float | None = None) -> None:
        """`at`: when the step ended, in seconds since 1970; None: now. A step that is there already is not written again."""
        step = int(metrics[STEP])
        if step <= self.last.get(training, 0):
            return
        for name, value in tracked(metrics, training).items():
            if isinstance(value, int | float) and name != step_metric(training):
                self.writer.add_scalar(name, value, step, walltime=at)
        self.last[training] = step

    def summary(self, values: Mapping[str, Any]) -> None:
        self.writer.add_hparams(choices(self.values), headline(self.run, values), run_name=".")
        for i, sample in enumerate(tracked_samples(self.run)):
            self.writer.add_image(f"samples/{i:02d}", to_array(sample.strip()), dataformats="HWC")
            self.writer.add_text(f"samples/{i:02d}", sample.caption())

    def finish(self, exit_code: int = 0) -> None:
        self.writer.add_text("exit_code", str(exit_code))
        self.writer.close()


def ended(rows: list[dict[str, Any]], now: float) -> list[float]:
    """When the steps of a journal ended, as far as their own times tell: the last one now, and each the next one's time before it.
    The axes "wall" and "relative" then show how long steps took, also of a run that was resumed."""
    times, at = [], now
    for row in reversed(rows):
        times.append(at)
        at -= float(row.get("time/step", 0.0)) + float(row.get("time/checkpoint", 0.0))
    return times[::-1]


def choices(values: Mapping[str, Any]) -> dict[str, str | float]:
    """What the table of hyperparameters has of a run: names of its parts, and plain values."""
    out: dict[str, str | float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            out[key] = value["name"]
        elif isinstance(value, str | int | float):
            out[key] = value
    return out


def to_array(picture: Any) -> Any:
    import numpy as np

    return np.asarray(picture)


__all__ = ["FOLDER", "TensorBoard", "choices", "ended"]
