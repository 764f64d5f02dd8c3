"""answers.jsonl of an agreement study: the judge's answer to every comparison beside its label, so that judges can be put side
by side later without the data. A row also says what was asked and which pictures were seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.preferences import PreferenceSet
from common.errors import BadData, BadInput
from common.files import write_text
from common.jsonl import read_jsonl
from judges.answers import JudgedPair

FILE = "answers.jsonl"
KEPT = ("group", "human", "margin", "label", "missing", "kind", "cluster", "ways")  # of an answer


@dataclass(frozen=True)
class KeptAnswer:
    """`seen`: digests of the pixels of both edits with their source, "" where nobody looked at them."""

    answer: JudgedPair
    request: str
    aspect: str
    seen: tuple[str, str]


def write_answers(out: Path, data: PreferenceSet, answers: Sequence[JudgedPair], seen: Mapping[str, str]) -> Path:
    """One row per comparison, in the order of the data. `seen` is by an edit's key."""
    asked = [
        (group.item.request, group.aspect, [seen.get(group.candidates[k].key, "") for k in (pair.a, pair.b)])
        for group in data.groups
        for pair in group.comparisons
    ]
    rows = [
        {name: getattr(answer, name) for name in KEPT} | {"request": request, "aspect": aspect, "seen": pictures}
        for answer, (request, aspect, pictures) in zip(answers, asked, strict=True)
    ]
    return write_text(out / FILE, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_answers(folder: Path) -> list[KeptAnswer]:
    """The rows of a finished study. Raises BadInput where there are none, BadData for what this version did not write."""
    path = folder / FILE
    if not path.is_file():
        raise BadInput(
            f"{folder} has no {FILE}: an earlier version wrote it. Run its command again; what is judged is not judged twice"
        )
    return [_kept(f"{path}, row {i}", row) for i, row in enumerate(read_jsonl(path))]


def _kept(where: str, row: Mapping[str, Any]) -> KeptAnswer:
    names = {f.name for f in fields(JudgedPair)}
    try:
        a, b = row["seen"]
        return KeptAnswer(
            JudgedPair(**{k: v for k, v in row.items() if k in names}), row["request"], row["aspect"], (a, b)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(
            f"{where}: this is no answer of a study ({type(error).__name__}: {error}); run it again"
        ) from error


__all__ = ["FILE", "KeptAnswer", "read_answers", "write_answers"]
