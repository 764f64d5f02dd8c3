"""Composing a command's configuration with Hydra, quickly.

Hydra takes a third of a second to merge the files of one choice of groups. What it makes of a choice is kept, and the values
of the command line are set on a copy, which gives the same configuration. Hydra itself composes what is more than values and
choices of conf/ (searched folders, classes, sweeps, additions, deletions), and every command line with an unknown key or
choice, so that its messages stay the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

import conf
from common.errors import BadInput
from conf.options import TARGET
from conf.parts import give_types, part_groups, refuse_missing, said, to_object
from conf.schema import BY_CLASS, NESTED, ROOTS, register

CONF = Path(conf.__file__).parent


def compose(name: str, overrides: Sequence[str], whole: bool = True) -> DictConfig:
    """Compose without running, every part with all keys of its class; errors in our words. `whole`: nothing may be
    missing."""
    words = by_class(overrides)
    try:
        cfg = _quickly(name, words)
        if cfg is None:
            cfg = _by_hydra(name, words)
            _give_types(cfg, name)
        for group in part_groups(ROOTS[name]):
            refuse_missing(cfg, group)
        missing = [k for k in OmegaConf.missing_keys(cfg) if "." not in k] if whole else []
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(said(error)) from error
    if missing:
        raise BadInput(f"missing: {', '.join(f'{k}=…' for k in sorted(missing))} (python -m experiments.{name} --help)")
    return cfg


def typed(cfg: DictConfig, sweep: str | None = None) -> Any:
    """The composed configuration as its dataclass, with an object for every part; from here on nobody sees Hydra. `sweep` is
    a sweep's id. Raises BadInput for values that do not fit."""
    config = to_object(cfg)
    if sweep and hasattr(config, "sweep"):
        config.sweep = config.sweep or sweep
    return config


def _quickly(name: str, words: Sequence[str]) -> DictConfig | None:
    """The same as from Hydra, by setting plain values on a copy of what the choices of groups give; None where it takes
    Hydra."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(words))
    except HydraException:
        return None
    if not all(_is_plain(o) for o in parsed):
        return None
    values = [o for o in parsed if not _is_choice(o)]
    choices = tuple(str(o.input_line) for o in parsed if _is_choice(o))
    try:
        cfg = copy.deepcopy(_chosen(name, choices, _places()))
    except (HydraException, OmegaConfBaseException, BadInput):
        return None
    for override in values:
        try:
            OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except ValidationError as error:
            raise BadInput(f"{override.input_line}: {said(error)}") from error
        except OmegaConfBaseException:
            return None
    return cfg


def _is_plain(override: Override) -> bool:
    """`algo.lr=1` or `editor=qwen`; no class, no sweep, nothing of Hydra's own, nothing that adds or deletes."""
    key = override.key_or_group
    changes = override.type == OverrideType.CHANGE and override.package is None and not override.is_sweep_override()
    return changes and not key.startswith("hydra") and not key.endswith(TARGET)


def _is_choice(override: Override) -> bool:
    key = override.key_or_group
    return "/" in key or key in _part_names() or key in _folders()


@cache
def _chosen(name: str, choices: tuple[str, ...], places: tuple[str, ...]) -> DictConfig:
    """The configuration with these choices, every part with all keys of its class. `places` are the folders Hydra reads."""
    cfg = _by_hydra(name, choices)
    _give_types(cfg, name)
    return cfg


def _places() -> tuple[str, ...]:
    if not GlobalHydra.instance().is_initialized():
        return ()
    return tuple(str(place.path) for place in GlobalHydra.instance().config_loader().get_search_path().get_path())


def _by_hydra(name: str, words: Sequence[str]) -> DictConfig:
    register()
    with on_conf():
        return hydra.compose(name, list(words))


def hydra_of(name: str, words: Sequence[str]) -> DictConfig:
    """Hydra's own part of the configuration: launcher, sweeper, folders. Raises BadInput."""
    register()
    try:
        with on_conf():
            return hydra.compose(name, list(words), return_hydra_config=True).hydra
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(said(error)) from error


def _give_types(cfg: DictConfig, name: str) -> None:
    for group in part_groups(ROOTS[name]):
        give_types(cfg, group)


def on_conf() -> Any:
    """Hydra on conf/; the one that is there already within a command."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return hydra.initialize_config_dir(str(CONF), version_base="1.3")


def by_class(argv: Sequence[str]) -> list[str]:
    """`reward._target_=mypkg.MyReward` chooses a class in place of a yaml, unless a yaml is chosen too. The nested group's
    `judge.rubric=<name>` is Hydra's `judge/rubric=<name>`."""
    words = []
    for word in argv:
        key, equals, value = word.partition("=")
        nested = equals and key in NESTED and not value.startswith("{")
        words.append(f"{NESTED[key]}={value}" if nested else word)
    chosen = {word.partition("=")[0] for word in words}
    whole = []
    for word in words:  # the choice stands beside its key: argparse takes no override behind a flag
        whole.append(word)
        key = word.partition("=")[0].lstrip("+")
        owner = key.removesuffix(f".{TARGET}")
        group = NESTED.get(owner, owner)
        if owner != key and group in _part_names() - chosen:
            whole.append(f"{group}={BY_CLASS}")
            chosen.add(group)
    return whole


@cache
def _part_names() -> frozenset[str]:
    return frozenset({g for root in ROOTS.values() for g in part_groups(root)} | set(NESTED.values()))


@cache
def _folders() -> frozenset[str]:
    return frozenset(folder.name for folder in CONF.iterdir() if folder.is_dir())


def groups_of(name: str, overrides: Sequence[str] = ()) -> dict[str, list[str]]:
    """The groups of a command's defaults list and the options each has: those of conf/, and of `hydra.searchpath`."""
    register()
    names = _groups_in_defaults(name)
    with on_conf():
        loader = GlobalHydra.instance().config_loader()
        if overrides:
            try:
                options = {
                    g: loader.get_group_options(g, ObjectType.CONFIG, config_name=name, overrides=list(overrides))
                    for g in names
                }
            except (HydraException, OmegaConfBaseException) as error:
                raise BadInput(said(error)) from error
        else:  # the same, without reading the command's yaml once per group
            sources = loader.get_sources()
            options = {
                g: [o for s in sources if s.is_group(g) for o in s.list(g, results_filter=ObjectType.CONFIG)]
                for g in names
            }
    return {g: sorted({o for o in known if o != BY_CLASS}) for g, known in options.items()}


@cache
def _groups_in_defaults(name: str) -> tuple[str, ...]:
    defaults = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))["defaults"]  # type: ignore[call-overload,index]
    names = [next(iter(d)) for d in defaults if isinstance(d, dict)]
    return tuple(n for n in names if not n.startswith("override"))


__all__ = ["CONF", "by_class", "compose", "groups_of", "hydra_of", "on_conf", "typed"]
