"""The files of a local folder that belong to each split, in whichever layout the data set was downloaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.item import Card
from benchmarks.values import not_a_path
from common.errors import BadInput, MissingFile

# How the files of a split are read: by the packaged builders of `datasets`, or memory-mapped as they are.
BUILDERS = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".json": "json", ".csv": "csv"}
SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?")
_USUAL = {"train", "test", "validation", "dev", "val"}


@dataclass(frozen=True)
class Files:
    """One split on this disk. `builder` is a key of `datasets.load_dataset`, or "disk" for a `save_to_disk` folder."""

    builder: str
    files: tuple[Path, ...]
    base: Path  # what relative paths of pictures are relative to


def find(card: Card, path: str, split: str, config: str = "") -> Files:
    """The files of `split` below `path`: a file, a `save_to_disk` folder, or a folder laid out as on the Hub
    (<split>-00000-of-00003.parquet, in it or in its data/ or <config>/); a folder that names no splits is one split.

    Raises MissingFile with what there is instead, BadInput.
    """
    splits = all_splits(card, path, config)
    if split in splits:
        return splits[split]
    if len(splits) == 1 and (not split or not _names_a_split(next(iter(splits)))):
        return next(iter(splits.values()))
    names = ", ".join(sorted(splits))
    if not split:
        raise BadInput(f"{card.name}: {path} holds several splits ({names}); choose one by benchmark.split")
    raise MissingFile(f"{card.name}: {path} has no split {split!r}, but {names}. How to get it: {card.get}")


def all_splits(card: Card, path: str, config: str = "") -> dict[str, Files]:
    """Every split below `path` by name, sorted; the unnamed one of a lone file or a plain folder under its own name."""
    root = Path(path).expanduser()
    if not root.exists():
        raise MissingFile(f"{card.name}: there is nothing at {root}. How to get it: {card.get}")
    if root.is_file():
        if root.suffix.lower() not in BUILDERS:
            raise BadInput(f"{card.name}: {root} is none of {', '.join(BUILDERS)}")
        return {"file:" + root.stem: Files(BUILDERS[root.suffix.lower()], (root,), root.parent)}
    folders = [f for f in (root / config if config else root, root, root / "data") if f.is_dir()]
    for folder in folders:
        if splits := _splits_in(folder):
            return splits
    raise MissingFile(
        f"{card.name}: no data in {root} (looked for a save_to_disk folder and for {', '.join(sorted(BUILDERS))}, also in "
        f"its data/). How to get it: {card.get}"
    )


def _splits_in(folder: Path) -> dict[str, Files]:
    if (folder / "dataset_dict.json").is_file():
        below = sorted(f.parent for f in folder.glob("*/state.json"))
        return {f.name: Files("disk", (f,), f) for f in below}
    if (folder / "state.json").is_file():
        return {"folder:" + folder.name: Files("disk", (folder,), folder)}
    for suffix, builder in BUILDERS.items():
        files = sorted(
            f for f in folder.glob("*" + suffix) if f.name not in ("dataset_infos.json", "dataset_info.json")
        )
        if not files:
            continue
        named: dict[str, list[Path]] = {}
        for file in files:
            shard = SHARD.fullmatch(file.stem)
            named.setdefault(shard["split"] if shard else file.stem, []).append(file)
        if any(SHARD.fullmatch(f.stem) for f in files) or _USUAL & set(named):
            return {name: Files(builder, tuple(of), folder) for name, of in sorted(named.items())}
        return {"folder:" + folder.name: Files(builder, tuple(files), folder)}
    return {}


def _names_a_split(name: str) -> bool:
    return not name.startswith(("file:", "folder:"))


def beside(base: Path, name: str) -> Path:
    """The file that a row names: relative to the folder of the rows, or to `images/` in it. For what is no path at all, such as
    a picture as text, a path at which there is nothing."""
    if not_a_path(name):
        return base / "no path"
    path = base / Path(name).expanduser()
    return path if path.is_file() or not (below := base / "images" / name).is_file() else below


__all__ = ["BUILDERS", "SHARD", "Files", "all_splits", "beside", "find"]
