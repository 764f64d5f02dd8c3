"""config.yaml of a run as dotted keys, read as it is: a run of another version of the code can be listed and compared too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from common.errors import BadData, MissingFile

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one is ten times as fast


def read_config(folder: Path) -> dict[str, Any]:
    """Dotted keys and values; a part's own name stands for the part (`reward: f1_goal`). Raises MissingFile, or BadData naming
    the file."""
    path = folder / "config.yaml"
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError as error:
        raise MissingFile(f"{folder} is no run folder: it has no config.yaml") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadData(f"{path} cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(values, Mapping):
        raise BadData(f"{path} holds no keys; it was not written by a run")
    return flat(values)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys, without the class of a part; lists and empty parts are values."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if key == "_target_":
            continue
        if isinstance(value, Mapping) and value:
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}".removesuffix(".name")] = value
    return out


def text(value: Any) -> str:
    """As the command line takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(text, value))}]"
    return str(value)


__all__ = ["flat", "read_config", "text"]
