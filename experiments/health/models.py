"""The tiny checkpoints, whole or not, and the published models that are on this machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from common.errors import ImageEditError
from common.files import read_bytes, read_json
from common.places import ROOT, assets_folder
from experiments.health.findings import Finding

MANIFEST = "manifest.json"  # of assets/tiny, where there is one: {file: SHA-256}
KEYS = ("checkpoint", "base", "model")  # of a part's yaml: the folder or Hub id of a model


def tiny() -> list[Finding]:
    """Every checkpoint that a yaml in conf/ names below assets/tiny."""
    folder = Path(assets_folder()) / "tiny"
    digests = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    return [
        _tiny(folder / name, digests) for name in sorted({n for n in _named() if n.startswith("tiny/")} - {"tiny/"})
    ]


def _tiny(place: Path, digests: dict[str, str]) -> Finding:
    folder = Path(assets_folder()) / place.relative_to(Path(assets_folder()) / "tiny")
    wrong = next(_faults(folder, digests), "")
    if wrong:
        return Finding(folder.name, "fault", wrong, "`git checkout -- assets/tiny`; `make tiny` rebuilds them in hours")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return Finding(folder.name, "ok", f"{size / 1e6:.1f} MB, whole", "", {"folder": str(folder), "bytes": size})


def _faults(folder: Path, digests: dict[str, str]) -> Iterator[str]:
    """What is wrong with a checkpoint: files that are not there, cut short, or changed."""
    from editors.checkpoint import check_pipeline, read_header, weight_files

    if not folder.is_dir():
        yield f"{folder} is not there"
        return
    try:
        if (folder / "model_index.json").is_file():
            check_pipeline(folder, "flux_kontext" if "flux" in folder.name else "qwen")
        else:
            for file in weight_files(folder):
                read_header(file)
            if not (folder / "config.json").is_file():
                yield f"{folder / 'config.json'} is not there"
    except ImageEditError as error:
        yield str(error)
    for name, digest in digests.items():
        path = folder.parent / name
        if folder in path.parents and (not path.is_file() or hashlib.sha256(read_bytes(path)).hexdigest() != digest):
            yield f"{path} is not the file that {MANIFEST} lists"


def published() -> list[Finding]:
    """Every other model that a yaml in conf/ names: in its folder below assets/, or in the local Hub cache."""
    named = sorted(name for name in _named() if not name.startswith("tiny/"))
    found = [(name, place) for name in named if (place := find_model(name)) is not None]
    absent = [name for name in named if name not in dict(found)]
    lines = [Finding(name, "ok", str(place), "", {"folder": str(place)}) for name, place in found]
    if absent:
        text = f"{len(absent)} that conf/ names are not here: {', '.join(absent)}"
        lines.append(
            Finding("others", "absent", text, "scale=paper says what it needs and how to get it", {"absent": absent})
        )
    return lines


def cached() -> list[Finding]:
    """What is in the local Hub cache."""
    place = hub_cache()
    folders = sorted(place.glob("models--*")) if place.is_dir() else []
    names = ["/".join(folder.name.split("--")[1:]) for folder in folders if any((folder / "snapshots").glob("*/*"))]
    text = f"{len(names)} models at {place}" + (
        f": {', '.join(names[:8])}{', …' if len(names) > 8 else ''}" if names else ""
    )
    data: dict[str, Any] = {"folder": str(place), "models": names}
    return [Finding("Hub cache", "ok" if names else "absent", text, "", data)]


def find_model(name: str) -> Path | None:
    """Its folder below assets/, or its newest snapshot in the Hub cache."""
    own = Path(assets_folder()) / name
    if own.is_dir() and any(own.iterdir()):
        return own
    snapshots = (hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots").glob("*")
    return max((s for s in snapshots if any(s.iterdir())), key=lambda s: s.stat().st_mtime, default=None)


def hub_cache() -> Path:
    """As huggingface_hub chooses it, which takes longer to import than all of this."""
    if given := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def _named() -> set[str]:
    """Folders below assets/ ("tiny/rrm") and Hub ids that the yaml files of conf/ give as models of this machine."""
    names = set()
    for file in (ROOT / "conf").glob("*/**/*.yaml"):
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        for key in KEYS:
            value = said.get(key) if isinstance(said, dict) else None
            if isinstance(value, str) and "/" in value:
                names.add(value.removeprefix("${paths.assets}/"))
    return names


__all__ = ["MANIFEST", "cached", "find_model", "hub_cache", "published", "tiny"]
