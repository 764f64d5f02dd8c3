"""Data of the tiny decomposer's supervised start (decomposer=tiny_sft): part of the sandbox's grammar, and open-vocabulary copying.

It teaches the format, all actions, copying any name, and naming what is in a picture. It shows the first 40 % of every list
of wordings, first in requests of one or two edits, then of up to five; the other wordings are left to reinforcement learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from agents.decomposer import build_request
from agents.plan import write_decomposition
from benchmarks.base import Decomposition, EditSample
from benchmarks.sandbox.corpus import COLOUR_NAMES, MATERIAL_NAMES, NOUNS, SCENES, TEXT_WORDS, open_turn
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from experiments.tiny.thoughts import DESCRIBE, THOUGHTS, brief_thought, seen
from rl.sft import SFTExample


@dataclass(frozen=True)
class ColdStartMix:
    """Shares of the kinds of examples; weights need not sum to one."""

    open_share: float = 0.25  # text-only turns on everyday things, against sandbox requests with their picture
    session_share: float = 0.1  # of the sandbox part: turns of sessions
    describe_share: float = 0.65  # of the sandbox part: only say what is in the picture, which teaches to look
    kinds: tuple[tuple[str, float], ...] = (
        ("direct", 0.5),
        ("paraphrased", 0.3),
        ("indirect", 0.12),
        ("multi_step", 0.08),
    )
    lengths: tuple[float, ...] = (55, 45, 0, 0, 0)  # weights of requests of 1..5 edits: only short ones
    wordings: float = 0.4  # the first share of every list of templates


# The second part has what the first left out: long requests, and more that need the picture or several steps, in the same
# wordings. Without it the policy is so sure of stopping after two edits that sampling never tries a third, and RL has nothing
# to reinforce.
SECOND_PART = ColdStartMix(
    open_share=0.1,
    describe_share=0.1,
    kinds=(("direct", 0.25), ("paraphrased", 0.25), ("indirect", 0.35), ("multi_step", 0.15)),
    lengths=(30, 27, 21, 13, 9),
)


def description(template: str, sample: SandboxSample) -> SFTExample:
    """An example whose answer is the picture's content alone, as in the thought of an indirect request."""
    return SFTExample(build_request(template, replace(sample, request=DESCRIBE)), seen(sample))


def sft_example(template: str, sample: EditSample, thought: str = "brief") -> SFTExample:
    """The gold decomposition as an answer to imitate, with one of the kinds of THOUGHTS."""
    decomposition = Decomposition.of(sample.gold, THOUGHTS[thought](sample))
    return SFTExample(build_request(template, sample), write_decomposition(decomposition))


class ColdStart:
    """Batches of examples as a function of the step."""

    def __init__(self, template: str, mix: ColdStartMix, seed: int = 0):
        self.template, self.mix, self.seed = template, mix, seed
        self.sandbox = SandboxBenchmark(
            "train", seed + 1000, kinds=dict(mix.kinds), lengths=mix.lengths, wordings=mix.wordings
        )

    def sample(self, index: int) -> EditSample:
        rng = Random(f"coldstart/{self.seed}/{index}")
        if rng.random() < self.mix.open_share:
            return open_turn(rng)
        if rng.random() < self.mix.session_share:
            session = self.sandbox.session(index)
            return session.turns[rng.randrange(len(session.turns))]
        return self.sandbox.sample(index)

    def example(self, index: int) -> SFTExample:
        sample = self.sample(index)
        if (
            isinstance(sample, SandboxSample)
            and Random(f"describe/{self.seed}/{index}").random() < self.mix.describe_share
        ):
            return description(self.template, sample)
        return sft_example(self.template, sample)

    def batch(self, step: int, size: int) -> list[SFTExample]:
        return [self.example(step * size + j) for j in range(size)]


def corpus(start: ColdStart, samples: int) -> Iterator[str]:
    """Texts for the tokenizer: prompts and answers of the start's own samples, and every word of its lists."""
    for index in range(samples):
        sample = start.sample(10**7 + index)
        yield "\n".join((*sample.history, sample.request))
        yield write_decomposition(Decomposition.of(sample.gold, brief_thought(sample)))
    words = " ".join((*NOUNS, *MATERIAL_NAMES, *COLOUR_NAMES, *SCENES, *TEXT_WORDS))
    yield from [words] * 60  # often enough that each becomes a token
