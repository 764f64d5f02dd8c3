"""`mice`: MICE-Bench's sessions with their pictures (Edit-R2, arXiv 2606.05950): content memory (CM), understanding (CU).

The same records as `mice_text` (benchmarks/mice.py), as whole sessions: every turn is an item, also one without gold,
since later turns build on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.base import Edit
from benchmarks.item import EVERYTHING, Benchmark, Card, Item, Opens, Unit
from benchmarks.listed import listed
from benchmarks.mice_gold import NO_PATTERN, Unmapped, gold_edit
from benchmarks.mice_records import SPLITS, MiceRecord, find_folder, from_sandbox, part_of, published_test, read_records
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.pictures import PictureFile
from benchmarks.sampling import describe_sampling, take
from benchmarks.values import shown
from common.errors import BadData, BadInput, MissingFile

RULE_EDIT = "rule_edit"  # a key of the sandbox's records (benchmarks/sandbox/mice_export.py)
LISTS = ("unchanged_objects", "available_objects", "all_objects")  # per turn, of object names

CARD = Card(
    name="mice",
    title="MICE-Bench (Edit-R2)",
    source="github.com/yuxiaooye/Edit-R2",
    paper="arXiv 2606.05950",
    licence="not stated, neither for the records nor for the pictures",
    split="test",
    size="360 CM and 360 CU test sessions of three turns; training sessions: 1,850 CM and 832 CU",
    sampling="all",
    get=(
        "records: github.com/yuxiaooye/Edit-R2, folder dataset/, saved as cm_*.jsonl and cu_*.jsonl in one folder; pictures: "
        "the zip linked from its README (1.63 GB), unpacked into source_image/ in that folder; then benchmark.path=<folder>. "
        "Sessions of the sandbox in the same format: python -m benchmarks.sandbox mice"
    ),
    rubric="mice",
    mean="micro",
    notes=(
        "Reported by turn, CM and CU apart.",
        "By its own rubric IF, CC and GA are asked of a model alone; judge=mice takes them from a detector, image features and a "
        "model, as published (judge.cc=as_published also repeats the wrong grid of the published CC), and gives other numbers.",
        "Two unrelated data sets share the name: blowing-up-groundhogs/mice_bench and MICE-Bench/MICE-Bench.",
    ),
)

SANDBOX_CARD = replace(
    CARD,
    title="Sandbox sessions in MICE-Bench's format",
    source="python -m benchmarks.sandbox mice, of this repository",
    paper="",
    licence="Apache-2.0",
    get="python -m benchmarks.sandbox mice n=40 out=<folder>",
    notes=("Drawn scenes with exact answers; not MICE-Bench (arXiv 2606.05950), whose format alone they share.",),
    data="sandbox sessions",
)


@dataclass(frozen=True)
class MiceTurn:
    """What is published about one turn, and its gold; `gold` is None where `reason` says why there is none."""

    request: str
    task_type: str
    formatted: str
    gold: Edit | None
    rule_edit: Edit | None  # what the rule does besides; only the sandbox's own records say it
    reason: str
    bg_consistency: bool
    objects: dict[str, tuple[str, ...]]  # by LISTS


@dataclass(frozen=True)
class MiceSession:
    """A record as text: all its turns, its rule, and the name of its picture."""

    id: str
    category: str  # cm | cu
    image: str  # the file's name; the folders that records give are the authors' own
    rule: str | None
    turns: tuple[MiceTurn, ...]


def load(options: BenchmarkOptions) -> Benchmark:
    """One unit per session; options.split: test | train | validation | all, or empty.

    Empty takes the files named "test" whole where there are any, else everything; the others split as `mice_text` does.
    facts: task_type, formatted_instruction, bg_consistency, unchanged_objects, available_objects, all_objects, rule, gold
    ("" or why there is none). An item's gold holds the rule's own edit too where a record says it. `kind` is cm or cu.
    Raises MissingFile naming a picture that is not there, BadData, BadInput.
    """
    folder = find_folder(options.path)
    records = read_records(folder)
    sessions, left_out = read_sessions(folder, options.split, records)
    taken = take(sessions, options.samples, options.seed)
    pictures = _Pictures(folder if folder.is_dir() else folder.parent)
    units = [_unit(s, pictures.find(s)) for s in taken]
    left_out_note = f"; {sum(left_out.values())} damaged records left out" if left_out else ""
    card = replace(
        SANDBOX_CARD if from_sandbox(records) else CARD,
        split=options.split or CARD.split,
        size=f"{len(sessions)} sessions were read"
        if from_sandbox(records)
        else f"{len(sessions)} sessions were read; {CARD.size}",
        sampling=describe_sampling(options.samples, len(sessions), options.seed, "sessions") + left_out_note,
    )
    return listed(card, units)


def read_sessions(
    folder: Path, split: str = "", records: Sequence[MiceRecord] | None = None
) -> tuple[list[MiceSession], Counter[str]]:
    """The sessions of a split as text, in the order of the files, and how many records were left out by reason.

    A record with a turn that no pattern fits (a leaked monologue of a model) is left out whole.
    """
    if split and split not in SPLITS:
        raise BadInput(f"unknown split {split!r} of mice; choose one of {', '.join(SPLITS)}, or none")
    records = read_records(folder) if records is None else records
    published = published_test(records)
    sessions: list[MiceSession] = []
    left_out: Counter[str] = Counter()
    for record in records:
        if not split:
            chosen = record.key in published or not published
        else:
            chosen = split in ("all", "test" if record.key in published else part_of(record.key))
        if not chosen:
            continue
        session = _session(record)
        if any(t.reason == NO_PATTERN for t in session.turns):
            left_out[NO_PATTERN] += 1
        else:
            sessions.append(session)
    if not sessions:
        raise BadData(f"no usable session in split {split or 'test'!r} of {folder}; is the folder right?")
    return sessions, left_out


def _session(record: MiceRecord) -> MiceSession:
    where = f"{record.stem}.jsonl:{record.line}"
    image = record.row.get("image")
    if not isinstance(image, str) or not image.strip("/"):
        raise BadData(
            f"{where}: 'image' should be the name of a picture but is {shown(image)}. How to get it: {CARD.get}"
        )
    flags = _per_turn(record, "bg_consistency", where)
    ruled = _per_turn(record, RULE_EDIT, where) if RULE_EDIT in record.row else [None] * len(flags)
    lists = {name: [_names(v, name, where) for v in _per_turn(record, name, where)] for name in LISTS}
    turns = []
    for k, request in enumerate(record.instruction):
        gold, reason = _gold(record.task_type[k], record.formatted[k])
        if not isinstance(flags[k], bool):
            raise BadData(f"{where}: 'bg_consistency' should be true or false in turn {k + 1} but is {shown(flags[k])}")
        objects = {name: values[k] for name, values in lists.items()}
        besides = _rule_edit(ruled[k], where)
        turns.append(
            MiceTurn(request, record.task_type[k], record.formatted[k], gold, besides, reason, flags[k], objects)
        )
    return MiceSession(
        record.id, record.category, image.replace("\\", "/").rpartition("/")[2], record.rule, tuple(turns)
    )


def _gold(task_type: str, formatted: str) -> tuple[Edit | None, str]:
    try:
        return gold_edit(task_type, formatted), ""
    except Unmapped as error:
        return None, error.reason


def _rule_edit(value: Any, where: str) -> Edit | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(v, str) for v in value):
        raise BadData(
            f"{where}: {RULE_EDIT!r} should hold [action, subject, goal] or null but holds {str(value)[:80]!r}"
        )
    return Edit(*value)


def _per_turn(record: MiceRecord, name: str, where: str) -> Sequence[Any]:
    values = record.row.get(name)
    if not isinstance(values, list) or len(values) != len(record.instruction):
        raise BadData(
            f"{where}: {name!r} should be a list with one entry per turn ({len(record.instruction)}) but is "
            f"{str(values)[:80]!r}. How to get it: {CARD.get}"
        )
    return values


def _names(value: Any, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadData(f"{where}: {name!r} should hold lists of names but holds {str(value)[:80]!r}")
    return tuple(value)


def _unit(session: MiceSession, source: Opens) -> Unit:
    requests = [t.request for t in session.turns]
    return tuple(
        Item(
            f"{session.id}-{k + 1}",
            turn.request,
            () if turn.gold is None else tuple(e for e in (turn.gold, turn.rule_edit) if e is not None),
            session.category,
            tuple(requests[:k]),
            source=source,
            session=session.id,
            turn=k,
            subsets=(EVERYTHING, session.category, f"{session.category}, turn {k + 1}"),
            facts={
                "task_type": turn.task_type,
                "formatted_instruction": turn.formatted,
                "bg_consistency": turn.bg_consistency,
                "rule": session.rule,
                "gold": turn.reason,
                **turn.objects,
            },
        )
        for k, turn in enumerate(session.turns)
    )


class _Pictures:
    """Source pictures by file name: records give paths of the authors' machines, of which only the name means anything."""

    def __init__(self, folder: Path) -> None:
        places = (folder / "source_image", folder.parent / "source_image")  # records may lie in cm/ and cu/ beside it
        self.folder = next((p for p in places if p.is_dir()), places[0])
        self.files: dict[str, list[Path]] = {}
        for file in sorted(self.folder.rglob("*")):
            if file.is_file():
                self.files.setdefault(file.name, []).append(file)

    def find(self, session: MiceSession) -> PictureFile:
        files = self.files.get(session.image, [])
        if len(files) > 1:
            raise BadData(
                f"mice: {session.id}: several pictures are called {session.image!r}: {', '.join(map(str, files))}"
            )
        if not files:
            raise MissingFile(
                f"mice: {session.id}: there is no picture {session.image!r} in {self.folder}. How to get it: {CARD.get}. "
                "Without pictures there is benchmark=mice_text"
            )
        return PictureFile(files[0], f"mice: {session.id}")


class MiceSessions(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "SANDBOX_CARD", "MiceSession", "MiceTurn", "load", "read_sessions", "MiceSessions"]
