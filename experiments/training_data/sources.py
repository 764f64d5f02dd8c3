"""Where the requests of a training set come from."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from omegaconf import OmegaConf

from benchmarks.carried import read_complex_edit, read_mice
from benchmarks.options import BenchmarkOptions
from benchmarks.requests import PSR, REQUESTS, Read, read_requests
from conf.schema import SourceConfig
from experiments.runs.cli import CONF


def read_source(name: str, config: SourceConfig) -> Read:
    """The requests of one source."""
    names = {f.name for f in fields(BenchmarkOptions)}
    options = BenchmarkOptions(**{k: v for k, v in asdict(config).items() if k in names})
    match name:
        case "psr":
            return read_requests(PSR, options, config.licence)
        case "requests":
            return read_requests(REQUESTS, options, config.licence)
        case "mice":
            return read_mice(options)
    return read_complex_edit(options)


def evaluated_samples() -> dict[str, dict[str, Any]]:
    """Options of benchmarks without a test split of their own: what is evaluated there is the sample that the
    configuration draws (conf/benchmark/)."""
    path = CONF / "benchmark" / "ultraedit.yaml"
    if not path.is_file():
        return {}
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    return {"ultraedit": {k: values[k] for k in ("samples", "seed") if k in values}}


def given_options(config: SourceConfig) -> dict[str, Any]:
    """The options of a source that differ from their defaults."""
    default = asdict(SourceConfig())
    return {k: v for k, v in asdict(config).items() if v != default[k]}


__all__ = ["evaluated_samples", "given_options", "read_source"]
