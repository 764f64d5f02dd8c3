"""Rollouts of editing sessions (arXiv 2606.05950): G trajectories of each session, turn by turn.

In every turn but the first the language model writes an intent from the session's history and the trajectory's own picture; the
editor carries it out; its picture is what the next turn starts from. All trajectories of all sessions go through a turn together.
Everything random comes from (seed, step, place, trajectory, turn).

Suffixes: G trajectories, K turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from PIL import Image

from agents.backends.base import Backend, Completion, ModelRequest, Sampling
from agents.backends.vlm import EncodedPrompt
from agents.intent import Intent, read_intent
from benchmarks.base import EditSample, EditSession
from common.errors import BadInput, RunFailed
from common.pictures import to_rgb
from rl.clock import Clock
from rl.flow_edits import EditDrawer, EditRequest
from rl.flow_rollouts import FlowRollout
from rl.reward_values import RewardLike, finite, mean_std
from rl.rollouts import Group, counter_seed
from rl.text_rollouts import Encode, TextRollout, ToRequest

FOLLOWS = "if"  # the component of a turn's reward that is instruction following
# sessions with the pictures after each of their turns -> for each session a reward of each turn
SessionReward: TypeAlias = Callable[
    [Sequence[EditSession], Sequence[Sequence[Image.Image]]], Sequence[Sequence[RewardLike]]
]


@dataclass(frozen=True, eq=False)
class TurnRollout:
    """One turn of one trajectory. `text` is None where no intent was asked for. `corrupted`: an earlier turn of the trajectory
    was not followed at all, so that this one starts from a wrong picture."""

    intent: Intent
    text: TextRollout | None
    edit: FlowRollout
    reward: RewardLike
    corrupted: bool


SessionGroup: TypeAlias = Group[TurnRollout]


@dataclass(frozen=True, kw_only=True)
class IntentSampler:
    """What draws intents. `encode` is that of the backend's model."""

    backend: Backend
    encode: Encode
    to_request: ToRequest
    max_new_tokens: int
    temperature: float


