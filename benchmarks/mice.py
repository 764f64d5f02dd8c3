"""`mice_text`: real session turns of MICE-Bench (Edit-R2, arXiv 2606.05950) as text, each with its history and gold.

Gold triples come from `task_type` and `formatted_instruction` (bracketed arguments, pronouns resolved, rule removed):

    subject_add          Add [o]                                     add(o, none)
                         Add [o] on the [left|right] of [ref]        add(o, "left of ref" | "right of ref")
                         Add [o] on the [above|below] of [ref]       add(o, "above ref" | "below ref")
    subject_remove       Remove [o]                                  remove(o, none)
    subject_replace      Replace [o] with [n]                        replace(o, n)
    color_alter          Change the color of [o] to [v]              recolor(o, v)
    material_alter       Change the material of [o] to [v]           material(o, v)
    text_change          Add text '[t]' on the image                 text("image", t)
                         Replace the text '[t]' on [o] with '[n]'    text(o, n); the old text is not part of the gold
    position_change      Change the position of [o] to [d] of [ref]  move(o, place as for add)
    count_change         Change the count of [o] to [n]              count(o, n)
    background_change    Change the background to [s]                background("background", s)

The persistent rule of CM sessions is no part of the gold either (MICE's own IF ignores it, only its GA checks it); it
is given as `EditSession.rule` and stays in the history as the user said it.

Decisions on the data's quirks. A turn with an empty argument ("with '[]'") is left out as a sample but stays in the
history of later turns. A turn whose text fits no pattern makes the record unreliable (a leaked model monologue), so the
whole record is left out. Arguments that the decomposition format cannot hold (';', '<', a goal "none") leave the turn
out. Everything left out is counted by reason in `report`. White space inside arguments (line breaks) is collapsed; case
is kept (the rewards normalise). No pictures are published with these records, so a sample's image is None.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base import NO_GOAL, Edit, EditSample, EditSession
from common.errors import BadData, BadInput, MissingFile

ENV = "IMAGEEDIT_DATA"
SPLITS = ("train", "validation", "test", "all")
CATEGORIES = ("cm", "cu")
_SOURCE = (
    "The records are published at github.com/yuxiaooye/Edit-R2, folder dataset/ (no licence is stated): save them as "
    f"cm_*.jsonl and cu_*.jsonl in a folder and give it as benchmark.path=<folder> or in the variable {ENV}"
)
_RULE = re.compile(r"(?s)\A\s*(.+?)\s*With this rule active,")
_PLACES = {"left": "left of ", "right": "right of ", "above": "above ", "below": "below "}
_PATTERNS: dict[str, tuple[tuple[str, str], ...]] = {  # task type -> (kind, pattern), the more specific first
    "subject_add": (("add_at", r"Add \[(.*)\] on the \[(.*)\] of \[(.*)\]"), ("add", r"Add \[(.*)\]")),
    "subject_remove": (("remove", r"Remove \[(.*)\]"),),
    "subject_replace": (("replace", r"Replace \[(.*)\] with \[(.*)\]"),),
    "color_alter": (("recolor", r"Change the color of \[(.*)\] to \[(.*)\]"),),
    "material_alter": (("material", r"Change the material of \[(.*)\] to \[(.*)\]"),),
    "text_change": (
        ("caption", r"Add text '\[(.*)\]' on the image"),
        ("label", r"Replace the text '\[(.*)\]' on \[(.*)\] with '\[(.*)\]'"),
    ),
    "position_change": (("move", r"Change the position of \[(.*)\] to \[(.*)\] of \[(.*)\]"),),
    "count_change": (("count", r"Change the count of \[(.*)\] to \[(.*)\]"),),
    "background_change": (("background", r"Change the background to \[(.*)\]"),),
}
_COMPILED = {t: [(kind, re.compile(p, re.DOTALL)) for kind, p in pairs] for t, pairs in _PATTERNS.items()}

EMPTY, UNKNOWN_TASK, UNKNOWN_PLACE = "empty argument", "unknown task type", "unknown direction"
UNWRITABLE, NO_PATTERN, DAMAGED = "cannot be written in the format", "no pattern fits", "rest of a damaged record"


class Unmapped(BadInput):
    """A turn that has no gold triple; `reason` is what it is counted under."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text[:120]!r}")
        self.reason = reason


@dataclass(frozen=True)
class MiceRecord:
    """One line of a file: its category, where it stood, and the three parallel lists; `row` is the line whole."""

    category: str
    stem: str
    line: int
    instruction: tuple[str, ...]
    task_type: tuple[str, ...]
    formatted: tuple[str, ...]
    row: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def id(self) -> str:
        return f"{self.category}-{self.stem}-{self.line:05d}"

    @property
    def rule(self) -> str | None:
        """The lasting rule said in turn 1."""
        match = _RULE.match(self.instruction[0])
        return match[1] if match else None

    @property
    def key(self) -> str:
        """The words of turn 1 as a hash. Sessions that begin alike land in the same part, so that no prompt (history
        and request) of one part occurs in another; with the whole session hashed, many would."""
        return hashlib.sha256(" ".join(self.instruction[0].split()).encode("utf-8", "surrogatepass")).hexdigest()


