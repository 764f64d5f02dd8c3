"""`mmrb2`: the image-editing part of Multimodal RewardBench 2 (arXiv 2512.16899; facebookresearch/MMRB2@7ff0552).

What is read is the folder that the authors' benchmark/build_from_hf.py (or run_release.sh) writes: edit.json, with the
pictures of requests in input_images/ and those of answers in images/. A pair has `id`, `prompt_source`, `prompt_content` and
two answers with `model_name` and `response_content`, both contents being lists of ["text", …] and ["image", path]; `chosen`
is A or B. The README of that repository calls id and model_name pair_id and model; these names are read too.

`human_annotations` are three numbers from 1 to 6. What they mean is not written down: in all 1,000 published pairs `chosen`
is A where their mean is above 3.5 and B where it is below, so 4 to 6 is read as a vote for A and 1 to 3 as one for B. Requests
of several pictures (178 pairs, all of `new_synthetic_edit`) are left out: judges here are shown one picture and its edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.preferences.base import PAIRS, A, B, EditCandidate, PreferenceGroup, PreferencePair, PreferenceSet
from benchmarks.preferences.documents import Row, one_of, picture_of, read_document, text_of
from benchmarks.sampling import describe_sampling, take
from benchmarks.values import shown
from common.errors import BadData, MissingFile

FILE = "edit.json"
CARD = Card(
    name="mmrb2",
    title="Multimodal RewardBench 2, image editing",
    source="facebookresearch/MMRB2",
    paper="arXiv 2512.16899",
    licence="CC BY-NC 4.0",
    split="edit",
    size="1,000 pairs of 5 models and 6 sources, 822 of them on requests of one picture",
    sampling="all pairs of one picture",
    get=(
        "in a copy of github.com/facebookresearch/MMRB2 run benchmark/build_from_hf.py --subset edit (2 GB for all subsets); the "
        "folder with edit.json, images/ and input_images/ goes in as path"
    ),
    notes=(
        "The published number is the mean over both orders of a judge that compares; a judge of single edits has no order.",
        "Published numbers of judges that take one picture are on the single-picture requests too, as here.",
    ),
)
CHOSEN = {"A": A, "B": B}
LEVELS = range(1, 7)  # of an annotation: 4 to 6 for A


def load(options: BenchmarkOptions) -> PreferenceSet:
    """All pairs whose request and both answers have one picture, in the order of the file. Options: path, samples (pairs), seed.

    Raises MissingFile, BadData naming file, row and key.
    """
    if not options.path:
        raise MissingFile(f"{CARD.name}: no data were given. How to get it: {CARD.get}")
    place = Path(options.path).expanduser()
    file = place if place.is_file() else place / FILE
    groups, seen, several = [], set[str](), 0
    for where, row in read_document(CARD, file, "pairs"):
        name = text_of(row, "id", where, "pair_id")
        if name in seen:
            raise BadData(f"{where}, key 'id': {name!r} is there twice")
        seen.add(name)
        group = _group(file, where, name, row)
        groups += [group] if group is not None else []
        several += group is None
    if not groups:
        raise BadData(f"{CARD.name}: {file}: no pair has one picture in its request and in both answers")
    chosen = take(groups, options.samples, options.seed)
    sampling = describe_sampling(options.samples, len(groups), options.seed, "pairs of one picture")
    notes = (f"{several} of {len(seen)} pairs left out: their request or an answer has several pictures, or none.",)
    return PreferenceSet(replace(CARD, sampling=sampling), tuple(chosen), PAIRS, notes=notes if several else ())


def _group(file: Path, where: str, name: str, row: Row) -> PreferenceGroup | None:
    """None where something has not exactly one picture."""
    texts, sources = _content(row, "prompt_content", where)
    if not texts:
        raise BadData(f"{where}, key 'prompt_content': there is no text, so nothing is asked for")
    sides, pictures = [], [sources]
    for side in "ab":
        answer = row.get(f"response_{side}")
        if not isinstance(answer, dict):
            raise BadData(f"{where}, key 'response_{side}': expected an object, found {shown(answer)}")
        at = f"{where}, response_{side}"
        sides.append(text_of(answer, "model_name", at, "model"))
        pictures.append(_content(answer, "response_content", at)[1])
    human = one_of(row, "chosen", where, CHOSEN)
    votes = _votes(row.get("human_annotations"), where)
    if any(len(found) != 1 for found in pictures):
        return None
    source, *edits = (picture_of(CARD, file, found[0], where) for found in pictures)
    kind = text_of(row, "prompt_source", where)
    item = Item(id=name, request="\n".join(texts), gold=(), kind=kind, source=source)
    candidates = tuple(
        EditCandidate(f"{name}/{side}", edit, model) for side, edit, model in zip("ab", edits, sides, strict=True)
    )
    metadata = row.get("prompt_metadata")
    number = metadata.get("id") if isinstance(metadata, dict) else None
    cluster = name if number is None else f"{kind} {number}"  # several pairs answer the same request
    return PreferenceGroup(name, item, candidates, (PreferencePair(0, 1, human, votes),), kind, cluster=cluster)


def _content(row: Row, key: str, where: str) -> tuple[list[str], list[str]]:
    """(texts, paths of pictures) of a list of ["text" | "image", …]."""
    parts = row.get(key)
    if not isinstance(parts, list):
        raise BadData(f"{where}, key {key!r}: expected a list of texts and pictures, found {shown(parts)}")
    found: dict[str, list[str]] = {"text": [], "image": []}
    for part in parts:
        if not (isinstance(part, list) and len(part) == 2 and part[0] in found and isinstance(part[1], str)):
            raise BadData(f'{where}, key {key!r}: expected ["text", …] or ["image", path], found {shown(part)}')
        found[part[0]].append(part[1])
    return [text.strip() for text in found["text"] if text.strip()], found["image"]


def _votes(annotations: Any, where: str) -> tuple[str, ...]:
    if annotations is None:
        return ()
    if not isinstance(annotations, Sequence) or not all(type(v) is int and v in LEVELS for v in annotations):
        raise BadData(f"{where}, key 'human_annotations': expected numbers from 1 to 6, found {shown(annotations)}")
    return tuple(A if vote > LEVELS[-1] / 2 else B for vote in annotations)


__all__ = ["CARD", "FILE", "load"]
