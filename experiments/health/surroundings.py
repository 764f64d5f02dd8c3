"""Keys, data sets, and what the environment switches off. Of keys only the names are told."""

from __future__ import annotations

import os
import re
from pathlib import Path

from common.places import ROOT
from experiments.health.findings import Finding
from experiments.health.models import hub_cache

DATA = "IMAGEEDIT_DATA"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
FORMATS = (".jsonl", ".parquet", ".arrow", ".csv", ".json")


def keys() -> list[Finding]:
    """Every key that a yaml in conf/ names, the Hub's and that of W&B."""
    from experiments.runs.wandb_account import KEY, has_key

    named: dict[str, list[str]] = {}
    for file in sorted((ROOT / "conf").rglob("*.yaml")):
        for key in re.findall(r"^\s*(?:keys: \[|key_env: )([A-Z_, ]+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            for name in key.split(","):
                named.setdefault(name.strip(), []).append(f"{file.parent.name}={file.stem}")
    lines = [_key(name, bool(os.environ.get(name)), ", ".join(uses)) for name, uses in sorted(named.items())]
    hub = bool(os.environ.get("HF_TOKEN")) or (hub_cache().parent / "token").is_file()
    return [
        *lines,
        _key("HF_TOKEN", hub, "gated models, publish to=hub:…"),
        _key(KEY, has_key(), "tracker=wandb online"),
    ]


def _key(name: str, there: bool, uses: str) -> Finding:
    text = f"{'set' if there else 'not set'}; for {uses}"
    return Finding(name, "ok" if there else "absent", text, "", {"set": there})


def data() -> list[Finding]:
    given = os.environ.get(DATA, "")
    if not given:
        return [
            Finding(DATA, "absent", "not set", f"benchmark.path=<folder> of each command, or {DATA}=<folder> for all")
        ]
    folder = Path(given).expanduser()
    if not folder.is_dir():
        return [Finding(DATA, "warning", f"{folder} is no folder", "correct or unset it")]
    sets = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    found = [(place, contents) for place in sets if (contents := _contents(place))]
    if not found:
        return [
            Finding(
                DATA, "warning", f"{folder} holds no data files ({' '.join(FORMATS)})", "give the folder with the data"
            )
        ]
    names = [DATA if place == folder else place.name for place, _ in found]
    return [
        Finding(name, "ok", f"{place}: {contents}", "", {"folder": str(place)})
        for name, (place, contents) in zip(names, found, strict=True)
    ]


def _contents(folder: Path) -> str:
    """Data files by format, those of its folders (a Hub data set has data/) included but one level deep."""
    files = [p for pattern in ("*", "data/*") for p in folder.glob(pattern) if p.suffix in FORMATS and p.is_file()]
    counts = {kind: sum(p.suffix == kind for p in files) for kind in FORMATS}
    mice = any(p.name.startswith(("cm_", "cu_")) and p.suffix == ".jsonl" for p in files)
    listed = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
    return f"{listed} (MICE-Bench's records)" if mice else listed


def switches() -> list[Finding]:
    on = [name for name in OFFLINE if os.environ.get(name, "").lower() in ("1", "true", "yes", "on")]
    if not on:
        return []
    text = f"{', '.join(on)} in the environment: nothing is downloaded or uploaded"
    return [Finding("Hub", "warning", text, "unset it to download models and data, or to publish")]


__all__ = ["DATA", "data", "keys", "switches"]
