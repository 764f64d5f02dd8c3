"""The rewards of a closed loop's answers: what each adds to the score of the picture before it.

    r_k = s_k − s_{k−1} − c · [answer k is no stop]

s_k in [0, 1] is the judge's score of the picture after answer k against the whole request, s_0 that of the given picture. A stop,
a call that failed and a malformed answer leave the picture as it is and add 0. So the rewards of a loop sum up to its last score
minus its first one, minus c for every answer but a stop: a loop that stops too early forgoes what was still to be gained, one
that stops too late pays for every call that added nothing. An answer has no reward where the picture before or after it has no
verdict: it must carry no gradient.
A project choice; potential-based shaping of the last score (Ng, Harada and Russell 1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from agents.loop import Turn
from agents.traces import digest
from benchmarks.base import EditSample
from common.errors import BadInput
from common.pictures import to_rgb
from judges.base import OVERALL, Judge, judge_all
from rewards.outcome import share_of


@dataclass(frozen=True)
class StepReward:
    """`total` in [-1, 1], None where a verdict is missing; the components are logged. `final` (the last picture's score) and
    `calls` (of the whole loop) stand at the last answer of a loop alone."""

    total: float | None
    components: dict[str, float | None]


def step_rewards(turns: Sequence[Turn], scores: Sequence[float | None], call_cost: float) -> list[StepReward]:
    """One reward for each answer. scores[m]: the score of the loop's picture m, of the given one (0) and of those that its calls
    gave, in the order in which they were made."""
    now, rewards = scores[0], []
    calls = sum(turn.called for turn in turns)
    for k, turn in enumerate(turns):
        before, cost = now, 0.0 if turn.kind == "stop" else call_cost
        if turn.made is not None:
            now = scores[turn.made]
        gain = None if now is None or before is None else now - before
        last = k + 1 == len(turns)
        parts: dict[str, float | None] = {
            "gain": gain,
            "format": float(turn.kind != "malformed"),
            "again": float(turn.kind == "again"),
            "final": now if last else None,
            "calls": float(calls) if last else None,
            "stopped": float(turn.kind == "stop") if last else None,
        }
        rewards.append(StepReward(None if gain is None else gain - cost, parts))
    return rewards


@dataclass(frozen=True)
class PictureScores:
    """The judge's scores of pictures against their samples' requests, in [0, 1], None where there is no verdict. Equal pictures
    of the same sample are judged once."""

    judge: Judge
    aspect: str = OVERALL
    scale: float = 10.0

    def __call__(self, samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
        keys = []
        for sample, picture in zip(samples, pictures, strict=True):
            if sample.image is None:
                raise BadInput(f"sample {sample.id!r} has no picture: a closed loop cannot be scored on it")
            keys.append((sample.id, digest(to_rgb(picture))))
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        chosen = sorted(first.values())
        verdicts = judge_all(self.judge, [samples[i] for i in chosen], [pictures[i] for i in chosen])
        score = {keys[i]: share_of(v, self.aspect, self.scale) for i, v in zip(chosen, verdicts, strict=True)}
        return [score[key] for key in keys]


__all__ = ["PictureScores", "StepReward", "step_rewards"]
