"""Supervised examples of the closed loop, from the sandbox's exact states: after k of n calls the next one, after all of them a
stop, and after a call that went wrong the right one in its place.

The requests are direct ones in the first wordings, as in the tiny decomposer's own start: this teaches how a loop is answered, not
what indirect requests mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image

from agents.decomposer import build_request
from agents.loop import Decision, write_decision
from agents.sequencer import RulesSequencer
from benchmarks.base import Decomposition, Edit, EditSample, explicit_instruction
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from common.errors import BadInput, RunFailed
from rl.sft import SFTExample

WORDINGS = 0.4  # the first share of every list of templates
WRONG = 0.25  # share of the examples in which the last call went wrong, of those that have a call
NOTHING_DONE = 0.3  # of these: the call left the picture as it was
TRIES = 50


@dataclass(frozen=True)
class Moment:
    """What the agent sees and should answer: the sample on the picture as it is now, the steps so far, the decision."""

    sample: EditSample
    steps: tuple[str, ...]
    decision: Decision
    think: str

    def example(self, template: str) -> SFTExample:
        request = build_request(template, self.sample, steps=self.steps)
        return SFTExample(request, write_decision(self.decision, self.think))


@dataclass(frozen=True)
class LoopMoments:
    """Moments by number: number `index` is a function of (seed, index)."""

    sandbox: SandboxBenchmark
    seed: int

    @classmethod
    def of(cls, image_size: int, max_edits: int, seed: int) -> LoopMoments:
        kinds = {"direct": 1.0}
        return cls(SandboxBenchmark("train", seed + 2000, image_size, kinds, max_edits, wordings=WORDINGS), seed)

    def __call__(self, index: int) -> Moment:
        rng = Random(f"closed loop/{self.seed}/{index}")
        for attempt in range(TRIES):
            sample = self.sandbox.sample(index + attempt * 10**8)
            calls = RulesSequencer().calls(Decomposition.of(sample.gold), "multi")
            try:
                scenes = scenes_of(sample.before, calls)
            except BadInput:  # a call that is impossible on its own, or a name that fits two things in between
                continue
            done = rng.randint(0, len(calls))
            if done and rng.random() < WRONG:
                if (moment := _after_a_wrong_call(rng, sample, calls, scenes, done)) is not None:
                    return moment
                continue
            return _after(sample, calls, scenes, done)
        raise RunFailed(f"no moment of a closed loop after {TRIES} samples from number {index} on")


def scenes_of(before: Scene, calls: Sequence[Sequence[Edit]]) -> list[Scene]:
    """The scene before and after each call. Raises BadInput where a call is impossible."""
    scenes = [before]
    for call in calls:
        scenes.append(apply_edits(scenes[-1], call))
    return scenes


def said(call: Sequence[Edit]) -> str:
    """The instruction of a call, as the loop tells it."""
    return "; ".join(map(explicit_instruction, call))


def left(n: int) -> str:
    """The thought: how many calls are still to be made, in the words of the decomposer's own start."""
    return f"{n} edit" + "s" * (n != 1)


def _after(sample: SandboxSample, calls: Sequence[list[Edit]], scenes: Sequence[Scene], done: int) -> Moment:
    rest = calls[done:]
    decision = Decision("edit", Decomposition.of(rest[0])) if rest else Decision("stop")
    steps = tuple(f"done: {said(call)}" for call in calls[:done])
    return Moment(_seen(sample, scenes[done]), steps, decision, left(len(rest)))


def _after_a_wrong_call(
    rng: Random, sample: SandboxSample, calls: Sequence[list[Edit]], scenes: Sequence[Scene], done: int
) -> Moment | None:
    """The last of `done` calls left the picture as it was though the instruction was right, or the instruction was a wrong one and
    was carried out. None where no wrong one can be made of it."""
    before, right = scenes[done - 1], calls[done - 1]
    shown, call = before, right
    if rng.random() >= NOTHING_DONE:
        for wrong in wrong_calls(rng, before, right):
            try:
                shown = apply_edits(before, wrong)
            except BadInput:
                continue
            if shown not in (before, scenes[done]):
                call = wrong
                break
        else:
            return None
    elif render_equal(before, scenes[done], sample.size):
        return None
    steps = tuple(f"done: {said(c)}" for c in (*calls[: done - 1], call))
    decision = Decision("again", Decomposition.of(right))
    return Moment(_seen(sample, shown), steps, decision, left(len(calls) - done + 1))


def wrong_calls(rng: Random, scene: Scene, call: Sequence[Edit]) -> Iterator[list[Edit]]:
    """The call with another thing in place of a subject, or another value in place of a goal, in random order."""
    options: list[list[Edit]] = []
    for k, edit in enumerate(call):
        things = {t.name for t in scene.things}
        if edit.subject in things:
            options += [_with(call, k, Edit(edit.action, name, edit.goal)) for name in sorted(things - {edit.subject})]
        values: Sequence[str] = {
            "recolor": tuple(S.COLOURS),
            "material": S.MATERIALS,
            "background": S.BACKGROUNDS,
            "relight": S.LIGHTS,
            "tone": S.TONES,
            "move": tuple(S.CELL_NAMES[c] for c in scene.free_cells),
            "zoom": tuple(S.CELL_NAMES.values()),
            "count": tuple(str(n) for n in range(1, S.MAX_COUNT + 1)),
        }.get(edit.action, ())
        options += [_with(call, k, Edit(edit.action, edit.subject, v)) for v in values if v != edit.goal]
    rng.shuffle(options)
    return iter(options)


def _with(call: Sequence[Edit], k: int, edit: Edit) -> list[Edit]:
    return [*call[:k], edit, *call[k + 1 :]]


def render_equal(one: Scene, other: Scene, size: int) -> bool:
    return bool((render(one, size) == render(other, size)).all())


def _seen(sample: SandboxSample, scene: Scene) -> EditSample:
    """The sample on the picture of another scene."""
    picture = Image.fromarray(render(scene, sample.size))
    return EditSample(sample.id, sample.request, sample.gold, sample.kind, sample.history, picture)


def loop_examples(moments: LoopMoments, template: str, batch_size: int) -> Callable[[int], list[SFTExample]]:
    """Batches as a function of the step."""
    return lambda step: [moments(step * batch_size + j).example(template) for j in range(batch_size)]


__all__ = ["LoopMoments", "Moment", "loop_examples", "said", "scenes_of", "wrong_calls"]