class MiceText(Sequence[EditSample]):
    """The turns of MICE-Bench records that have gold, as `EditSample`s of kind "cm" or "cu".

    `path` is a folder with cm*.jsonl / cu*.jsonl (or cm/ and cu/ with any *.jsonl, or one file); None takes
    IMAGEEDIT_DATA, which may name that folder or the one that contains it as mice_bench/. Files of other names are
    accepted, their records' category guessed from the rule in turn 1. The split is by a hash of turn 1's words:
    80 train, 5 validation, 15 test of 100 (files named "test" beside others are test as a whole); "all" is everything.
    Raises MissingFile, BadData (file and line), BadInput.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, split: str = "all", categories: Sequence[str] = CATEGORIES
    ) -> None:
        if split not in SPLITS:
            raise BadInput(f"unknown split {split!r} of mice_text; choose one of {', '.join(SPLITS)}")
        if wrong := [c for c in categories if c not in CATEGORIES]:
            raise BadInput(f"unknown category {wrong[0]!r} of mice_text; choose from {', '.join(CATEGORIES)}")
        self.folder = find_folder(path)
        self.split = split
        mapped: Counter[str] = Counter()
        unmapped: Counter[str] = Counter()
        turns: Counter[str] = Counter()
        sessions: list[EditSession] = []
        records = read_records(self.folder)
        published = published_test(records)
        for record in records:
            part = "test" if record.key in published else part_of(record.key)
            if record.category not in categories or split not in ("all", part):
                continue
            session, left_out = _session(record)
            turns[record.category] += len(record.instruction)
            mapped[record.category] += len(session.turns)
            unmapped.update(f"{record.category}: {reason}" for reason in left_out)
            if session.turns:
                sessions.append(session)
        self.sessions: tuple[EditSession, ...] = tuple(sessions)
        self.samples: tuple[EditSample, ...] = tuple(s for session in sessions for s in session.turns)
        self.report: dict[str, Any] = {
            "sessions": len(sessions),
            "turns": dict(sorted(turns.items())),
            "mapped": dict(sorted(mapped.items())),
            "unmapped": dict(sorted(unmapped.items())),
        }
        if not self.samples:
            raise BadData(f"no usable turn in split {split!r} of {self.folder} ({self.report}); is the folder right?")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # int -> EditSample, slice -> tuple of them
        return self.samples[index]

    def sample(self, i: int) -> EditSample:
        """The i-th sample, counting on from the start past the end, so that any counter gives a sample."""
        return self.samples[i % len(self.samples)]

    def session(self, i: int) -> EditSession:
        """The i-th session, likewise."""
        return self.sessions[i % len(self.sessions)]


def gold_edit(task_type: str, formatted: str) -> Edit:
    """The gold triple of one turn by the table above; raises `Unmapped` with the reason."""
    if task_type not in _COMPILED:
        raise Unmapped(UNKNOWN_TASK, task_type)
    text = formatted.strip()
    kind, match = next(((k, m) for k, p in _COMPILED[task_type] if (m := p.fullmatch(text))), ("", None))
    if match is None:
        raise Unmapped(NO_PATTERN, text)
    args = [" ".join(a.split()) for a in match.groups()]
    if kind == "label":
        args = args[1:]  # the text to be replaced may be empty or anything
    if "" in args:
        raise Unmapped(EMPTY, text)
    edit = _edit(kind, args, text)
    goal = edit.goal or ""
    if goal == NO_GOAL or any(c in edit.subject + goal for c in ";<"):
        raise Unmapped(UNWRITABLE, text)
    return edit


def without_rule(said: str) -> str:
    """What turn 1 of a CM session says besides the lasting rule; any other text as it is."""
    return _RULE.sub("", said).strip()


def part_of(key: str) -> str:
    """train, validation or test for a session's hash: 80, 5 and 15 of 100."""
    place = int(key, 16) % 100
    return "train" if place < 80 else "validation" if place < 85 else "test"


def published_test(records: Sequence[MiceRecord]) -> frozenset[str]:
    """Sessions of files named "test": where there are others too, nobody should train on these, whatever their hash."""
    test = {r.key for r in records if "test" in r.stem.lower()}
    return frozenset() if all("test" in r.stem.lower() for r in records) else frozenset(test)


