"""A run as Weights & Biases records it.

The files of the run are the truth: when a run goes on, or is uploaded later, its steps are written from the journals of its
trainings, so that one record has all of them under one id, each at its own place. Nothing here can fail a run, or delay it
beyond half a minute at its start and two minutes at its end: without a service the record is kept offline, which is said once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from common.contents import digest
from common.errors import MissingFile, RunFailed
from common.files import write_text
from common.progress import console
from experiments.runs.metric_names import STEP, step_metric, tracked
from experiments.runs.trainings import rows_of, trainings
from experiments.runs.wandb_account import key
from experiments.runs.wandb_service import rows_known, unavailable, within

# Seconds at most, besides wandb_service.WAIT_S: to open a record, to leave one that did not open, to upload what is left at the end
# (a third of that besides for the samples, and for the report, to be handed over).
INIT_S, LEAVE_S, FINISH_S = 18.0, 5.0, 60.0
RECORDS, OLDER = "wandb", "wandb-older"  # folders of a run: records, and those that a later one replaces
UPLOADED = "uploaded.txt"  # in RECORDS: the address of the run, and which results the service has whole


class WandB:
    """`options`: a WandBTracker, `tools`: TrackerTools (experiments/runs/tracking.py). `mode` is what is wished for; `self.mode`
    what it is. `said` prints a line. `finish_s`: how long the end of the run may wait for the upload."""

    def __init__(
        self,
        options: Any,
        tools: Any,
        mode: Literal["online", "offline"],
        said: Callable[[str], None] = lambda text: console.print(text, markup=False, soft_wrap=True),
        finish_s: float = FINISH_S,
    ) -> None:
        try:
            import wandb
        except ImportError as e:
            raise MissingFile("tracker=wandb needs the package wandb: `make clean && make setup` installs it") from e
        os.environ.setdefault("WANDB_SILENT", "true")
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # W&B's telemetry, which reports every failed try
        self.artifact_mib = options.artifact_mib
        self.folder, self.say, self.finish_s, self.broken = tools.folder, said, finish_s, False
        self.mode: str = mode
        if mode == "online" and (why := unavailable()):
            self.mode = self._offline(why)
        self.next = self.rows = 0  # the next step, and how many rows of history the service should have in the end
        self.results = ""  # a mark of what the service will have whole
        self.run: Any = None
        self.defined: set[str] = set()  # metrics whose steps the service knows
        self.first: dict[str, int] = {}  # of each training that was asked for: steps of the run before it
        self._safely(lambda: self._begin(wandb, options, tools))

    def _begin(self, wandb: Any, options: Any, tools: Any) -> None:
        self.run = self._open(wandb, options, tools)
        if self.mode == "online" and self.run.resumed:
            self.next = self.run.starting_step  # `step` is still 0 here
            self.rows = rows_known(self.run.entity, self.run.project, self.run.id) or 0
        self._say_where()
        for training in trainings(self.folder):
            for row in rows_of(self.folder, training):
                self.log(row, training.name)

    def _open(self, wandb: Any, options: Any, tools: Any) -> Any:
        set_aside(self.folder)
        values = dict(tools.values)
        common = dict(
            project=options.project,
            entity=options.entity,
            id=tools.folder.name.rpartition("-")[2],
            name=tools.folder.name,
            group=options.group or tools.sweep or None,
            job_type=str(values.get("experiment", "")) or None,
            tags=tags_of(values),
            notes=f"python -m experiments.report {tools.folder}",
            dir=str(tools.folder),
            config=values,
            reinit="create_new",  # a sweep in one process is still one run per job
        )
        settings = wandb.Settings(init_timeout=INIT_S, finish_timeout=self.finish_s, finish_timeout_raises=True)
        if self.mode == "online":
            try:
                return wandb.init(**common, mode="online", resume="allow", settings=settings)
            except Exception as error:  # noqa: BLE001  # W&B raises many kinds, of several libraries
                self.mode = self._offline(reason(error))
                with contextlib.suppress(TimeoutError):
                    within(LEAVE_S, wandb.teardown)  # its helper process holds the id, and may wait for the service
                set_aside(self.folder)
        return wandb.init(**common, mode="offline", settings=settings)

    def _offline(self, why: str) -> Literal["offline"]:
        self.say(f"W&B cannot be used ({why}); the run is recorded offline")
        return "offline"

    def _say_where(self) -> None:
        if self.mode == "online":
            self.say(f"W&B: {self.run.url}")
        else:
            record = Path(self.run.dir).parent
            self.say(f"W&B: offline, in {record}; to upload it later: {self._upload()} "
                     f"(or wandb sync {shlex.quote(str(record))})")  # fmt: skip

    def _upload(self) -> str:
        return f"python -m experiments.sync run={shlex.quote(str(self.folder))}"

    def log(self, metrics: Mapping[str, Any], training: str = "") -> None:
        """A step that is there already is not written again: a resumed training does its last steps anew, with the same
        numbers."""
        self._safely(lambda: self._log(metrics, training))

    def _log(self, metrics: Mapping[str, Any], training: str) -> None:
        if training not in self.first:
            begun = [t.first for t in trainings(self.folder) if t.name == training]
            self.first[training] = begun[0] if begun else 0
        index = self.first[training] + int(metrics.get(STEP, self.next))
        if index >= self.next:
            values = tracked(metrics, training)
            self._define(values, training)
            self._row(values, index)

    def _define(self, values: Mapping[str, Any], training: str) -> None:
        """Curves of a training have its own steps as their x axis."""
        axis = step_metric(training)
        for name in sorted(values.keys() - self.defined - {axis}):
            self.run.define_metric(name, step_metric=axis)
        self.defined |= values.keys()

    def _row(self, values: dict[str, Any], index: int) -> None:
        self.run.log(values, step=index)
        self.next = index + 1
        self.rows += 1

    def summary(self, values: Mapping[str, Any]) -> None:
        """The numbers, and of a finished run its samples with pictures and its report, where the service has them not yet."""
        from experiments.runs.wandb_results import samples_table, summary_of

        self._safely(lambda: self.run.summary.update({**values, **summary_of(self.folder)}))
        if self.mode == "online" and not self.broken and (why := unavailable()):
            self._stop(RunFailed(why))
        if self.broken or self._has_results():
            return
        self._safely(lambda: within(self.finish_s / 3, lambda: self._samples(samples_table(self.folder))))
        self._safely(lambda: within(self.finish_s / 3, self._report))
        self._safely(lambda: within(self.finish_s, self._lineage))

    def _has_results(self) -> bool:
        if self.mode != "online" or not (self.folder / "results.json").is_file():
            return False
        self.results = f"{self.run.url}\n{digest(self.folder / 'results.json')}\n"
        mark = self.folder / RECORDS / UPLOADED
        known = self.run.resumed and mark.is_file() and mark.read_text(encoding="utf-8") == self.results
        return bool(known)

    def _samples(self, table: Any) -> None:
        if table is not None:
            self._row({"samples": table}, self.next)

    def _report(self) -> None:
        import wandb

        if (self.folder / "report.html").is_file():
            artifact = wandb.Artifact(f"report-{self.run.id}", type="report")
            artifact.add_file(str(self.folder / "report.html"))
            self.run.log_artifact(artifact)

    def _lineage(self) -> None:
        """The models that the run made, those that it used, and what it was evaluated on. An offline record cannot say what was
        used: `experiments.sync` does."""
        from experiments.runs.wandb_artifacts import evaluated_on, made_by, used_by

        if not (self.folder / "config.yaml").is_file():
            return
        if self.mode == "online":
            for used in [
                *(model.artifact(self.artifact_mib) for model in used_by(self.folder)),
                *evaluated_on(self.folder),
            ]:
                self._use(used)
        for model in made_by(self.folder):
            self.run.log_artifact(model.artifact(self.artifact_mib))

    def _use(self, artifact: Any) -> None:
        """`use_artifact` of W&B, which also waits until the service has it; without waiting where that can be had."""
        if callable(log := getattr(self.run, "_log_artifact", None)):
            log(artifact, is_user_created=True, use_after_commit=True)
        else:
            self.run.use_artifact(artifact)

    def finish(self, exit_code: int = 0) -> None:
        """Also after a fault, so that the record ends with its exit code."""
        if self.run is None:
            return
        try:
            self.run.finish(exit_code=exit_code)
            if self.mode == "online" and not self.broken:
                self._check()
        except Exception as error:  # noqa: BLE001  # whatever a tracker raises
            self._stop(error)

    def _check(self) -> None:
        """W&B ends without a word where the service refused rows; what it has is therefore counted."""
        known = rows_known(self.run.entity, self.run.project, self.run.id)
        if known is None:
            raise RunFailed(unavailable() or "the service does not say what it has of the run")
        if known < self.rows:
            raise RunFailed(f"the service has {known} rows of {self.rows}")
        if self.results:
            write_text(self.folder / RECORDS / UPLOADED, self.results)

    def _safely(self, call: Callable[[], Any]) -> None:
        """A tracker's fault is said once and stops no run."""
        if self.broken:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001  # whatever a tracker raises
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        if not self.broken:
            self.say(f"W&B stopped recording ({reason(error)}); the run goes on. All of it can be uploaded later: "
                     f"{self._upload()}")  # fmt: skip
        self.broken = True


def reason(error: Exception) -> str:
    """In one line, without the key, which a proxy or a service may repeat."""
    text = " ".join(str(error).split()) or type(error).__name__
    secret = key()
    return (text.replace(secret, "<key>") if secret else text)[:200]


def set_aside(folder: Path) -> None:
    """Move earlier offline records away: the new one has all of their steps, and uploading both would give them twice."""
    for record in sorted((folder / RECORDS).glob("offline-run-*")):
        (folder / OLDER).mkdir(exist_ok=True)
        shutil.move(str(record), str(folder / OLDER / record.name))


def tags_of(values: Mapping[str, Any]) -> list[str]:
    """What a list of runs is filtered by: the names of the choices."""
    names = [
        (values.get(group) or {}).get("name") for group in ("scale", "editor", "reward", "algo", "execution", "judge")
    ]
    return [f"{name}"[:64] for name in dict.fromkeys(names) if name]


__all__ = ["OLDER", "RECORDS", "WandB", "set_aside", "tags_of"]