@dataclass(eq=False)
class _Play:
    """A trajectory under way."""

    session: EditSession
    place: int
    g: int
    pictures: list[Image.Image]  # the given one, and the one after each turn
    turns: list[tuple[Intent, tuple[ModelRequest, EncodedPrompt, Completion] | None, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SessionSampler:
    """`rl.rollouts.Sampler` of sessions. `writer` None: what the user says goes to the editor as it is. `noisy`: which denoising
    steps have noise at a step of training. `sessions(step, j)` must be a pure function.

    Raises BadInput for a session without a picture, RunFailed where the reward does not give one value for each turn.
    """

    writer: IntentSampler | None
    drawer: EditDrawer
    sessions: Callable[[int, int], EditSession]
    reward: SessionReward
    noisy: Callable[[int], range]
    units_per_step: int
    group_size: int
    seed: int
    same_noise: bool = True

    def prepare(self, step: int) -> None:
        """Sessions are a function of the step: there is nothing to decide."""

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[SessionGroup]:
        rollouts = iter(self.play(step, [(j, g) for j in places for g in range(self.group_size)], clock))
        return [
            session_group(j, self.sessions(step, j), [next(rollouts) for _ in range(self.group_size)]) for j in places
        ]

    def play(self, step: int, members: Sequence[tuple[int, int]], clock: Clock) -> list[list[TurnRollout]]:
        """The turns of these trajectories, (place, number in the group) each, which do not depend on the others (but for
        rounding)."""
        sessions = {j: self.sessions(step, j) for j, _ in members}
        pictures = {
            j: given(session) for j, session in sessions.items()
        }  # one object for all trajectories of a session
        plays = [_Play(sessions[j], j, g, [pictures[j]]) for j, g in members]
        with clock("rollout"):
            for k in range(max(len(s.turns) for s in sessions.values())):
                self._turn(step, k, [p for p in plays if k < len(p.session.turns)])
        with clock("reward"):
            rewards = self.reward([p.session for p in plays], [p.pictures[1:] for p in plays])
        if [len(own) for own in rewards] != [len(p.turns) for p in plays]:
            raise RunFailed(f"step {step}: the reward did not give one value for each turn of {len(plays)} sessions")
        return [played(p, own) for p, own in zip(plays, rewards, strict=True)]

    def _turn(self, step: int, k: int, plays: Sequence[_Play]) -> None:
        """Turn k of these trajectories."""
        written = self._intents(step, k, plays)
        requests = []
        for play, (intent, _) in zip(plays, written, strict=True):
            seed = counter_seed(self.seed, step, play.place, 1 + play.g, k)
            start = counter_seed(self.seed, step, play.place, 0, k) if self.same_noise else counter_seed(seed, 0)
            requests.append(EditRequest(play.pictures[-1], intent.instruction, seed, start))
        edits = self.drawer.draw(requests, self.noisy(step))
        for play, (intent, answer), edit in zip(plays, written, edits, strict=True):
            play.turns.append((intent, answer, edit))
            play.pictures.append(edit.picture)

    def _intents(
        self, step: int, k: int, plays: Sequence[_Play]
    ) -> list[tuple[Intent, tuple[ModelRequest, EncodedPrompt, Completion] | None]]:
        samples = [turn_sample(play.session, k, play.pictures[-1]) for play in plays]
        if self.writer is None or k == 0:
            return [(Intent("", sample.request), None) for sample in samples]
        requests = [self.writer.to_request(sample) for sample in samples]
        prompts = self.writer.encode(requests)
        first = plays[0].place - plays[0].place % self.units_per_step
        rows = tuple(p.place % self.units_per_step * self.group_size + p.g for p in plays)
        sampling = Sampling(
            self.writer.max_new_tokens,
            self.writer.temperature,
            seed=counter_seed(self.seed, step, first, 0, k),
            rows=rows,
        )
        answers = self.writer.backend.generate(requests, 1, sampling)
        return [
            (read_intent(completion.text, sample.request), (request, prompt, completion))
            for sample, request, prompt, (completion,) in zip(samples, requests, prompts, answers, strict=True)
        ]


def given(session: EditSession) -> Image.Image:
    """The picture that a session starts from, RGB. Raises BadInput where there is none."""
    image = session.turns[0].image
    if image is None:
        raise BadInput(f"session {session.id} has no picture; choose a benchmark with pictures")
    return to_rgb(image)


def turn_sample(session: EditSession, k: int, picture: Image.Image) -> EditSample:
    """Turn k as the intent writer sees it: the session's earlier requests as the user said them, and the picture as it is now."""
    turn = session.turns[k]
    history = tuple(t.request for t in session.turns[:k])
    return EditSample(turn.id, turn.request, (), turn.kind, history, picture)


def played(play: _Play, rewards: Sequence[RewardLike]) -> list[TurnRollout]:
    """A trajectory with its rewards."""
    out: list[TurnRollout] = []
    failed = False
    for (intent, answer, edit), reward in zip(play.turns, rewards, strict=True):
        text = None if answer is None else TextRollout(*answer, reward)
        rollout = FlowRollout(intent.instruction, edit.shape, edit.trajectory, edit.picture, reward)
        out.append(TurnRollout(intent, text, rollout, reward, failed))
        failed = failed or reward.components.get(FOLLOWS) == 0
    return out


def session_group(place: int, session: EditSession, rollouts: list[list[TurnRollout]]) -> SessionGroup:
    """G trajectories. A reward that could not be computed is NaN."""
    totals = [[math.nan if r.reward.total is None else float(r.reward.total) for r in turns] for turns in rollouts]
    return Group(place, session, rollouts, torch.tensor(totals, dtype=torch.float64))


def session_rows(group: SessionGroup, advantage: Callable[[TurnRollout], float], step: int) -> list[dict[str, Any]]:
    """One JSON row per turn and trajectory, for samples.jsonl and the step's metrics."""
    return [
        {
            "step": step,
            "session": group.unit.id,
            "j": group.place,
            "g": g,
            "turn": k + 1,
            "request": group.unit.turns[k].request,
            "text": r.intent.text,
            "instruction": r.intent.instruction,
            "fallback": r.intent.fallback,
            "tokens": 0 if r.text is None else len(r.text.token_ids),
            "reward": finite(r.reward.total),
            "components": {name: finite(v) for name, v in r.reward.components.items()},
            "corrupted": r.corrupted,
            "advantage": advantage(r),
        }
        for g, turns in enumerate(group.rollouts)
        for k, r in enumerate(turns)
    ]


def describe_sessions(rows: Sequence[Mapping[str, Any]], no_spread: Sequence[bool]) -> dict[str, float]:
    """Metrics of all turns of a step: rewards and components over all turns and by turn, fallbacks, corrupted turns."""
    out = mean_std("reward", [r["reward"] for r in rows])
    names = sorted({name for r in rows for name in r["components"]})
    for name in names:
        out |= mean_std(f"reward/{name}", [r["components"].get(name) for r in rows])
    for turn in sorted({r["turn"] for r in rows}):
        own = [r for r in rows if r["turn"] == turn]
        for name in names:
            means = mean_std("turn", [r["components"].get(name) for r in own])
            out |= {f"turn_{turn}/{name}": means["turn/mean"]} if means else {}
    asked = [r for r in rows if r["text"]]
    later = [r for r in rows if r["turn"] > 1]
    return out | {
        "groups/drawn": float(len(no_spread)),
        "groups/no_spread": sum(no_spread) / max(1, len(no_spread)),
        "reward/missing": sum(r["reward"] is None for r in rows) / max(1, len(rows)),
        "intents/fallback": sum(bool(r["fallback"]) for r in asked) / max(1, len(asked)),
        "intents/tokens": sum(r["tokens"] for r in asked) / max(1, len(asked)),
        "turns/corrupted": sum(r["corrupted"] for r in later) / max(1, len(later)),
    }


__all__ = [
    "FOLLOWS",
    "IntentSampler",
    "SessionGroup",
    "SessionReward",
    "SessionSampler",
    "TurnRollout",
    "describe_sessions",
    "given",
    "session_group",
    "session_rows",
    "turn_sample",
]
