"""The decomposer's training set: labelled requests, in PSR's vocabulary or this project's.

PSR (arXiv 2505.16181) names 15 actions of everyday photo editing. The names are PSR's, the explanations are our
own. A record keeps the action as it was labelled; `training_action` gives the word that the decomposer learns: this
project's where the two mean the same, else PSR's own in lower case (rewards compare words, any vocabulary works).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.base import RESERVED, Edit, says_no_goal
from benchmarks.mice_records import part_of
from benchmarks.values import not_a_path, shown
from common.errors import BadData, BadInput, MissingFile

RECORDS, MANIFEST = "records.jsonl", "manifest.json"
BY_DATA: Mapping[str, str] = {"by": "data"}  # labels that came with the requests
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class PsrAction:
    """`ours` is the word of benchmarks.base.ACTIONS that means the same, None where there is none."""

    name: str
    meaning: str
    ours: str | None = None


PSR_ACTIONS = (
    PsrAction("Add", "put something into the picture that is not there: an object, a person, text", "add"),
    PsrAction("Adjust", "change a quality of what is there: contrast, exposure, sharpness, shape of a face"),
    PsrAction("Apply", "lay a filter, style, texture or effect over the picture or a part of it"),
    PsrAction("Clone", "make a further copy of something that is in the picture"),
    PsrAction("Crop", "cut away the edges of the picture, or change its frame or format"),
    PsrAction("Delete", "take something out and fill in what was behind it", "remove"),
    PsrAction("Replace", "put one thing where another one is, the background too", "replace"),
    PsrAction("Transform", "turn, mirror, bend, straighten or resize something, or turn it into another form"),
    PsrAction("Move", "bring something to another place in the picture", "move"),
    PsrAction("Merge", "make one picture of several"),
    PsrAction("Recoloring", "change the colour of something, or give colour to a picture without any", "recolor"),
    PsrAction("Superresolution", "make a small, blurred or damaged picture larger, sharper or whole"),
    PsrAction("Zoom", "bring a part of the scene nearer, or show it from farther away", "zoom"),
    PsrAction("Relighting", "change where light comes from, how strong it is, or its shadows", "relight"),
    PsrAction("Specialized operation", "anything that no other word of this list names"),
)
_BY_NAME = {a.name.casefold(): a for a in PSR_ACTIONS}


def psr_action(name: str) -> PsrAction | None:
    """PSR's action of that name, whatever its case; None where PSR has none."""
    return _BY_NAME.get(" ".join(name.split()).casefold())


def training_action(action: str) -> str:
    """The action word that the decomposer is trained to write; words of this project's vocabulary are unchanged."""
    mapped = psr_action(action)
    return mapped.ours if mapped is not None and mapped.ours is not None else " ".join(action.split()).casefold()


@dataclass(frozen=True)
class TrainingRequest:
    """A request on its way into the training set. `edits` is None until somebody has labelled it.

    `compared_texts` are the texts by which it is compared with evaluation items: the whole prompt (earlier turns and request) and
    the request alone, without a lasting rule whose fixed wording would make strangers look alike.
    """

    id: str  # unique within the set; begins with the source's name
    request: str
    source: str
    licence: str
    history: tuple[str, ...] = ()
    kind: str = ""
    picture: str | None = None  # a path; relative ones are within the set's folder
    edits: tuple[Edit, ...] | None = None
    row: int | None = None  # where its picture is fetched from, for sources that hold pictures themselves
    shows: str = ""  # what several candidates with one picture share; empty: the id
    own_id: str = ""  # as the source names it: a post, a row; compared with the ids of evaluation items
    compared_texts: tuple[str, ...] = field(default=(), compare=False)

    @property
    def texts(self) -> tuple[str, ...]:
        return self.compared_texts or tuple(dict.fromkeys((" ".join((*self.history, self.request)), self.request)))

    @property
    def part(self) -> str:
        return part_of_request(self.request, self.history)


