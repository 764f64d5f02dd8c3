"""Jobs of a sweep that failed, kept in its folder until they succeed, so that its report can name them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from common.files import read_json, write_json
from conf.schema import RunConfig

FAILED = "failed"  # folder in that of the sweep: a file for each failed job


def job_name(config: RunConfig) -> str:
    """What tells a job from the others of its sweep: its own words on the command line."""
    words = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    return " ".join(words) or f"{config.name}, seed {config.seed}"


def note_failure(config: RunConfig, error: BaseException) -> None:
    """Nothing where the run belongs to no sweep."""
    if config.sweep:
        reason = " ".join(str(error).split()) or type(error).__name__
        write_json(_file(config), {"job": job_name(config), "error": reason})


def forget_failure(config: RunConfig) -> None:
    """The job of an earlier try that failed has succeeded."""
    if config.sweep:
        _file(config).unlink(missing_ok=True)


def failures_in(sweep: Path) -> list[str]:
    """A line for each failed job of the sweep in this folder, with the reason. Raises BadData naming a damaged file."""
    rows = [read_json(path) for path in sorted((sweep / FAILED).glob("*.json"))]
    return [f"{row['job']}: failed: {row['error']}" for row in sorted(rows, key=lambda r: r["job"])]


def _file(config: RunConfig) -> Path:
    name = hashlib.sha256(job_name(config).encode()).hexdigest()[:12]
    return Path(config.paths.outputs) / "sweeps" / str(config.sweep) / FAILED / f"{name}.json"


__all__ = ["FAILED", "failures_in", "forget_failure", "job_name", "note_failure"]
