"""A claim says what defines the rows of a folder, so that rows of two different evaluations are never mixed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.files import read_json, write_json
from experiments.evaluation.layout import CLAIM


def claim(folder: Path, values: Mapping[str, Any], what: str, way_out: str) -> None:
    """Write the claim of a folder. Raises BadInput where the folder has rows of another one, naming what differs; a claim
    without any row is replaced."""
    path = folder / CLAIM
    if path.is_file() and has_rows(folder):
        existing = read_json(path)
        other = sorted(k for k in {*existing, *values} if existing.get(k) != values.get(k))
        if other:
            raise BadInput(f"{folder} holds {what} of another evaluation (other {', '.join(other)}); {way_out}")
        return
    write_changed(path, values)


def has_rows(folder: Path) -> bool:
    return any(p.stat().st_size for p in folder.glob("**/*-of-*.jsonl"))


def write_changed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, unless it has this content already (its modification time then stays as it is)."""
    if not path.is_file() or read_json(path) != dict(value):
        write_json(path, dict(value))


__all__ = ["claim", "has_rows", "write_changed"]