@dataclass(frozen=True)
class Labelled:
    """One line of records.jsonl. Actions are the labeller's; `gold` has them in the words that are trained. A goal that only says
    that there is none ("none", "n/a") is None here, whoever wrote it."""

    id: str
    request: str
    edits: tuple[Edit, ...]
    source: str
    licence: str
    labels: Mapping[str, Any]  # {"by": "data"} | {"by": "model", "model": pinned name, "prompt": its hash}
    history: tuple[str, ...] = ()
    kind: str = ""
    picture: str | None = None

    def __post_init__(self) -> None:
        edits = tuple(replace(e, goal=None) if says_no_goal(e.goal) else e for e in self.edits)
        object.__setattr__(self, "edits", edits)

    @property
    def gold(self) -> tuple[Edit, ...]:
        return tuple(Edit(training_action(e.action), e.subject, e.goal) for e in self.edits)

    @property
    def part(self) -> str:
        return part_of_request(self.request, self.history)

    def to_json(self) -> str:
        """One line; `Labelled.from_json` gives back an equal record. Raises BadInput for a record that it would refuse."""
        row = vars(self) | {
            "edits": [vars(e) for e in self.edits],
            "labels": dict(self.labels),
            "history": list(self.history),
        }
        line = json.dumps(row, ensure_ascii=False)
        try:
            Labelled.from_json(line)
        except ValueError as error:
            raise BadInput(f"the record {self.id!r} cannot be written: {error}") from error
        return line

    @classmethod
    def from_json(cls, line: str) -> Labelled:
        """Raises ValueError saying what is wrong with the line."""
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"expected a JSON object, found {type(row).__name__}")
        texts = {k: row.get(k) for k in ("id", "request", "source", "licence")}
        for key, value in texts.items():
            if not isinstance(value, str) or (not value.strip() and key in ("id", "request")):
                raise ValueError(f"{key!r} must be a text, not {shown(value)}")
        history, picture, labels = row.get("history", []), row.get("picture"), row.get("labels")
        if not isinstance(history, list) or not all(isinstance(h, str) for h in history):
            raise ValueError("'history' must be a list of texts")
        if picture is not None and not isinstance(picture, str):
            raise ValueError(f"'picture' must be a path or null, not {picture!r}")
        if picture is not None and (why := not_a_path(picture)):
            raise ValueError(f"'picture': {why}")
        if not isinstance(labels, dict) or "by" not in labels:
            raise ValueError("'labels' must say who labelled: {\"by\": ...}")
        edits = row.get("edits")
        if not isinstance(edits, list) or not edits:
            raise ValueError("'edits' must be a list with at least one edit")
        return cls(
            **texts,  # type: ignore[arg-type]
            edits=tuple(_edit(e) for e in edits),
            labels=labels,
            history=tuple(history),
            kind=str(row.get("kind") or ""),
            picture=picture,
        )


def _edit(raw: Any) -> Edit:
    if not isinstance(raw, dict) or not all(isinstance(raw.get(k), str) for k in ("action", "subject")):
        raise ValueError(f"an edit needs the texts 'action' and 'subject', not {raw!r}")
    goal = raw.get("goal")
    if goal is not None and not isinstance(goal, str):
        raise ValueError(f"an edit's goal must be a text or null, not {goal!r}")
    edit = Edit(raw["action"], raw["subject"], goal)
    check_writable(edit)
    return edit


def check_writable(edit: Edit) -> None:
    """Raises BadInput for an edit that the decomposition's format cannot hold (agents/plan.py)."""
    for name, item in (("action", edit.action), ("subject", edit.subject), ("goal", edit.goal)):
        if item is None:
            continue
        if not item.strip() or item != item.strip():
            raise BadInput(f"the {name} {item!r} is empty or has white space around it")
        if any(c in item for c in RESERVED):
            raise BadInput(f"the {name} {item!r} contains ';' or '<', which the format cannot hold")
    if edit.goal is not None and says_no_goal(edit.goal):
        raise BadInput(f"the goal {edit.goal!r} stands for an absent goal; write null")


def session_key(request: str, history: tuple[str, ...] = ()) -> str:
    """A hash of the session's first request, the same as `MiceRecord.key`."""
    first = " ".join((*history, request)[0].split())
    return hashlib.sha256(first.encode("utf-8", "surrogatepass")).hexdigest()


def part_of_request(request: str, history: tuple[str, ...] = ()) -> str:
    """train, validation or test by the session's key: 80, 5 and 15 of 100.

    The same split as that of `mice_text`, so that a session that is tested on there is never training data here; and equal
    requests are always in one part.
    """
    return part_of(session_key(request, history))


def read_records(folder: str | Path) -> Iterator[Labelled]:
    """The records of a prepared folder. Raises MissingFile, or BadData naming file and line."""
    path = Path(folder)
    path = path / RECORDS if path.is_dir() else path
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _read(line, path, number)
    except FileNotFoundError as error:
        raise MissingFile(
            f"no {RECORDS} in {folder}; `python -m experiments.prepare out={folder} sources=[…]` makes one"
        ) from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 ({error}); prepare it again") from error


def _read(line: str, path: Path, number: int) -> Labelled:
    try:
        return Labelled.from_json(line)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path}:{number}: {error}. Correct or delete this line, or prepare the set again") from error


__all__ = [
    "BY_DATA",
    "MANIFEST",
    "PARTS",
    "PSR_ACTIONS",
    "RECORDS",
    "TrainingRequest",
    "Labelled",
    "PsrAction",
    "check_writable",
    "part_of_request",
    "psr_action",
    "read_records",
    "session_key",
    "training_action",
]
