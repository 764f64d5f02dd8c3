"""What `--help` prints: a command's own choices and keys, and only those. Keys of parts are those of the chosen classes, so
`--help editor=gpt_image` lists that editor's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf.comments import comments_of
from conf.options import TARGET, dataclass_in, hints_of
from conf.schema import ROOTS

WIDTH = 34  # of the column of keys
CHOICES, KEYS = "$APP_CONFIG_GROUPS", "$KEYS"  # places in conf/hydra/help/<command>.yaml


def help_text(name: str, cfg: DictConfig, groups: Mapping[str, Sequence[str]], template: DictConfig) -> str:
    """`cfg`: the command's composed configuration; `groups`: its choices; `template`: conf/hydra/help/<command>.yaml."""
    whole: Any = OmegaConf.create({"hydra": {"help": template}})
    lists = {CHOICES: _choices(groups), KEYS: key_lines(cfg, ROOTS[name])}
    lines = str(whole.hydra.help.template).splitlines()
    return "\n".join(out for line in lines for out in lists.get(line.strip(), [line]))


def _choices(groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    wide = max(map(len, groups), default=0)
    for group, options in groups.items():
        if options and group not in ("hydra", "paths"):
            yield f"  {group.replace('/', '.'):<{wide}}  {' '.join(options)}"


def key_lines(cfg: DictConfig, options: type) -> Iterator[str]:
    """A line for every key that can be given: key=value, and what it means."""
    for key, value, comment in keys_with_comments(cfg, options):
        yield f"  {f'{key}={value}':<{WIDTH}}  {comment}".rstrip()


def keys_with_comments(node: DictConfig, options: type, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted key, its value here, its comment) of every leaf."""
    hints, comments = hints_of(options), comments_of(getattr(options, "_class_", options))
    for f in fields(options):
        if f.name == TARGET:
            continue
        key, value = f"{prefix}{f.name}", _value(node, f.name)
        inner = dataclass_in(hints[f.name])
        if isinstance(value, DictConfig) and (kind := OmegaConf.get_type(value)) is not dict and isinstance(kind, type):
            inner = kind
        if inner and isinstance(value, DictConfig):
            yield from keys_with_comments(value, inner, f"{key}.")
        elif not (isinstance(value, DictConfig) and not value) and not _is_choice(f, prefix):
            yield key, _shown(value), comments.get(f.name, "")


def _is_choice(f: Any, prefix: str) -> bool:
    """A part that is not chosen is listed among the choices; so is the name of one that is."""
    return bool(f.metadata.get("part")) or (bool(prefix) and f.name == "name")


def _value(node: DictConfig, name: str) -> Any:
    if OmegaConf.is_missing(node, name):
        return "<…>"
    try:
        return node[name]
    except OmegaConfBaseException:
        return "<…>"


def _shown(value: Any) -> str:
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    if plain is None:
        return "null"
    if isinstance(plain, bool):
        return str(plain).lower()
    text = f"[{','.join(map(_shown, plain))}]" if isinstance(plain, list) else str(plain)
    return text if len(text) <= 60 else f"{text[:57]}…"


__all__ = ["help_text", "key_lines", "keys_with_comments"]
