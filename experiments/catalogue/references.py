"""What runs point to in other runs: checkpoints that their configuration names, phases that they share, links."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import BadData, MissingFile
from experiments.catalogue.configs import read_config

SHARED = "shared.json"  # of a run: where the phases come from that it did not do itself
INDEX = "shared"  # folder beside the runs that keeps shared phases, or says where they lie


def pointed_at(runs: Iterable[Path]) -> dict[Path, str]:
    """Real paths that a run, or the index beside the runs, names outside its own folder, with who does."""
    found: dict[Path, str] = {}
    runs = list(runs)
    for run in runs:
        own = run.resolve()
        for path in _named_by(run):
            if path != own and not path.is_relative_to(own):
                found.setdefault(path, run.name)
    for index in dict.fromkeys(run.parent / INDEX for run in runs):
        for path in (*_links(index), *_texts_of(index)):
            found.setdefault(path, str(index))
    return found


def keeps(path: Path, run: Path, pointed: Mapping[Path, str], whole: bool) -> str:
    """Who needs `path` within the folder `run`: whoever names it or something in it, and with `whole` also whoever names a folder
    of the run around it, or the run; "" where nobody does. A folder around the run (outputs/) is named by every run."""
    real, own = path.resolve(), run.resolve()
    for target, who in pointed.items():
        if target.is_relative_to(real) or (whole and real.is_relative_to(target) and target.is_relative_to(own)):
            return who
    return ""


def _named_by(run: Path) -> Iterator[Path]:
    try:
        config = read_config(run)
    except (BadData, MissingFile):
        config = {}
    yield from _paths(config, Path())
    if (run / SHARED).is_file():
        yield from _paths(_json(run / SHARED), run)
    yield from _links(run)


def _paths(values: Any, base: Path) -> Iterator[Path]:
    """The texts within `values` that are paths of something that is there."""
    if isinstance(values, Mapping):
        for value in values.values():
            yield from _paths(value, base)
    elif isinstance(values, list):
        for value in values:
            yield from _paths(value, base)
    elif isinstance(values, str) and "/" in values and len(values) < 4096 and "\0" not in values:
        for path in dict.fromkeys((Path(values).expanduser(), base / values)):
            try:
                if path.exists():
                    yield path.resolve()
            except OSError:
                continue  # a text that is no path at all


def _links(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink():
                yield path.resolve()


def _texts_of(index: Path) -> Iterator[Path]:
    for path in index.rglob("*.json"):
        yield from _paths(_json(path), path.parent)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return {}


__all__ = ["keeps", "pointed_at"]
