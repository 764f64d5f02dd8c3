"""What stands in for people and large models in the sandbox: writers of reasoning traces who make mistakes, and annotators who are
not always of one mind. Both know the exact judge's verdict; how far they stray from it is stated here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image

from benchmarks.base import EditSample
from benchmarks.preferences.base import TIE, A, B
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.perceive import perceive_fully
from benchmarks.sandbox.scene import Scene
from common.pictures import to_rgb
from experiments.tiny.judged_edits import comparison
from judges.base import OVERALL, Verdict
from judges.pixels import square
from judges.quality import quality
from judges.reasoning.points import Point
from judges.reasoning.sandbox import right_answers, scene_of
from judges.reasoning.trace import HIGHEST, Trace, write_trace
from judges.sandbox import side_for

PARTLY = (0.2, 0.8)  # an edit whose credit lies in between is there in part


@dataclass(frozen=True)
class Writers:
    """Writers of traces. Each answers a point wrongly with a probability of his own, drawn evenly from 0 to `errors`, and then has
    often misread the picture; scores are the exact ones with a normal error of `score_std` points of 10, in halves."""

    errors: float = 0.3
    score_std: float = 1.5
    misread: float = 0.5  # of the wrong answers, those whose thought is wrong too

    def traces(
        self, sample: EditSample, after: Image.Image, points: Sequence[Point], verdict: Verdict, count: int, seed: str
    ) -> list[str]:
        """`count` traces, each by another writer; a function of the arguments."""
        gold = right_answers(sample, points, verdict)
        picture = np.asarray(square(to_rgb(after), side_for(after.size)))
        seen, before = perceive_fully(picture).scene, scene_of(sample)
        clean = quality(picture)
        credits = [row["credit"] for row in verdict.raw["edits"] if row["credit"] is not None]
        half = any(PARTLY[0] < c < PARTLY[1] for c in credits)
        texts = []
        for k in range(count):
            rng = Random(f"writer/{seed}/{k}")
            wrong = rng.uniform(0, self.errors)
            answers = tuple(1 - g if rng.random() < wrong else g for g in gold)
            misread = answers != gold and rng.random() < self.misread
            thought = comparison(before, _misread(seen, rng) if misread else seen, clean, half)
            shift = (sum(answers) - sum(gold)) * HIGHEST / len(gold)  # who sees less done scores it lower
            score = verdict.scores[OVERALL] + shift + rng.gauss(0, self.score_std)
            trace = Trace(thought, answers, round(2 * min(HIGHEST, max(0.0, score))) / 2)
            texts.append(write_trace(trace, [p.question for p in points]))
        return texts


def _misread(scene: Scene, rng: Random) -> Scene:
    """One thing taken for another."""
    if not scene.things:
        return scene
    thing = rng.choice(scene.things)
    other = replace(thing, colour=rng.choice([c for c in S.COLOURS if c != thing.colour]))
    return scene.with_thing(thing, other)


@dataclass(frozen=True)
class Annotators:
    """They prefer a over b with probability 1 / (1 + exp(-(s_a - s_b) / noise)) in the exact judge's overall scores, and say
    that both are the same where these differ by less than `same`. Noise 0: always the better one."""

    noise: float = 1.0
    same: float = 0.5

    def label(self, a: float, b: float, seed: str) -> str:
        """a | b | tie."""
        if abs(a - b) < self.same:
            return TIE
        if self.noise == 0:
            return A if a > b else B
        return A if Random(f"annotator/{seed}").random() < 1 / (1 + math.exp(-(a - b) / self.noise)) else B


__all__ = ["Annotators", "Writers"]
