"""Candidate edits of requests with their scores: what reward models learn from. Plain files: rows of JSON, and pictures beside
them.

    candidates.jsonl    one row for each edited picture: sample, maker, the picture's file, and the judge's verdict
    pictures/           the pictures before and after

The folder goes on where it was stopped: samples whose rows are there are not edited again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from benchmarks.pictures import PictureFile
from common.atomic import atomic_file
from common.errors import BadInput
from common.jsonl import Journal, read_jsonl
from common.progress import bar
from judges.base import Judge, Verdict, judge_all

# samples and seeds -> a picture each, None where the maker gave none
Maker = Callable[[Sequence[EditSample], Sequence[int]], Sequence["Image.Image | None"]]
ROWS, PICTURES = "candidates.jsonl", "pictures"


@dataclass(frozen=True)
class Candidate:
    """An edited picture with its sample and its verdict."""

    sample: EditSample
    maker: str
    file: str  # below the folder
    opens: Callable[[], Image.Image]
    verdict: Verdict


@dataclass(frozen=True)
class CandidateFolder:
    """`samples(i)` is a pure function. Candidate k of sample i is made by maker number i + k, cyclically, so that every sample has
    several makers; its seed is a function of both numbers."""

    folder: Path
    samples: Callable[[int], EditSample]
    makers: Mapping[str, Maker]
    judge: Judge | None  # None: the candidates are kept without verdicts
    per_sample: int
    chunk: int = 50

    def make(self, label: str, count: int) -> None:
        """Make what is missing of the candidates of the first `count` samples. Raises what makers and judge raise for all alike."""
        if not self.makers or self.per_sample < 1:
            raise BadInput("candidate edits need at least one maker and one candidate of each sample")
        journal = Journal(self.folder / ROWS)
        journal.cut_after(count)
        done = max((row["step"] for row in self._rows()), default=0)
        with bar(label, count, done) as progress:
            while done < count:
                numbers = range(done, min(done + self.chunk, count))
                journal.append(self._chunk(numbers))
                done = numbers.stop
                progress.update(done)

    def _rows(self) -> list[dict[str, Any]]:
        path = self.folder / ROWS
        return read_jsonl(path) if path.is_file() else []

    def _chunk(self, numbers: range) -> list[dict[str, Any]]:
        """Rows of these samples; `step` is the number of samples that are done when the row is there."""
        names = list(self.makers)
        samples = {i: self.samples(i) for i in numbers}
        slots = [(i, k, names[(i + k) % len(names)]) for i in numbers for k in range(self.per_sample)]
        pictures: dict[tuple[int, int], Image.Image | None] = {}
        for name, maker in self.makers.items():
            mine = [(i, k) for i, k, own in slots if own == name]
            if mine:
                made = maker([samples[i] for i, _ in mine], [i * self.per_sample + k for i, k in mine])
                pictures |= dict(zip(mine, made, strict=True))
        whole = [(i, k, name) for i, k, name in slots if pictures[i, k] is not None]
        verdicts = [Verdict({})] * len(whole)
        if self.judge is not None:
            verdicts = judge_all(self.judge, [samples[i] for i, _, _ in whole], [pictures[i, k] for i, k, _ in whole])  # type: ignore[misc]
        for i in numbers:
            save_picture(self.folder / before_file(i), samples[i].image)
        rows = []
        for (i, k, name), verdict in zip(whole, verdicts, strict=True):
            file = f"{PICTURES}/{i:06d}-{k}.png"
            save_picture(self.folder / file, pictures[i, k])
            rows.append(
                {"step": numbers.stop, "sample": i, "candidate": k, "maker": name, "picture": file} | kept(verdict)
            )
        return rows

    def read(self, count: int) -> list[list[Candidate]]:
        """The candidates of the first `count` samples, those with a valid verdict alone."""
        out: list[list[Candidate]] = [[] for _ in range(count)]
        for row in self._rows():
            if row["sample"] < count and row["valid"]:
                verdict = Verdict(row["scores"], raw=row["raw"])
                opens = PictureFile(self.folder / row["picture"], f"{self.folder / ROWS}, sample {row['sample']}")
                sample = self.samples(row["sample"])
                out[row["sample"]].append(Candidate(sample, row["maker"], row["picture"], opens, verdict))
        return out


def before_file(number: int) -> str:
    return f"{PICTURES}/{number:06d}.png"


def kept(verdict: Verdict) -> dict[str, Any]:
    return {"valid": verdict.valid, "scores": dict(verdict.scores), "reason": verdict.reason, "raw": verdict.raw}


def save_picture(path: Path, picture: Image.Image | None) -> None:
    if picture is None:
        raise BadInput(f"{path}: the sample has no picture, and edits are judged beside the picture before")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        picture.convert("RGB").save(file, "PNG")


__all__ = ["PICTURES", "ROWS", "Candidate", "CandidateFolder", "Maker", "before_file", "save_picture"]
