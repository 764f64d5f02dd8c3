"""Data of a start for reinforcement learning (decomposer=tiny): how to answer, not what to answer.

The paper starts from an instruct model that never saw a labelled decomposition; this is the counterpart at tiny scale. The model
is taught to say what it sees (which thing stands where), to answer requests that say everything in full, in a few wordings, and to
guess where it does not know what is meant: a thing called by a word that names nothing in the picture is answered with any thing
of the picture, and a clause of words that mean nothing with any edit. What never occurs: references that only the picture resolves
("the biggest thing", "the cyan one"), pronouns, edits that depend on each other, indirect wishes ("i don't like ..."), and most
wordings. They are left to reinforcement learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from agents.decomposer import build_request
from agents.plan import write_decomposition
from benchmarks.base import Decomposition, Edit, EditSample
from benchmarks.sandbox import scene as S
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.corpus import (
    COLOUR_NAMES,
    MATERIAL_NAMES,
    NOUNS,
    SCENES,
    SIDES,
    invented,
    noun,
    shown_text,
)
from benchmarks.sandbox.generate import (
    EDIT_ACTIONS,
    LENGTH_WEIGHTS,
    Draft,
    Retry,
    SandboxBenchmark,
    SandboxSample,
    explicit,
    random_scene,
)
from benchmarks.sandbox.language import Speaker
from common.errors import BadInput
from experiments.tiny.thoughts import DESCRIBE, entry, scene_thought, seen_with_places
from rl.sft import SFTExample

INVENTED = ("the {}", "the {} one", "the {} thing", "the one that {}s", "the {} {}")
PARTICLES = ("it", "is", "the", "i", "too", "so", "all", "there", "should", "be", "a", "very")
NAMES_OF_SHAPES = {word for words in T.SHAPE_WORDS.values() for phrase in words for word in phrase.split()}
# what nonsense may mean: edits made up of what there is, not of new things and texts
GUESSED = ("remove", "recolor", "material", "count", "move", "background", "relight", "tone", "zoom")
ABSENT = tuple(n for n in NOUNS if n not in NAMES_OF_SHAPES)  # everyday things that no scene has


@dataclass(frozen=True)
class DirectMix:
    """Shares of the kinds of examples."""

    open_share: float = 0.1  # full requests about everyday things, text only, against the sandbox's with their picture
    perception_share: float = 0.2  # of the sandbox part: only say what stands where
    guess_share: float = 0.25  # of the sandbox part: a thing is called by a word that names nothing there
    nonsense_share: float = 0.1  # of the sandbox part: a clause says nothing at all
    kinds: tuple[tuple[str, float], ...] = (("direct", 0.5), ("paraphrased", 0.5))
    wordings: float = 0.35  # the first share of every list of templates


class DirectStart:
    """Batches of examples as a function of the step."""

    def __init__(self, template: str, mix: DirectMix, seed: int = 0):
        self.template, self.mix, self.seed = template, mix, seed
        self.sandbox = SandboxBenchmark(
            "train", seed + 2000, kinds=dict(mix.kinds), lengths=LENGTH_WEIGHTS, wordings=mix.wordings
        )

    def example(self, index: int) -> SFTExample:
        rng, mix = Random(f"direct/{self.seed}/{index}"), self.mix
        if rng.random() < mix.open_share:
            return self._answer(open_request(rng))
        sample, kind = self.sandbox.sample(index), rng.random()
        if kind < mix.perception_share:
            question, answer = perception(rng, sample)
            return SFTExample(build_request(self.template, replace(sample, request=question)), answer)
        if kind < mix.perception_share + mix.guess_share:
            sample = guess(rng, sample)
        elif kind < mix.perception_share + mix.guess_share + mix.nonsense_share:
            sample = nonsense(rng)
        return self._answer(sample)

    def _answer(self, sample: EditSample) -> SFTExample:
        decomposition = Decomposition.of(sample.gold, scene_thought(sample))
        return SFTExample(build_request(self.template, sample), write_decomposition(decomposition))

    def batch(self, step: int, size: int) -> list[SFTExample]:
        return [self.example(step * size + j) for j in range(size)]


def perception(rng: Random, sample: SandboxSample) -> tuple[str, str]:
    """A question about the picture alone, and its answer."""
    scene, kind = sample.before, rng.random()
    if kind < 0.5:
        return DESCRIBE, seen_with_places(sample)
    if kind < 0.75:
        cell, by_cell = rng.choice(S.CELLS), {t.cell: t for t in scene.things}
        answer = entry(by_cell[cell]) if cell in by_cell else "nothing"
        return f"what is at the {S.CELL_NAMES[cell]}?", answer
    thing = rng.choice(scene.things)
    return f"where is the {thing.name}?", entry(thing)


def guess(rng: Random, sample: SandboxSample) -> SandboxSample:
    """The sample with some of its things called by invented words; the answer to each is any thing that no other edit has. A
    request in which no thing is called by its plain name stays as it is."""
    names = sorted(t.name for t in sample.before.things)
    subjects = [e.subject for e in sample.gold]
    said = [
        k
        for k, subject in enumerate(subjects)
        if subject in names and subjects.count(subject) == 1 and sample.request.count(f"the {subject}") == 1
    ]
    if not said:
        return sample
    request, edits = sample.request, list(sample.gold)
    for k in rng.sample(said, rng.randint(1, len(said))):
        others = {e.subject for j, e in enumerate(edits) if j != k}
        name = rng.choice(INVENTED).format(unknown(rng), unknown(rng))
        request = request.replace(f"the {edits[k].subject}", name)
        edits[k] = replace(edits[k], subject=rng.choice([n for n in names if n not in others]))
    return replace(sample, request=request, gold=tuple(edits))


def unknown(rng: Random) -> str:
    """A word that names nothing in any scene."""
    return rng.choice(ABSENT) if rng.random() < 0.4 else invented(rng)


def nonsense(rng: Random) -> SandboxSample:
    """One to three edits, of which one is said in words that mean nothing, so that its answer is any edit of that picture; the
    others are said in full."""
    while True:
        speaker = Speaker(rng, plain=True)
        draft = Draft(random_scene(rng, "train", fewest=3), rng, speaker, "train")
        edits = rng.choices((1, 2, 3), (5, 3, 2))[0]
        hidden = rng.randrange(edits)
        try:
            for k in range(edits):
                explicit(draft, rng.choice(GUESSED if k == hidden else EDIT_ACTIONS))
        except (Retry, BadInput):  # the scene has no room for such an edit
            continue
        words = [rng.choice(PARTICLES) if rng.random() < 0.5 else unknown(rng) for _ in range(rng.randint(2, 7))]
        draft.clauses[hidden] = " ".join(words)
        return SandboxSample(
            "", speaker.dress(speaker.join(draft.clauses)), tuple(draft.edits), "direct", before=draft.scene
        )


def open_request(rng: Random) -> EditSample:
    """One to three edits of everyday things, said in full in the plainest wordings; there is no picture."""
    speaker = Speaker(rng, plain=True)
    said = [_open_edit(rng, speaker) for _ in range(rng.choices((1, 2, 3), (5, 3, 1))[0])]
    return EditSample("", speaker.join([clause for clause, _ in said]), tuple(edit for _, edit in said), "direct")


def _open_edit(rng: Random, speaker: Speaker) -> tuple[str, Edit]:
    old, new, anchor, side = noun(rng), noun(rng), noun(rng), rng.choice(SIDES)
    beside = side in ("left", "right")
    place = f"{side} of {anchor}" if beside else f"{side} {anchor}"
    place_words = f"to the {side} of the {anchor}" if beside else f"{side} the {anchor}"
    match key := rng.choice(
        ("add", "add_at", "remove", "replace", "recolor", "material", "text", "move", "count", "background")
    ):
        case "add":
            edit, goal = Edit("add", str(new)), ""
        case "add_at":
            edit, goal = Edit("add", str(new), place), place_words
        case "move":
            edit, goal = Edit("move", str(old), place), place_words
        case "remove":
            edit, goal = Edit("remove", str(old)), ""
        case "replace":
            edit, goal = Edit("replace", str(old), str(new)), ""
        case "text":
            goal = shown_text(rng)
            edit = Edit("text", "image", goal)
        case "background":
            goal = rng.choice(SCENES)
            edit = Edit("background", "background", goal)
        case _:
            values = {"recolor": COLOUR_NAMES, "material": MATERIAL_NAMES, "count": [str(n) for n in range(1, 6)]}
            goal = rng.choice(values[key])
            edit = Edit(key, str(old), goal)
    return speaker.pick(T.CLAUSES[key]).format(s=f"the {old}", a=f"a {new}", g=goal), edit


def answers(start: DirectStart, samples: int) -> Iterator[str]:
    """Texts for the tokenizer beside those of the whole language: the answers with their thoughts."""
    for index in range(samples):
        yield start.example(10**7 + index).answer


__all__ = ["DirectMix", "DirectStart", "answers", "guess", "nonsense", "open_request", "perception"]
