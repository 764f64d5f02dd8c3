"""From a group's node with `_target_` to an object of that class, and back to plain values.

1. `_target_` is an importable class. The other keys of the node are the parameters of its constructor, which only keeps
   and checks them: it loads nothing.
2. Every node also has a `name`, which tables show.
3. If the object has `build(tools)`, the part is what that returns; else the object itself is the part.

A configuration holds the object itself where its class is a dataclass of ours (see `is_direct`), else its `Options`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from typing import Any, get_args, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from common.dotted import nearest
from common.errors import BadInput, ImageEditError
from common.parts import DEFINES, Part
from conf.options import (
    TARGET,
    Options,
    class_at,
    class_of,
    construct,
    dataclass_in,
    hints_of,
    is_direct,
    keys_of,
    options_of,
    path_of,
)
from conf.ranges import check_ranges

PART = "part"  # key of a root field's metadata
METHODS = {  # what an object of the group must have where its class has no build(tools)
    "reward": "__call__(samples, texts, seeds)",
    "editor": "edit(images, instructions, seeds)",
    "sequencer": "sequence(samples, decompositions, execution)",
    "judge": "judge(before, after, sample)",
    "tracker": "log(metrics)",
    "launcher": "launch(job)",
    "decomposer": "build(tools)",
    "algo": "build(tools)",
    "rollouts": "build(tools)",
    "engine": "build(tools)",
}


class NoSuchKey(BadInput):
    """A key that the chosen part does not have."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def part_field(defines: bool = True) -> Any:
    """The field of a root, or of another part, that holds a part; None until a yaml or the command line names its class.
    `defines`: whether it can change a result."""
    return field(default=None, metadata={PART: True, DEFINES: defines})


def part_groups(root: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(root) if f.metadata.get(PART))


def loose(root: type) -> DictConfig:
    """A root as a node whose parts take any key; `complete` checks them when their class is known."""
    cfg = OmegaConf.structured(root)
    for group in part_groups(root):
        cfg[group] = DictConfig({}, flags={"struct": False})
    return cfg


# --------------------------------------------------------------------------------------------------------------- nodes
def complete(cfg: DictConfig, group: str) -> None:
    """Give the node of `group` the types and defaults of its class, and check its keys and values. A node without
    `_target_` stays as it is. Raises BadInput naming the key, and the nearest right one."""
    give_types(cfg, group)
    refuse_missing(cfg, group)


def give_types(cfg: DictConfig, group: str) -> None:
    """`complete` for a node whose values may still be missing."""
    node = cfg.get(group)
    if not isinstance(node, DictConfig) or TARGET not in node:
        return
    options = options_of(class_at(node[TARGET], group))
    if OmegaConf.get_type(node) is options:  # done before; since then every value that is set is checked
        return
    known = sorted(keys_of(options, f"{group}."))
    for key in unknown_keys(node, options, f"{group}."):
        raise NoSuchKey(key, f"there is no key '{key}'{nearest(key, known)}")
    check_lists(node, options, f"{group}.")
    try:
        whole = OmegaConf.merge(OmegaConf.structured(options), node)
    except OmegaConfBaseException as error:
        raise BadInput(said(error)) from error
    whole._set_flag("struct", None)
    with flag_override(cfg, ["struct", "readonly"], [False, False]):
        cfg[group] = whole
    for inner in _parts_in(options):
        give_types(cfg[group], inner)


def refuse_missing(cfg: DictConfig, group: str) -> None:
    """BadInput naming the keys of `group` that have no value and no default."""
    node = cfg.get(group)
    if not isinstance(node, DictConfig) or TARGET not in node:
        return
    options = OmegaConf.get_type(node)
    assert isinstance(options, type)
    for inner in _parts_in(options):
        refuse_missing(node, inner)
    missing = [f"{group}.{key}=…" for key in sorted(OmegaConf.missing_keys(node))]
    if missing:
        raise BadInput(f"{node[TARGET]} needs {', '.join(missing)}")


def _parts_in(options: type) -> list[str]:
    return [f.name for f in fields(options) if f.metadata.get(PART)]


def unknown_keys(node: DictConfig, options: type, prefix: str) -> Iterator[str]:
    """Keys of the node, dotted, that the options do not have."""
    hints = hints_of(options)
    for key in map(str, node):
        if key not in hints:
            yield f"{prefix}{key}"
            continue
        inner, value = dataclass_in(hints[key]), node._get_node(key)
        if inner and isinstance(value, DictConfig) and not value._is_none() and not value._is_interpolation():
            yield from unknown_keys(value, inner, f"{prefix}{key}.")


def check_lists(node: DictConfig, options: type, prefix: str) -> None:
    """Lists whose items are dataclasses, as a curriculum is. Raises BadInput for other values, NoSuchKey naming the place."""
    for name, hint in hints_of(options).items():
        item = dataclass_in(get_args(hint)[0]) if get_origin(hint) is list else None
        value = node._get_node(name) if item and name in node else None
        if item is None or value is None:
            continue
        if not isinstance(value, ListConfig) or any(not isinstance(v, DictConfig) for v in value):
            keys = ", ".join(f"{f.name}: …" for f in fields(item))
            raise BadInput(f"{prefix}{name} is a list of parts; write it as '{prefix}{name}=[{{{keys}}}, …]'")
        for place, part in enumerate(value):
            start = f"{prefix}{name}[{place}]."
            for key in unknown_keys(part, item, start):
                raise NoSuchKey(key, f"there is no key '{key}'{nearest(key, sorted(keys_of(item, start)))}")


