"""What defines a run, as a hash: the same command again finds the same folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from common.errors import BadData, MissingFile
from common.places import assets_folder, moved
from conf.parts import config_values, loose, to_object
from conf.schema import MAIN_JOB, RunConfig
from experiments.build.device import device_of
from experiments.build.teachers import choice
from experiments.runs.contents import contents_of, digest_of

START, TRAINED = "start", "decomposer"  # folders of a run: after the supervised phase, after GRPO
WRITER = "intent"  # of a run that teaches a writer of intents


def identity(config: RunConfig) -> dict[str, Any]:
    """The part of the configuration that defines the run: every key but those marked as incidental, the class of every part,
    and digests of the files whose content a part declares, or one that it names. Raises BadInput for files that cannot be read."""
    if config.rollouts.resolve("cpu") is not config.rollouts:  # rollouts=auto: what it stands for here counts
        config = replace(config, rollouts=config.rollouts.resolve(device_of(config.engine)))
    values = config_values(config, defining=True)
    if config.job == list(MAIN_JOB):
        values.pop("job")
    for group in values:
        part = getattr(config, group)
        named = part.named() if hasattr(part, "named") else ()
        parts = [part, *(choice(config, *pair) for pair in named)]
        if digests := [digest_of(content) for one in parts for content in contents_of(one)]:
            values[group]["content"] = digests
    return values


def run_hash(values: dict[str, Any]) -> str:
    """Eight hexadecimal digits of the canonical JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]


def run_folder(config: RunConfig, values: dict[str, Any] | None = None) -> Path:
    """`values` is the run's identity, where it is known already."""
    return Path(config.paths.outputs) / f"{config.name}-{run_hash(values or identity(config))}"


def config_text(config: Any) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(config_values(config)))


def _with_assets_here(values: Any) -> Any:
    """A run's values, with the tiny checkpoints where they are now: a run may have been made in another folder."""
    plain = OmegaConf.to_container(values)
    old = (plain.get("paths") or {}).get("assets") if isinstance(plain, dict) else None
    return plain if not old or Path(old).is_dir() else moved(plain, old, assets_folder())


def has_writer_alone(run: str | Path) -> bool:
    """Whether a run's folder has a writer of intents and no trained decomposer."""
    return (Path(run) / WRITER).is_dir() and not (Path(run) / TRAINED).is_dir()


def load_config(run: str | Path, name: str = "config.yaml") -> RunConfig:
    """The configuration of a run's folder. MissingFile where it is none, BadData where its config.yaml is damaged."""
    path = Path(run) / name
    if not path.is_file():
        raise MissingFile(
            f"{run} is no run folder: it has no config.yaml. `python -m experiments.run` makes one in outputs/"
        )
    try:
        merged = OmegaConf.merge(loose(RunConfig), OmegaConf.create(_with_assets_here(OmegaConf.load(path))))
        assert isinstance(merged, DictConfig)
        config = to_object(merged)
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as e:
        raise BadData(
            f"{path} does not fit this version ({' '.join(str(e).split())}); its command with force=true runs it again"
        ) from e
    assert isinstance(config, RunConfig)
    return config