def find_folder(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder (or single file) with the records, from `path` or the environment; MissingFile says how to get it."""
    given = path if path not in (None, "") else os.environ.get(ENV, "")
    if not given:
        raise MissingFile(f"MICE-Bench's records are needed and no path was given. {_SOURCE}.")
    root = Path(given).expanduser()
    if not root.exists():
        raise MissingFile(f"mice_text: there is nothing at {root}. {_SOURCE}.")
    if root.is_file():
        return root
    for folder in (root, root / "mice_bench", root / "dataset"):
        if _files(folder):
            return folder
    raise MissingFile(f"mice_text: no *.jsonl in {root} (nor in its mice_bench/, cm/, cu/). {_SOURCE}.")


def read_records(folder: Path) -> list[MiceRecord]:
    """All records of `find_folder`'s folder, in a fixed order; BadData names file and line of the first bad one."""
    return [r for file, category in _files(folder) for r in _records(file, category)]


def _files(folder: Path) -> list[tuple[Path, str]]:
    """(file, category or "") in a fixed order; cm/ and cu/ below the folder is how the records are published."""
    if folder.is_file():
        return [(folder, _category_of(folder.name))]
    here = [(f, _category_of(f.name)) for f in sorted(folder.glob("*.jsonl"))]
    below = [(f, c) for c in CATEGORIES for f in sorted((folder / c).glob("*.jsonl"))]
    return here + below


def _category_of(name: str) -> str:
    return next((c for c in CATEGORIES if name.lower().startswith(c)), "")


def _records(file: Path, category: str) -> Iterator[MiceRecord]:
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")  # not splitlines: U+2028 is no line end
    except OSError as error:
        raise MissingFile(f"mice_text: {file} cannot be read ({error}); check its permissions") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _record(line, category, file, number)


def _record(line: bytes, category: str, file: Path, number: int) -> MiceRecord:
    def bad(what: str) -> BadData:
        return BadData(f"{file}:{number}: {what}. Correct or delete this line, or download the file again")

    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise bad(f"not a line of UTF-8 JSON ({error})") from error
    if not isinstance(row, dict):
        raise bad(f"expected a JSON object, found {type(row).__name__}")
    said, tasks, formatted = (_strings(row, key, bad) for key in ("instruction", "task_type", "formatted_instruction"))
    if not len(said) == len(tasks) == len(formatted) or not said:
        raise bad("instruction, task_type and formatted_instruction must be equally long and not empty")
    if "turns" in row and row["turns"] != len(said):
        raise bad(f"turns is {row['turns']!r} but there are {len(said)} instructions")
    guess = "cm" if _RULE.match(said[0]) else "cu"
    return MiceRecord(category or guess, file.stem, number, said, tasks, formatted, row)


def _strings(row: Mapping[str, Any], key: str, bad: Any) -> tuple[str, ...]:
    if key not in row:
        raise bad(f"the key {key!r} is missing")
    items = row[key]
    if not isinstance(items, list) or not all(isinstance(i, str) for i in items):
        raise bad(f"{key!r} must be a list of strings")
    return tuple(items)


def _session(record: MiceRecord) -> tuple[EditSession, list[str]]:
    """The record's turns that have gold, and one reason for each of the others."""
    turns: list[EditSample] = []
    left_out: list[str] = []
    for k, (said, task, formatted) in enumerate(
        zip(record.instruction, record.task_type, record.formatted, strict=True)
    ):
        if not said.strip():
            left_out.append(EMPTY)
            continue
        try:
            gold = gold_edit(task, formatted)
        except Unmapped as error:
            left_out.append(error.reason)
            continue
        turns.append(EditSample(f"{record.id}-{k + 1}", said, (gold,), record.category, record.instruction[:k]))
    if NO_PATTERN in left_out:
        left_out += [DAMAGED] * len(turns)
        turns = []
    return EditSession(record.id, tuple(turns), record.rule), left_out


def _edit(kind: str, args: list[str], text: str) -> Edit:
    if kind in ("add_at", "move"):
        subject, direction, reference = args
        if direction.lower() not in _PLACES:
            raise Unmapped(UNKNOWN_PLACE, text)
        return Edit("add" if kind == "add_at" else "move", subject, _PLACES[direction.lower()] + reference)
    match kind, args:
        case "caption", [goal]:
            return Edit("text", "image", goal)
        case "background", [goal]:
            return Edit("background", "background", goal)
        case "label", [subject, goal]:
            return Edit("text", subject, goal)
        case _:  # remove has no goal, the others have one
            return Edit(kind, args[0], args[1] if len(args) > 1 else None)


__all__ = [
    "ENV",
    "NO_PATTERN",
    "SPLITS",
    "MiceText",
    "MiceRecord",
    "Unmapped",
    "find_folder",
    "gold_edit",
    "part_of",
    "published_test",
    "read_records",
    "without_rule",
]
