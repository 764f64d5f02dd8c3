"""A run as Weights & Biases records it.

The files of the run are the truth: when a run goes on, or is uploaded later, its steps are written from `sft.jsonl` and
`metrics.jsonl`, so that one record has all of them under one id, each at its own step. Nothing here can fail or delay a run for
long: without a network the record is kept offline, and said once.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from common.errors import BadData, MissingFile
from common.jsonl import read_jsonl
from common.progress import console
from experiments.runs.wandb_account import service

CONNECT_S, INIT_S, FINISH_S = 5.0, 30.0, 60.0  # seconds at most: to reach the service, to open a record, to close it
RECORDS, OLDER = "wandb", "wandb-older"  # folders of a run: records, and those that a later one replaces
SFT, STEPS = "sft.jsonl", "metrics.jsonl"  # in the order in which a run writes them


class WandB:
    """`options`: a WandBTracker, `tools`: TrackerTools (experiments/runs/tracking.py). `mode` is what is wished for; `self.mode`
    what it is. `said` prints a line."""

    def __init__(
        self,
        options: Any,
        tools: Any,
        mode: Literal["online", "offline"],
        said: Callable[[str], None] = lambda text: console.print(text, markup=False, soft_wrap=True),
    ) -> None:
        try:
            import wandb
        except ImportError as e:
            raise MissingFile("tracker=wandb needs the package wandb: `make clean && make setup` installs it") from e
        os.environ.setdefault("WANDB_SILENT", "true")
        self.folder, self.say, self.broken = tools.folder, said, False
        self.offset = supervised_steps(tools.values)
        self.mode: str = mode
        if mode == "online" and (why := unreachable(service())):
            self.mode = self._offline(why)
        self.next = 0
        self.run: Any = None
        self._safely(lambda: self._begin(wandb, options, tools))

    def _begin(self, wandb: Any, options: Any, tools: Any) -> None:
        self.run = self._open(wandb, options, tools)
        self.next = self.run.step if self.mode == "online" else 0
        self.run.define_metric("*", step_metric="step")
        self._say_where()
        for row in known_steps(self.folder):
            self.log(row)

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
        settings = wandb.Settings(init_timeout=INIT_S, finish_timeout=FINISH_S, finish_timeout_raises=False)
        if self.mode == "online":
            try:
                return wandb.init(**common, mode="online", resume="allow", settings=settings)
            except Exception as error:  # noqa: BLE001  # W&B raises many kinds, of several libraries
                self.mode = self._offline(" ".join(str(error).split())[:200] or type(error).__name__)
                wandb.teardown()  # its helper process still holds the id
                set_aside(self.folder)
        return wandb.init(**common, mode="offline", settings=settings)

    def _offline(self, why: str) -> Literal["offline"]:
        self.say(f"W&B cannot be reached ({why}); the run is recorded offline")
        return "offline"

    def _say_where(self) -> None:
        if self.mode == "online":
            self.say(f"W&B: {self.run.url}")
        else:
            upload = f"python -m experiments.sync run={shlex.quote(str(self.folder))}"
            record = Path(self.run.dir).parent
            self.say(
                f"W&B: offline, in {record}; to upload it later: {upload} (or wandb sync {shlex.quote(str(record))})"
            )

    def log(self, metrics: Mapping[str, Any]) -> None:
        """A step that is there already is not written again: a resumed training does its last steps anew, with the same
        numbers."""
        step = int(metrics.get("step", self.next))
        supervised = any(key.startswith("sft/") for key in metrics)
        index = step if supervised else self.offset + step
        if index >= self.next:
            self._safely(lambda: self.run.log(dict(metrics), step=index))
            self.next = index + 1

    def summary(self, values: Mapping[str, Any]) -> None:
        """The numbers, and of a finished run its samples with pictures and its report."""
        from experiments.runs.wandb_results import samples_table, summary_of

        self._safely(lambda: self.run.summary.update({**values, **summary_of(self.folder)}))
        self._safely(lambda: self._samples(samples_table(self.folder)))
        self._safely(self._report)

    def _samples(self, table: Any) -> None:
        if table is not None:
            self.run.log({"samples": table}, step=self.next)
            self.next += 1

    def _report(self) -> None:
        import wandb

        if (self.folder / "report.html").is_file():
            artifact = wandb.Artifact(f"report-{self.run.id}", type="report")
            artifact.add_file(str(self.folder / "report.html"))
            self.run.log_artifact(artifact)

    def finish(self, exit_code: int = 0) -> None:
        self._safely(lambda: self.run.finish(exit_code=exit_code))

    def _safely(self, call: Callable[[], Any]) -> None:
        """A tracker's fault is said once and stops no run."""
        if self.broken:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001  # whatever a tracker raises
            self.broken = True
            why = " ".join(str(error).split())[:200] or type(error).__name__
            self.say(f"W&B stopped recording ({why}); the run goes on. All of it can be uploaded later: "
                     f"python -m experiments.sync run={shlex.quote(str(self.folder))}")  # fmt: skip


def unreachable(url: str) -> str:
    """Why the service cannot be reached within CONNECT_S; empty where it can. A proxy is left to the library."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return ""
    parts = urlparse(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        return f"{parts.hostname}: {error}"
    return ""


def known_steps(folder: Path) -> Iterator[dict[str, Any]]:
    """The steps that the run's files have, in their order."""
    for name in (SFT, STEPS):
        try:
            yield from read_jsonl(folder / name)
        except (MissingFile, BadData):
            continue  # the training itself says what is wrong with its file


def set_aside(folder: Path) -> None:
    """Move earlier offline records away: the new one has all of their steps, and uploading both would give them twice."""
    for record in sorted((folder / RECORDS).glob("offline-run-*")):
        (folder / OLDER).mkdir(exist_ok=True)
        shutil.move(str(record), str(folder / OLDER / record.name))


def supervised_steps(values: Mapping[str, Any]) -> int:
    algo = values.get("algo") or {}
    return int((algo.get("sft") or {}).get("steps") or 0)


def tags_of(values: Mapping[str, Any]) -> list[str]:
    """What a list of runs is filtered by: the names of the choices."""
    names = [
        (values.get(group) or {}).get("name") for group in ("scale", "editor", "reward", "algo", "execution", "judge")
    ]
    return [f"{name}"[:64] for name in dict.fromkeys(names) if name]


__all__ = ["OLDER", "RECORDS", "WandB", "known_steps", "set_aside", "supervised_steps", "tags_of", "unreachable"]
