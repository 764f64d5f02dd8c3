"""What defines a run, as a hash: the same command again finds the same folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from common.errors import BadData, MissingFile
from common.parts import Content, Part
from common.places import assets_folder, moved
from conf.options import Options
from conf.parts import config_values, loose, to_object
from conf.schema import MAIN_JOB, RunConfig
from experiments.build.device import device_of

START, TRAINED = "start", "decomposer"  # folders of a run: after the supervised phase, after GRPO
HASHED_BYTES = 1 << 30  # bigger checkpoints are told apart by file names and sizes alone


def identity(config: RunConfig) -> dict[str, Any]:
    """The part of the configuration that defines the run: every key but those marked as incidental, the class of every part,
    and digests of the files whose content a part declares."""
    if config.rollouts.resolve("cpu") is not config.rollouts:  # rollouts=auto: what it stands for here counts
        config = replace(config, rollouts=config.rollouts.resolve(device_of(config.engine)))
    values = config_values(config, defining=True)
    if config.job == list(MAIN_JOB):
        values.pop("job")
    for group in values:
        part = getattr(config, group)
        if digests := [digest(content) for content in _contents(part)]:
            values[group]["content"] = digests
    return values


def _contents(part: Any) -> list[Content]:
    return list(part.contents()) if isinstance(part, Part | Options) else []


def digest(content: Content) -> str:
    """Of the files, or their name where they are not here (a Hub id stands for itself)."""
    folder = Path(content.folder)
    return digest_folder(folder, content.patterns) if folder.exists() else str(content.folder)


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


def config_text(config: Any) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(config_values(config)))


def _with_assets_here(values: Any) -> Any:
    """A run's values, with the tiny checkpoints where they are now: a run may have been made in another folder."""
    plain = OmegaConf.to_container(values)
    old = (plain.get("paths") or {}).get("assets") if isinstance(plain, dict) else None
    return plain if not old or Path(old).is_dir() else moved(plain, old, assets_folder())


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
        raise BadData(f"{path} does not fit this version ({' '.join(str(e).split())}); run it again") from e
    assert isinstance(config, RunConfig)
    return config
