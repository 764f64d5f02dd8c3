"""A specification as files, for the worker processes of an evaluation: it is resolved once, by their launcher."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from common.files import read_json, write_json, write_text
from conf.parts import from_values, part_values
from conf.schema.shared import UnlikeSandbox
from experiments.evaluation.shares import Share
from experiments.evaluation.spec import EvaluationSpec
from experiments.runs.identity import config_text, load_config

PATHS = ("out", "start", "trained", "pictures")
LISTS = ("arms", "decompositions")


def write_spec(spec: EvaluationSpec, path: Path) -> None:
    """The specification as JSON, and the configuration that is evaluated beside it as yaml."""
    values: dict[str, Any] = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name != "used"}
    values |= {k: None if values[k] is None else str(values[k]) for k in PATHS}
    values |= {"share": asdict(spec.share), "unlike": asdict(spec.unlike), "metrics": part_values(spec.metrics)}
    write_text(_config_of(path), config_text(spec.used))
    write_json(path, values)


def read_spec(path: Path, worker: int) -> EvaluationSpec:
    """The specification for worker number `worker`, with its part of the share."""
    values = read_json(path)
    values |= {k: None if values[k] is None else Path(values[k]) for k in PATHS}
    values |= {k: tuple(values[k]) for k in LISTS}
    values |= {"share": Share(**values["share"]), "unlike": UnlikeSandbox(**values["unlike"])}
    values |= {"metrics": from_values("metrics", values["metrics"])}
    config = _config_of(path)
    spec = EvaluationSpec(used=load_config(config.parent, config.name), **values)
    return replace(spec, share=spec.share.split(spec.used.launcher.processes)[worker])


def _config_of(path: Path) -> Path:
    return path.with_suffix(".yaml")


__all__ = ["read_spec", "write_spec"]
