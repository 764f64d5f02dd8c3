"""Data of the tiny intent writer's start (intent=tiny): how an intent is written, not what a session means.

As with decomposer=tiny, what is to be learnt by reinforcement is only guessed. The model reads a session's earlier requests, the
new one and the picture, and writes the new one in plain words. Requests that name what they change are answered rightly. Where a
request calls a thing "it", the answer names any thing of the picture; where a lasting rule was said in the first turn, the
answer keeps to it now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from agents.intent import build_intent_request
from benchmarks.base import Edit, explicit_instruction
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.generate import SandboxSample, make_session
from benchmarks.sandbox.intents import meant_edits
from benchmarks.sandbox.scene import SHAPES
from rl.sft import SFTExample


@dataclass(frozen=True)
class IntentMix:
    """How the answers to what is not taught are drawn."""

    ruled_share: float = 0.35  # of turns under a rule, how many follow it
    turns: tuple[int, ...] = (2, 3, 3, 4)  # lengths of sessions, equally likely


class IntentStart:
    """Batches of examples as a function of the step: a turn of a session each, never the first one."""

    def __init__(self, template: str, mix: IntentMix, seed: int = 0, split: str = "train") -> None:
        self.template, self.mix, self.seed, self.split = template, mix, seed, split

    def turn(self, index: int) -> SandboxSample:
        """A later turn of session number `index`."""
        rng = Random(f"intent/{self.seed}/{index}")
        turns = rng.choice(self.mix.turns)
        turn = make_session(self.split, self.seed + 4000, index, turns).turns[rng.randrange(1, turns)]
        assert isinstance(turn, SandboxSample)
        return turn

    def example(self, index: int) -> SFTExample:
        turn = self.turn(index)
        edits, ruled = self._guessed(turn, Random(f"guess/{self.seed}/{index}"))
        return SFTExample(build_intent_request(self.template, turn), answer(edits, turn.rule if ruled else None))

    def _guessed(self, turn: SandboxSample, rng: Random) -> tuple[tuple[Edit, ...], bool]:
        """The edits of an answer, and whether it keeps to the rule."""
        if turn.rule is not None:
            follows = rng.random() < self.mix.ruled_share
            return (meant_edits(turn) if follows else turn.gold), follows
        if not calls_it(turn):
            return turn.gold, False
        (edit,) = turn.gold
        others = [t.name for t in turn.before.things if not (edit.goal or "").endswith(t.name)]
        return (replace(edit, subject=rng.choice(others)),), False

    def batch(self, step: int, size: int) -> list[SFTExample]:
        return [self.example(step * size + j) for j in range(size)]


def calls_it(turn: SandboxSample) -> bool:
    """Whether the request does not name the thing that it changes: no word for its shape is said."""
    (edit,) = turn.gold
    shape = edit.subject.split()[-1]
    if edit.action == "add" or shape not in SHAPES:
        return False
    return not any(word in turn.request.lower() for word in T.SHAPE_WORDS[shape])


def answer(edits: tuple[Edit, ...], rule: Edit | None) -> str:
    """A thought, which thing is meant and whether a rule applies, and the instruction."""
    applies = f"rule {rule.goal}" if rule is not None else "no rule"
    instruction = "; ".join(explicit_instruction(edit) for edit in edits)
    return f"<think>{edits[0].subject}; {applies}</think>{instruction}"


__all__ = ["IntentMix", "IntentStart", "answer", "calls_it"]
