"""The sandbox's side of the reward model's data: candidate edits, the teacher of the cold start, and pairs with annotators'
labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from PIL import Image

from benchmarks.base import EditSample
from benchmarks.preferences.base import TIE, A
from benchmarks.sandbox.candidates import candidate
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from common.errors import BadInput
from editors.base import Editor
from experiments.tiny.simulated import Annotators, Writers
from experiments.training_data.candidates import Candidate, Maker
from judges.base import OVERALL
from judges.reasoning.points import Point
from judges.reasoning.sandbox import right_answers, sandbox_points
from judges.reasoning.trace import Trace
from rl.gcpo import EditPair

LENGTHS = (5, 3, 2, 0, 0)  # weights of requests of 1..5 edits
KINDS = ("direct", "paraphrased")


def requests(split: str, seed: int, size: int = 64) -> Callable[[int], SandboxSample]:
    """Samples of up to three edits, said in full."""
    return SandboxBenchmark(split, seed, size, kinds=KINDS, lengths=LENGTHS).sample


def faulty(seed: int) -> Maker:
    """Edits with deliberate faults (benchmarks/sandbox/candidates.py)."""

    def make(samples: Sequence[EditSample], seeds: Sequence[int]) -> list[Image.Image | None]:
        made: list[Image.Image | None] = []
        for sample, own in zip(samples, seeds, strict=True):
            if not isinstance(sample, SandboxSample):
                raise BadInput(f"sample {sample.id!r} is none of the sandbox; its faults cannot be drawn")
            made.append(candidate(sample, Random(f"faulty/{seed}/{own}")).picture)
        return made

    return make


def edited(editor: Editor) -> Maker:
    """What an editor makes of the request."""

    def make(samples: Sequence[EditSample], seeds: Sequence[int]) -> list[Image.Image | None]:
        images = [sample.image for sample in samples]
        return list(editor.edit(images, [sample.request for sample in samples], seeds))  # type: ignore[arg-type]

    return make


@dataclass(frozen=True)
class SandboxTeacher:
    """`experiments.training_data.cold_start.Teacher` by program; the verifier is the exact judge."""

    writers: Writers
    traces_each: int
    seed: int

    def points(self, sample: EditSample) -> Sequence[Point]:
        return sandbox_points(sample)

    def traces(self, candidate: Candidate, points: Sequence[Point]) -> Sequence[str]:
        key = f"{self.seed}/{candidate.file}"
        return self.writers.traces(
            candidate.sample, candidate.opens(), points, candidate.verdict, self.traces_each, key
        )

    def answers(self, candidate: Candidate, points: Sequence[Point], traces: Sequence[Trace]) -> Sequence[int]:
        return right_answers(candidate.sample, points, candidate.verdict)


def labelled_pairs(candidates: Sequence[Sequence[Candidate]], annotators: Annotators, seed: int) -> list[EditPair]:
    """All pairs of candidates of one sample that the annotators do not call the same, the preferred one first."""
    pairs = []
    for number, own in enumerate(candidates):
        for (i, a), (j, b) in combinations(enumerate(own), 2):
            scores = (a.verdict.scores[OVERALL], b.verdict.scores[OVERALL])
            label = annotators.label(*scores, f"{seed}/{number}/{i}/{j}")
            if label != TIE:
                first, second = (a, b) if label == A else (b, a)
                pairs.append(EditPair(a.sample, first.opens, second.opens))
    return pairs


__all__ = ["SandboxTeacher", "edited", "faulty", "labelled_pairs", "requests"]
