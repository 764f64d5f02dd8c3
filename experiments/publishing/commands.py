"""The command that makes a run again, from its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.errors import ImageEditError
from conf.options import TARGET
from conf.parts import config_values

NOT_PART_OF_IT = ("paths", "sweep", "force", "verbose", "stages", "tracker", "launcher")  # where and how, not what
PLAIN = re.compile(r"[\w./%+-]+")  # what Hydra and a shell take without quotes


def command_of(config: Any) -> str | None:
    """`python -m experiments.run …` with every word that differs from the defaults; None where no command line says it all (a
    configuration that an older version wrote, or one of the user's own folder)."""
    from experiments.runs.cli import typed
    from experiments.runs.composing import compose

    try:
        words = _choices(config)
        words += _differences(config, typed(compose("run", words)))
        again = typed(compose("run", words))
    except ImageEditError:
        return None
    if config_values(again, defining=True) != config_values(config, defining=True):
        return None
    return " ".join(["python -m experiments.run", *map(_for_shell, map(_without_folder, words))])


def _choices(config: Any) -> list[str]:
    """The experiment, then every group whose choice is not the experiment's own."""
    from experiments.runs.composing import compose, groups_of

    words = [] if config.experiment == "main" else [f"experiment={config.experiment}"]
    known, usual = groups_of("run"), compose("run", words)
    for group, options in known.items():
        part = getattr(config, group, None)
        name = getattr(part, "name", None)
        if group in NOT_PART_OF_IT or "/" in group or name not in options:
            continue
        if name != (usual.get(group) or {}).get("name"):
            words.append(f"{group}={name}")
    return words


def _differences(config: Any, usual: Any) -> Iterator[str]:
    own, theirs = _flat(config_values(config)), _flat(config_values(usual))
    for key, value in own.items():
        if value != theirs.get(key, ...) and key.partition(".")[0] not in NOT_PART_OF_IT and key != "experiment":
            yield f"{key}={_hydra(value)}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            out |= _flat(value, f"{prefix}{key}.")
        elif key not in (TARGET, "source", "licence"):
            out[prefix + key] = value
    return out


def _hydra(value: Any) -> str:
    """A value as Hydra's grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_hydra(one)}" for key, one in value.items()) + "}"
    text = str(value)
    if not isinstance(value, str) or (PLAIN.fullmatch(text) and text.lower() not in ("null", "true", "false")):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_folder(word: str) -> str:
    """Whole paths are of this machine: only the name is shown."""
    key, _, value = word.partition("=")
    return f"{key}=<folder>/{value.rpartition('/')[2]}" if value.startswith("/") else word


def _for_shell(word: str) -> str:
    return word if re.fullmatch(r"[\w./%+=,:@<>-]+", word) else "'" + word.replace("'", "'\\''") + "'"


__all__ = ["command_of"]
