"""`imagenhub`: ImagenHub's human ratings of text-guided edits (arXiv 2310.01596), and the rated pictures.

The ratings lie in TIGER-AI-Lab/ImagenHub, eval/human_ratings/<task>/<task>_rater{1,2,3}.tsv: a column uid and one per
model, each cell [SC, PQ] with values 0, 0.5 or 1. The pictures lie in the project's gallery, one folder per model and one
`input`, all with the uid as the file's name, beside dataset_lookup.json, which maps a uid to its instruction. All of it in
one folder, at any depth, is what `path` names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.pictures import PictureFile
from benchmarks.preferences.base import RATINGS, EditCandidate, PreferenceGroup, PreferenceSet
from benchmarks.rows import read_rows
from benchmarks.sampling import describe_sampling, take
from benchmarks.values import shown
from common.errors import BadData, MissingFile

TASK = "Text-Guided_IE"
CARD = Card(
    name="imagenhub",
    title="ImagenHub, text-guided editing",
    source="TIGER-AI-Lab/ImagenHub",
    paper="arXiv 2310.01596",
    licence="CC BY 4.0 (requests)",
    split=TASK,
    size="179 requests, 9 models, 3 raters",
    sampling="all requests",
    get=(
        "copy eval/human_ratings/Text-Guided_IE/*.tsv of github.com/TIGER-AI-Lab/ImagenHub and, from its gallery (folder "
        "ImagenHub_Text-Guided_IE), dataset_lookup.json, input/ and the folders of the models into one folder, given as path"
    ),
    mean="macro",
    notes=(
        "Human overall of an edit: the mean over raters of sqrt(SC · PQ).",
        "Spearman per model, averaged by Fisher's z. Others average r as if it were z and get smaller numbers.",
    ),
)
ASPECTS = ("SC", "PQ")
LEVELS = (0.0, 0.5, 1.0)
_CELL = re.compile(r"\s*\[\s*([\d.]+)\s*,\s*([\d.]+)\s*\]\s*")
Ratings = dict[str, dict[str, tuple[float, ...]]]  # uid -> model -> (SC, PQ)


def load(options: BenchmarkOptions) -> PreferenceSet:
    """One group per rated request, one candidate per model. Options: path, split (the task), samples (requests), seed.

    Raises MissingFile, BadData naming file, line and column.
    """
    if not options.path:
        raise MissingFile(f"{CARD.name}: no data were given. How to get it: {CARD.get}")
    root = Path(options.path).expanduser()
    task = options.split or TASK
    files = sorted(root.rglob(f"{task}_rater*.tsv"))
    if not files:
        raise MissingFile(f"{CARD.name}: no {task}_rater*.tsv in {root}. How to get it: {CARD.get}")
    raters = [_read(file) for file in files]
    models = list(dict.fromkeys(m for per in raters[0].values() for m in per))
    _complete(files, raters, models)
    lookup_file, lookup = _lookup(root)
    uids = take(list(raters[0]), options.samples, options.seed)
    sampling = describe_sampling(options.samples, len(raters[0]), options.seed)
    groups = []
    for uid in uids:
        request = (lookup.get(uid) or {}).get("instruction")
        if not isinstance(request, str) or not request.strip():
            raise BadData(f"{CARD.name}: {lookup_file}: no instruction for {uid!r}. How to get it: {CARD.get}")
        pictures = lookup_file.parent
        item = Item(id=uid, request=request, gold=(), kind=task, source=_picture(pictures / "input" / uid, uid))
        candidates = tuple(
            EditCandidate(f"{uid}/{m}", _picture(pictures / m / uid, uid), m, ratings=tuple(r[uid][m] for r in raters))
            for m in models
        )
        groups.append(PreferenceGroup(uid, item, candidates, kind=task, cluster=uid))
    return PreferenceSet(replace(CARD, sampling=sampling), tuple(groups), RATINGS, ASPECTS)


def _read(file: Path) -> Ratings:
    out: Ratings = {}
    for line, row in read_rows(file):
        uid = row.pop("uid", None)
        if not uid:
            raise BadData(f"{CARD.name}: {file}:{line}: no value in column 'uid'")
        if uid in out:
            raise BadData(f"{CARD.name}: {file}:{line}: {uid!r} is there twice")
        out[uid] = {model: _rating(f"{file}:{line}, column {model!r}", cell) for model, cell in row.items()}
    if not out:
        raise BadData(f"{CARD.name}: {file} holds no ratings")
    return out


def _rating(where: str, cell: str | None) -> tuple[float, ...]:
    match = _CELL.fullmatch(cell or "")
    values = tuple(float(v) for v in match.groups()) if match else ()
    if len(values) != len(ASPECTS) or not set(values) <= set(LEVELS):
        raise BadData(f"{CARD.name}: {where}: expected [SC, PQ] with values 0, 0.5 or 1, found {shown(cell)}")
    return values


def _complete(files: list[Path], raters: list[Ratings], models: list[str]) -> None:
    """Every rater has rated every edit."""
    for file, per in zip(files, raters, strict=True):
        if set(per) != set(raters[0]):
            odd = sorted(set(per) ^ set(raters[0]))[0]
            raise BadData(f"{CARD.name}: {odd!r} is in only one of {files[0].name} and {file.name}")
        for uid, scores in per.items():
            if set(scores) != set(models):
                raise BadData(f"{CARD.name}: {file}: {uid!r} has models {', '.join(scores)}, not {', '.join(models)}")


def _lookup(root: Path) -> tuple[Path, Mapping[str, Any]]:
    import json

    files = sorted(root.rglob("dataset_lookup.json"))
    if not files:
        raise MissingFile(f"{CARD.name}: no dataset_lookup.json in {root}. How to get it: {CARD.get}")
    try:
        ratings = json.loads(files[0].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{CARD.name}: {files[0]} cannot be read as JSON ({error})") from error
    if not isinstance(ratings, dict):
        raise BadData(f"{CARD.name}: {files[0]}: expected an object with one entry per uid")
    return files[0], ratings


def _picture(path: Path, uid: str) -> PictureFile:
    if not path.is_file():
        raise MissingFile(f"{CARD.name}: there is no picture {path} of {uid!r}. How to get it: {CARD.get}")
    return PictureFile(path, f"{CARD.name}: {uid}")


__all__ = ["ASPECTS", "CARD", "TASK", "load"]
