"""Rollouts of the closed loop: G loops on each sample, turn by turn, each answer with its own reward.

A sample is a unit of K places, its turns. The first turn's G answers have one prompt; later ones have a prompt each, since the
pictures differ (loops that are in the same state share theirs). Advantages come from returns-to-go: at turn k the group's loops
that have a turn k are compared by the sum of their rewards from there on, r_k + r_{k+1} + …, which is what their last pictures
score above their pictures before answer k, less the costs. A project choice; the usual credit of GRPO would give all answers of
a loop the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from PIL import Image

from agents.backends.base import Completion, ModelRequest, Sampling
from agents.backends.vlm import EncodedPrompt
from agents.loop import LoopState
from agents.traces import digest
from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from common.pictures import to_rgb
from rewards.steps import step_rewards
from rl.advantages import returns_to_go
from rl.clock import Clock
from rl.rollouts import counter_seed
from rl.text_rollouts import AnswerSampler, TextGroup, TextRollout, text_group

StepRequest: TypeAlias = Callable[
    [EditSample, Sequence[str]], ModelRequest
]  # the sample as it is now, the steps so far
# states, their answers, an id for each loop's seeds -> the states after the answers and their calls
Play: TypeAlias = Callable[[Sequence[LoopState], Sequence[str], Sequence[str]], list[LoopState]]
# given samples and pictures -> scores in [0, 1], None where the judge gives none
Score: TypeAlias = Callable[[Sequence[EditSample], Sequence[Image.Image]], Sequence[float | None]]


@dataclass(frozen=True)
class LoopTools:
    """What a closed loop needs besides a language model."""

    to_request: StepRequest
    play: Play
    score: Score
    max_calls: int
    call_cost: float


@dataclass
class _Loop:
    """One loop in the making."""

    place: int
    g: int
    id: str
    state: LoopState
    answers: list[tuple[ModelRequest, EncodedPrompt, Completion]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LoopSampler(AnswerSampler):
    """A sample is a unit of as many places as the longest of its loops has turns."""

    loop: LoopTools

    def ends(self, row: Mapping[str, Any]) -> bool:
        return row["components"]["calls"] is not None

    def outcome(self, row: Mapping[str, Any]) -> float | None:
        """The score of the loop's last picture."""
        return row["components"]["final"]  # type: ignore[no-any-return]

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[TextGroup]:
        """The loops of these places. What is drawn depends on (seed, step, place, number of the loop, turn) alone."""
        samples = [self.samples(step, j) for j in places]
        loops = [
            _Loop(j, g, f"{sample.id}/{counter_seed(self.seed, step, j, 1 + g)}", self._start(sample))
            for j, sample in zip(places, samples, strict=True)
            for g in range(self.group_size)
        ]
        turn = 0
        while live := [loop for loop in loops if not loop.state.over]:
            with clock("rollout"):
                self._answer(live, step, places[0] - places[0] % self.units_per_step, turn)
            with clock("reward"):
                texts = [loop.answers[-1][2].text for loop in live]
                after = self.loop.play([loop.state for loop in live], texts, [loop.id for loop in live])
                if len(after) != len(live):
                    raise RunFailed(f"step {step}: {len(live)} loops went on and {len(after)} came back")
                for loop, state in zip(live, after, strict=True):
                    loop.state = state
            turn += 1
        with clock("reward"):
            return self._groups(places, samples, loops)

    def _start(self, sample: EditSample) -> LoopState:
        if sample.image is None:
            raise BadInput(f"sample {sample.id!r} has no picture; a closed loop is trained on pictures")
        plain = EditSample(sample.id, sample.request, sample.gold, sample.kind, sample.history, sample.image)
        return LoopState(plain, (to_rgb(sample.image),), self.loop.max_calls)

    def _answer(self, live: Sequence[_Loop], step: int, first: int, turn: int) -> None:
        """One more answer in each of these loops. `first`: the place at which this draw of the step's units began."""
        by_state: dict[tuple[int, str, tuple[str, ...]], list[_Loop]] = {}
        for loop in live:
            state = (loop.place, digest(loop.state.picture), loop.state.steps)
            by_state.setdefault(state, []).append(loop)
        alike = list(by_state.values())
        requests = [self.loop.to_request(loops[0].state.now, loops[0].state.steps) for loops in alike]
        prompts = self.encode(requests)
        seed = counter_seed(self.seed, step, first, 0, turn)
        if turn == 0:  # the whole group stands at the given picture
            rows = tuple(loops[0].place % self.units_per_step for loops in alike)
            sampling = Sampling(self.max_new_tokens, self.temperature, seed=seed, rows=rows)
            answers = self.backend.generate(requests, self.group_size, sampling)
        else:
            rows = tuple(
                loop.place % self.units_per_step * self.group_size + loop.g for loops in alike for loop in loops
            )
            sampling = Sampling(self.max_new_tokens, self.temperature, seed=seed, rows=rows)
            asked = [request for request, loops in zip(requests, alike, strict=True) for _ in loops]
            single = iter(self.backend.generate(asked, 1, sampling))
            answers = [[next(single)[0] for _ in loops] for loops in alike]
        for request, prompt, loops, texts in zip(requests, prompts, alike, answers, strict=True):
            for loop, completion in zip(loops, texts, strict=True):
                loop.answers.append((request, prompt, completion))

    def _groups(self, places: Sequence[int], samples: Sequence[EditSample], loops: Sequence[_Loop]) -> list[TextGroup]:
        pictures = [(loop.state.sample, picture) for loop in loops for picture in loop.state.pictures]
        scores = iter(self.loop.score([s for s, _ in pictures], [p for _, p in pictures]))
        rollouts: dict[int, list[list[TextRollout]]] = {j: [] for j in places}
        for loop in loops:
            rewards = step_rewards(loop.state.turns, [next(scores) for _ in loop.state.pictures], self.loop.call_cost)
            rollouts[loop.place].append(
                [TextRollout(*answer, reward) for answer, reward in zip(loop.answers, rewards, strict=True)]
            )
        groups = [text_group(j, sample, rollouts[j]) for j, sample in zip(places, samples, strict=True)]
        return [replace(g, credit_GK=returns_to_go(g.reward_GK, list(map(len, g.rollouts)))) for g in groups]


__all__ = ["LoopSampler", "LoopTools", "Play", "Score", "StepRequest"]