# ------------------------------------------------------------------------------------------------------------- objects
def to_object(cfg: DictConfig) -> Any:
    """A composed configuration as the dataclass of its root, with an object for every part that is chosen and None for the
    others. Raises BadInput for values that do not fit."""
    root = OmegaConf.get_type(cfg)
    assert isinstance(root, type)
    for group in part_groups(root):
        complete(cfg, group)
        node = cfg.get(group)
        if not getattr(root, "keys_of_a_run", False) and isinstance(node, DictConfig) and node and TARGET not in node:
            key = f"{group}.{next(iter(node))!s}"
            raise BadInput(f"{key} is given, but no {group} is chosen; add {group}=<name> (--help lists the choices)")
    check_ranges(cfg, root)
    try:
        config: Any = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise BadInput(said(error)) from error
    for group in part_groups(root):
        options = getattr(config, group)
        setattr(config, group, to_part(group, options) if isinstance(options, Options) else None)
    return config


def to_part(group: str, options: Options) -> Any:
    """What a configuration holds of these options; BadInput for values that the class refuses."""
    shown: Any = options
    for name, allowed in shown._choices_.items():
        if (value := getattr(options, name)) not in allowed:
            raise BadInput(f"{group}.{name}={value} is unknown; choose {', '.join(map(_written, allowed))}")
    for f in fields(shown):
        if isinstance(inner := getattr(options, f.name), Options):
            setattr(options, f.name, to_part(f"{group}.{f.name}", inner))
    try:
        made = construct(options)
    except ImageEditError:
        raise
    except (TypeError, ValueError) as error:
        raise BadInput(f"{group}={shown.name}: {error}") from error
    check_methods(group, shown.name, type(made))
    return made if is_direct(class_of(options)) else options


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_methods(group: str, name: str, cls: type) -> None:
    """BadInput for a class that cannot be a part of this group, said before anything is loaded."""
    method = METHODS.get(group)
    if method is None or (group == "judge" and not getattr(cls, "verdicts", True)):
        return
    names = {key for base in cls.__mro__ for key in vars(base)}  # a class itself can always be called
    if not names & {"build", method.partition("(")[0]}:
        raise BadInput(f"{group}={name}: {path_of(cls)} is no {group}: it needs a method {method}, or build(tools)")


def build(part: Any, tools: Any = None) -> Any:
    """The part: what `build(tools)` returns, or the object itself where its class has no such method."""
    made = construct(part)
    return made.build(tools) if callable(getattr(made, "build", None)) else made


def from_values(group: str, values: Mapping[str, Any]) -> Any:
    """A part from plain values with `_target_`. Raises BadInput as on the command line."""
    cfg = OmegaConf.create({group: dict(values)})
    complete(cfg, group)
    check_ranges(cfg[group], OmegaConf.get_type(cfg, group), f"{group}.")  # type: ignore[arg-type]
    try:
        return to_part(group, OmegaConf.to_object(cfg[group]))  # type: ignore[arg-type]
    except OmegaConfBaseException as error:
        raise BadInput(said(error)) from error


def with_keys(part: Any, group: str, keys: Mapping[str, Any]) -> Any:
    """The part with other values of some (dotted) keys, checked as on the command line."""
    node = OmegaConf.create(part_values(part))
    for key, value in keys.items():
        OmegaConf.update(node, key, value)
    return from_values(group, OmegaConf.to_container(node))  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------- plain values
def config_values(config: Any, defining: bool = False) -> dict[str, Any]:
    """A root's values as a file holds them: every chosen part has its `_target_`. `defining`: without what cannot change a
    result."""
    groups = part_groups(type(config))
    values = _values(config, defining, skipped=groups)
    chosen = {group: getattr(config, group) for group in groups if getattr(config, group) is not None}
    incidental = {f.name for f in fields(config) if f.metadata.get(DEFINES) is False}
    return values | {g: part_values(p, defining) for g, p in chosen.items() if not (defining and g in incidental)}


def part_values(part: Any, defining: bool = False) -> dict[str, Any]:
    return {TARGET: path_of(class_of(part))} | _values(part, defining)


def _values(node: Any, defining: bool, skipped: tuple[str, ...] = ()) -> dict[str, Any]:
    values = {}
    for f in fields(node):
        if f.name not in skipped and not (defining and f.metadata.get(DEFINES) is False):
            value = getattr(node, f.name)
            if isinstance(value, Part | Options):
                values[f.name] = part_values(value, defining)
            else:
                values[f.name] = _values(value, defining) if is_dataclass(value) else _plain(value)
    return values


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _values(value, defining=False)  # an item of a list, as a part of a curriculum is
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def said(error: Exception) -> str:
    """A library's message, the cause's where it has one, on one line."""
    cause = error.__cause__
    texts = [str(error)] + ([str(cause)] if cause is not None and str(cause) not in str(error) else [])
    text = " ".join(" ".join(texts).split())
    return re.sub(r"\s*(object_type|reference_type)=\S+", "", text).replace(" full_key: ", ": key ")


__all__ = [
    "NoSuchKey",
    "build",
    "complete",
    "config_values",
    "construct",
    "from_values",
    "give_types",
    "loose",
    "part_field",
    "part_groups",
    "part_values",
    "refuse_missing",
    "said",
    "to_object",
    "with_keys",
]
