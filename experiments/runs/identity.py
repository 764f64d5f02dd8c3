"""What defines a run, as a hash: the same command again finds the same folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from common.errors import BadData, MissingFile
from conf.schema import MAIN_JOB, BenchmarkConfig, JudgeConfig, RunConfig
from experiments.preflight.machine import chosen_rollouts

START, TRAINED = "start", "decomposer"  # folders of a run: after the supervised phase, after GRPO
# Where things lie, how they are watched, and what cannot change a result. Everything else defines the run.
EXCLUDED = (
    "name",
    "force",
    "verbose",
    "paths",
    "tracker",
    "stages",
    "objective",
    "engine.device",
    *(f"engine.{key}" for key in ("stage", "offload_optimizer", "gather_mib", "timeout_s")),  # equal up to rounding
    "launcher",  # likewise: a run goes on with another number of processes
    "decomposer.checkpoint",  # its content counts, by a digest
    "decomposer.source",
    "decomposer.parameters",
    "editor.checkpoint",  # likewise
    "editor.source",
    "editor.licence",
    "editor.parameters",
    "editor.largest",
    "editor.allow_download",
    *(f"editor.api.{key}" for key in ("key_env", "timeout_s", "tries", "concurrency", "cache", "organization")),
    "benchmark.path",  # likewise
    "scale.needs",
    "scale.strips",
    "algo.checkpoint_every",
    *(f"rollouts.{key}" for key in ("max_tokens", "cache_gib", "sleep", "process", "sync_limit_s", "call_limit_s")),
    *(
        f"judge.{key}"
        for key in ("keys", "source", "base_url", "concurrency", "requests_per_minute", "tokens_per_minute")
    ),
    *(f"judge.{key}" for key in ("timeout_s", "tries", "price_in", "price_out", "cache")),
)
HASHED_BYTES = 1 << 30  # bigger checkpoints are told apart by file names and sizes alone


def identity(config: RunConfig) -> dict[str, Any]:
    """The part of the configuration that defines the run, with digests in place of paths."""
    values = asdict(config)
    for key in EXCLUDED:
        *parents, last = key.split(".")
        node = values
        for parent in parents:
            node = node[parent]
        node.pop(last)
    if config.job == list(MAIN_JOB):
        values.pop("job")
    if config.rollouts.name == "auto":
        from experiments.build.device import device_of

        values["rollouts"]["name"] = chosen_rollouts(config.rollouts, device_of(config.engine))
    values["decomposer"]["content"] = digest_folder(Path(config.decomposer.checkpoint), ("*.safetensors", "*.json"))
    if config.editor.checkpoint:
        folder = Path(config.editor.checkpoint)
        found = (
            digest_folder(folder, ("**/*.safetensors", "**/*.json")) if folder.is_dir() else config.editor.checkpoint
        )
        values["editor"]["content"] = found  # a Hub id stands for itself
    for group, always in (
        ("judge", ("name", "max_invalid_share")),
        ("benchmark", ("name", "max_edits", "train_share")),
    ):
        values[group] = {k: v for k, v in values[group].items() if k in always or v != _defaults(group)[k]}
    if config.benchmark.path and config.benchmark.name != "sandbox":
        values["benchmark"]["content"] = digest_folder(Path(config.benchmark.path), ("**/*.jsonl",))
    return values


def _defaults(group: str) -> dict[str, Any]:
    """Keys of parts that a run does not use say nothing about it as long as nobody sets them."""
    return asdict(JudgeConfig(name="") if group == "judge" else BenchmarkConfig(name=""))


def run_hash(values: dict[str, Any]) -> str:
    """Eight hexadecimal digits of the canonical JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]


def run_folder(config: RunConfig) -> Path:
    return Path(config.paths.outputs) / f"{config.name}-{run_hash(identity(config))}"


def digest_folder(folder: Path, patterns: Iterable[str]) -> str:
    """A digest of the matching files' names and contents; of names and sizes where there is more than a gigabyte."""
    files = [folder] if folder.is_file() else sorted({f for p in patterns for f in folder.glob(p) if f.is_file()})
    whole = sum(f.stat().st_size for f in files) <= HASHED_BYTES
    digest = hashlib.sha256()
    for f in files:
        digest.update(f"{f.name}\0{f.stat().st_size}\0".encode())
        if whole:
            digest.update(f.read_bytes())
    return digest.hexdigest()[:16]


def config_text(config: RunConfig) -> str:
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def load_config(run: str | Path, name: str = "config.yaml") -> RunConfig:
    """The configuration of a run's folder. MissingFile where it is none, BadData where its config.yaml is damaged."""
    path = Path(run) / name
    if not path.is_file():
        raise MissingFile(
            f"{run} is no run folder: it has no config.yaml. `python -m experiments.run` makes one in outputs/"
        )
    try:
        merged = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.load(path))
        config = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as e:
        raise BadData(f"{path} does not fit this version ({' '.join(str(e).split())}); run it again") from e
    assert isinstance(config, RunConfig)
    return config
