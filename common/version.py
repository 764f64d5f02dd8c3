"""The project's version, from the one place that has it: pyproject.toml."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

NAME = "imageedit-r1"


def version() -> str:
    """Of this checkout; of the installed package where there is no checkout."""
    path = Path(__file__).parents[1] / "pyproject.toml"
    if path.is_file():
        return str(tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return installed(NAME)
    except PackageNotFoundError:
        return "unknown"


def version_line() -> str:
    return f"{NAME} {version()}"


__all__ = ["NAME", "version", "version_line"]
