"""The reward model's cold start (arXiv 2604.27505, method, steps 1 to 4): evaluation points, several traces of each candidate edit,
a verifier's answers to the points, and the most accurate trace, which is what supervised training learns.

`traces.jsonl` has one row for each candidate: request, pictures (below the folder), points, all traces, the verifier's answers, the
accuracy of each trace (null: unreadable) and which one was chosen. Data of one's own come in by the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

from agents.backends.base import ModelRequest
from benchmarks.base import EditSample
from benchmarks.pictures import PictureFile
from common.errors import BadData, MissingFile
from common.jsonl import Journal, read_jsonl
from common.progress import bar
from experiments.training_data.candidates import Candidate, before_file
from judges.question import Unreadable
from judges.reasoning.points import CATEGORIES, Point
from judges.reasoning.selection import accuracy, best
from judges.reasoning.trace import Trace, read_trace, write_trace
from judges.rubrics.rrm import RRMRubric
from rl.sft import SFTExample

ROWS = "traces.jsonl"
NAMES = {kind: name for name, kind in CATEGORIES.items()}


class Teacher(Protocol):
    """Who writes the points, the traces and the verifier's answers: a program in the sandbox, large models elsewhere."""

    def points(self, sample: EditSample) -> Sequence[Point]: ...

    def traces(self, candidate: Candidate, points: Sequence[Point]) -> Sequence[str]:
        """Several traces, each of which may be unreadable."""
        ...

    def answers(self, candidate: Candidate, points: Sequence[Point], traces: Sequence[Trace]) -> Sequence[int]:
        """The verifier's 1 or 0 for each point; it may look at the traces, and goes by the pictures."""
        ...


def write_cold_start(folder: Path, candidates: Iterable[Sequence[Candidate]], teacher: Teacher, total: int) -> None:
    """Add the rows of the samples that have none yet; one item of `candidates` for each of `total` samples."""
    journal = Journal(folder / ROWS)
    journal.cut_after(total)
    done = max((row["step"] for row in read_jsonl(journal.path)), default=0) if journal.path.is_file() else 0
    with bar("reasoning traces", total, done) as progress:
        for number, own in enumerate(candidates):
            if number >= done:
                journal.append([cold_start_row(number, candidate, teacher) for candidate in own])
                progress.update(number + 1)


def cold_start_row(number: int, candidate: Candidate, teacher: Teacher) -> dict[str, Any]:
    points = teacher.points(candidate.sample)
    texts = list(teacher.traces(candidate, points))
    questions = [p.question for p in points]
    traces = [_read(text, questions) for text in texts]
    readable = [t for t in traces if t is not None]
    gold = list(teacher.answers(candidate, points, readable))
    chosen = None
    if readable:
        place = best(readable, gold)
        chosen = next(k for k, t in enumerate(traces) if t is readable[place])
    return {
        "step": number + 1,
        "request": candidate.sample.request,
        "before": before_file(number),
        "after": candidate.file,
        "maker": candidate.maker,
        "points": [{"question": p.question, "category": NAMES[p.kind]} for p in points],
        "traces": texts,
        "gold": gold,
        "accuracy": [None if t is None else accuracy(t, gold) for t in traces],
        "chosen": chosen,
    }


def _read(text: str, questions: Sequence[str]) -> Trace | None:
    try:
        return read_trace(text, questions)
    except Unreadable:
        return None


@dataclass(frozen=True)
class ColdStart:
    """The examples of a cold-start folder for traces of one form. `choice` says which trace is learnt: "best" (the paper's), or
    "first" (without the verifier, to see what it brings)."""

    folder: Path
    rubric: RRMRubric
    choice: str = "best"

    def examples(self) -> list[SFTExample]:
        """One example per row with a readable trace. Raises MissingFile, BadData naming the row."""
        path = self.folder / ROWS
        if not path.is_file():
            raise MissingFile(f"there are no reasoning traces in {self.folder}: no {ROWS}")
        return [e for n, row in enumerate(read_jsonl(path), 1) for e in self._example(f"{path}, row {n}", row)]

    def _example(self, where: str, row: dict[str, Any]) -> list[SFTExample]:
        try:
            points = tuple(Point(p["question"], CATEGORIES[p["category"]]) for p in row["points"])
            number = row["chosen"] if self.choice == "best" else self._first(row)
            if number is None:
                return []
            questions = [p.question for p in points]
            trace = read_trace(row["traces"][number], questions)
            pictures = tuple(PictureFile(self.folder / row[key], where)() for key in ("before", "after"))
        except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
            raise BadData(f"{where}: it cannot be used ({type(error).__name__}: {error})") from error
        form = self.rubric.form
        said = Trace(trace.thought if form.thinks else "", trace.verdicts if form.verifies else (), trace.score)
        text = self.rubric.text(row["request"], points)
        return [SFTExample(ModelRequest(parts=(*pictures, text)), write_trace(said, questions, form))]

    @staticmethod
    def _first(row: dict[str, Any]) -> int | None:
        return next((k for k, a in enumerate(row["accuracy"]) if a is not None), None)


def batches(examples: Sequence[SFTExample], seed: int) -> Callable[[int, int], list[SFTExample]]:
    """(step, size) -> a batch: every example once per epoch, in an order that is a function of seed and epoch."""
    orders: dict[int, list[int]] = {}

    def batch(step: int, size: int) -> list[SFTExample]:
        chosen = []
        for place in range(step * size, (step + 1) * size):
            epoch, at = divmod(place, len(examples))
            if epoch not in orders:
                orders[epoch] = Random(f"epoch/{seed}/{epoch}").sample(range(len(examples)), len(examples))
            chosen.append(examples[orders[epoch][at]])
        return chosen

    return batch


def summary(folder: Path) -> dict[str, Any]:
    """How good the traces are: of all, of the chosen ones, and how many rows have none."""
    rows = read_jsonl(folder / ROWS)
    every = [a for row in rows for a in row["accuracy"] if a is not None]
    chosen = [row["accuracy"][row["chosen"]] for row in rows if row["chosen"] is not None]
    return {
        "rows": len(rows),
        "traces": sum(len(row["traces"]) for row in rows),
        "unreadable": sum(a is None for row in rows for a in row["accuracy"]),
        "rows_without_trace": sum(row["chosen"] is None for row in rows),
        "accuracy_of_all": sum(every) / len(every) if every else None,
        "accuracy_of_chosen": sum(chosen) / len(chosen) if chosen else None,
    }


__all__ = ["ROWS", "ColdStart", "Teacher", "batches", "cold_start_row", "summary", "write_cold_start"]
