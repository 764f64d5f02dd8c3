"""Jobs of a sweep that failed, kept in its folder until they succeed, so that its report can name them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from common.files import read_json, write_json
from conf.schema import RunConfig
from experiments.runs.given import given_words
from experiments.runs.status import said

FAILED = "failed"  # folder in that of the sweep: a file for each failed job


def job_name(config: RunConfig) -> str:
    """What tells a job from the others of its sweep: its own words on the command line."""
    return " ".join(w for w in given_words() if not w.startswith("sweep=")) or f"{config.name}, seed {config.seed}"


def note_failure(config: RunConfig, error: BaseException) -> None:
    """Nothing where the run belongs to no sweep."""
    if config.sweep:
        write_failure(_sweep(config), job_name(config), said(error))


def write_failure(sweep: Path, job: str, reason: str) -> None:
    """Of a job of the sweep in this folder. Raises SaveFailed."""
    write_json(_file(sweep, job), {"job": job, "error": reason})


def forget_failure(config: RunConfig) -> None:
    """The job of an earlier try that failed is tried again, or has succeeded."""
    if config.sweep:
        _file(_sweep(config), job_name(config)).unlink(missing_ok=True)


def reason_of(sweep: Path, job: str) -> str:
    """Why a job failed; "" where it did not. Raises BadData naming a damaged file."""
    path = _file(sweep, job)
    return str(read_json(path)["error"]) if path.is_file() else ""


def failures_in(sweep: Path) -> list[str]:
    """A line for each failed job of the sweep in this folder, with the reason. Raises BadData naming a damaged file."""
    rows = [read_json(path) for path in sorted((sweep / FAILED).glob("*.json"))]
    return [f"{row['job']}: failed: {row['error']}" for row in sorted(rows, key=lambda r: r["job"])]


def _sweep(config: RunConfig) -> Path:
    return Path(config.paths.outputs) / "sweeps" / str(config.sweep)


def _file(sweep: Path, job: str) -> Path:
    return sweep / FAILED / f"{hashlib.sha256(job.encode()).hexdigest()[:12]}.json"


__all__ = ["FAILED", "failures_in", "forget_failure", "job_name", "note_failure", "reason_of", "write_failure"]
