"""`compass`: EditReward-Compass (arXiv 2605.13062; bxhsort/Edit-Compass-and-EditReward-Compass@6ee6caa).

Pairs of edits of one request on one of three dimensions: IA (instruction awareness), VC (visual consistency), VQ (visual
quality). What is read is a JSON list (or JSON lines) of rows with the keys that the authors' EditReward-Compass/eval.py reads:

    source_image, winner, loser    pictures
    prompt                         what was asked for
    label                          preference: the winner is better | tie: neither is
    dimension                      IA | VC | VQ

Assumed, since the script shows keys but the data were not at hand: pictures are paths beside the file, and `prompt` is the
editing instruction. The name of the file is not known either: in a folder it must be the only .json or .jsonl file with such
rows, or is itself given as path. Further keys are left alone.

Right is a score of the winner that is higher by more than 1e-5, or, for a tie, scores no further apart than that; there is an
accuracy of each dimension. The script asks for a winner that is higher at all, which is the same for all scores that rubrics give.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.preferences.base import (
    DIMENSIONS,
    TIE,
    A,
    EditCandidate,
    PreferenceGroup,
    PreferencePair,
    PreferenceSet,
)
from benchmarks.preferences.documents import one_of, picture_of, read_document, text_of
from benchmarks.sampling import describe_sampling, take
from common.errors import BadInput, MissingFile

CARD = Card(
    name="compass",
    title="EditReward-Compass",
    source="DogNeverSleep/EditReward-Compass",
    paper="arXiv 2605.13062",
    licence="not stated in the repository",
    split="",
    size="2,251 pairs on three dimensions",
    sampling="all pairs",
    get=(
        "hf download DogNeverSleep/EditReward-Compass --repo-type dataset --local-dir <folder>; the folder, or the JSON file in "
        "it, goes in as path"
    ),
    mean="macro",
    notes=(
        "The winner always comes first: a judge that looks at sides must be shown both orders.",
        "The authors ask once per dimension; here one verdict has all of a rubric's scores, and the dimension picks its own.",
    ),
)
ASPECT = {"IA": "prompt_following", "VC": "consistency", "VQ": "perceptual_quality"}
LABELS = {"preference": A, "tie": TIE}
PICTURES = ("source_image", "winner", "loser")


def load(options: BenchmarkOptions) -> PreferenceSet:
    """All pairs in the order of the file; the same edit on several dimensions is judged once. Options: path, samples (pairs), seed.

    Raises MissingFile, BadInput (several files), BadData naming file, row and key.
    """
    file = _file(options)
    groups = []
    for i, (where, row) in enumerate(read_document(CARD, file)):
        request = text_of(row, "prompt", where)
        names = [text_of(row, key, where) for key in PICTURES]
        source, *edits = (
            picture_of(CARD, file, name, f"{where}, key {key!r}") for key, name in zip(PICTURES, names, strict=True)
        )
        aspect, label = one_of(row, "dimension", where, ASPECT), one_of(row, "label", where, LABELS)
        item = Item(id=f"pair-{i:04d}", request=request, gold=(), kind=row["dimension"], source=source)
        candidates = tuple(
            EditCandidate(_key(request, names[0], name), edit) for name, edit in zip(names[1:], edits, strict=True)
        )
        pair, cluster = PreferencePair(0, 1, label), f"{names[0]}\n{request}"
        groups.append(PreferenceGroup(item.id, item, candidates, (pair,), item.kind, aspect, cluster))
    chosen = take(groups, options.samples, options.seed)
    sampling = describe_sampling(options.samples, len(groups), options.seed, "pairs")
    return PreferenceSet(replace(CARD, sampling=sampling), tuple(chosen), DIMENSIONS)


def _file(options: BenchmarkOptions) -> Path:
    if not options.path:
        raise MissingFile(f"{CARD.name}: no data were given. How to get it: {CARD.get}")
    place = Path(options.path).expanduser()
    if not place.is_dir():
        return place
    files = sorted(f for f in place.rglob("*.json*") if f.suffix.lower() in (".json", ".jsonl"))
    if not files:
        raise MissingFile(f"{CARD.name}: no .json or .jsonl file in {place}. How to get it: {CARD.get}")
    if len(files) > 1:
        names = ", ".join(str(f.relative_to(place)) for f in files[:5])
        raise BadInput(
            f"{CARD.name}: {place} has {len(files)} JSON files ({names}); give the one with the pairs as path"
        )
    return files[0]


def _key(request: str, source: str, edit: str) -> str:
    """The same edit of the same request has one key in all dimensions."""
    return hashlib.sha256("\0".join((request, source, edit)).encode("utf-8", "surrogatepass")).hexdigest()[:20]


__all__ = ["ASPECT", "CARD", "load"]
