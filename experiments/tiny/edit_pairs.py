"""What the tiny editors learn from: sandbox pairs with explicit instructions, as a function of a counter."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from agents.sequencer import RulesSequencer
from benchmarks.base import Decomposition
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from benchmarks.sandbox.templates import (
    BACKGROUND_WORDS,
    COLOUR_WORDS,
    MATERIAL_WORDS,
    NUMBER_WORDS,
    SHAPE_WORDS,
)

SINGLE = (1.0, 0, 0, 0, 0)
SEVERAL = (0, 40, 30, 20, 10)


@dataclass(frozen=True)
class EditPair:
    """The pictures before and after, uint8[H, W, 3], the instruction, and the scenes before and after."""

    before: np.ndarray
    after: np.ndarray
    instruction: str
    scenes: tuple[Scene, Scene]


class EditPairs:
    """Batches of training pairs. A batch has either single edits or several edits in one instruction, since the latter
    are longer; `single_share` of the batches are the former."""

    def __init__(self, seed: int, size: int = 64, single_share: float = 0.75, empty_share: float = 0.05) -> None:
        self.seed, self.size, self.single_share, self.empty_share = seed, size, single_share, empty_share
        kinds = {"direct": 1.0}
        self.single = SandboxBenchmark("train", 5000 + seed, size, kinds, lengths=SINGLE)
        self.several = SandboxBenchmark("train", 6000 + seed, size, kinds, lengths=SEVERAL)
        self.sequencer = RulesSequencer()

    def batch(self, step: int, count: int) -> list[EditPair]:
        single = Random(f"pairs/{self.seed}/{step}").random() < self.single_share
        return [self.pair(single, step * count + j) for j in range(count)]

    def pair(self, single: bool, index: int) -> EditPair:
        rng = Random(f"pair/{self.seed}/{index}")
        sample = (self.single if single else self.several).sample(index)
        before = render(sample.before, self.size)
        if rng.random() < self.empty_share:  # an empty instruction changes nothing
            return EditPair(before, before, " ", (sample.before, sample.before))
        scenes = (sample.before, sample.after)
        return EditPair(before, render(sample.after, self.size), self.instruction(sample, rng), scenes)

    def instruction(self, sample: SandboxSample, rng: Random) -> str:
        """Half of the time the user's plain request, half of the time the words of the sequencer."""
        if rng.random() < 0.5:
            return sample.request
        return "; ".join(self.sequencer.plan(Decomposition.of(sample.gold, ""), "single"))


def vocabulary(pairs: EditPairs, samples: int = 4000) -> list[str]:
    """The words of explicit instructions and the sandbox's synonyms, most frequent first."""
    counts: dict[str, int] = {}
    tables = (COLOUR_WORDS, SHAPE_WORDS, MATERIAL_WORDS, BACKGROUND_WORDS, NUMBER_WORDS)
    for table in tables:
        for words in table.values():
            for word in " ".join(words).split():
                counts[word] = counts.get(word, 0) + 1
    for index in range(samples):
        for single in (True, False):
            for word in pairs.pair(single, index).instruction.lower().replace(";", " ").replace(".", " ").split():
                if word.isalpha():
                    counts[word] = counts.get(word, 0) + 1
    return sorted(counts, key=lambda w: (-counts[w], w))


__all__ = ["EditPairs", "EditPair", "vocabulary"]
