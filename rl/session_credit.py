"""From the rewards of sessions to the advantages of their turns (arXiv 2606.05950), and which turns are left out.

Suffixes: G trajectories of a session, K turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rl.advantages import group_advantages
from rl.credit import CreditedRollout, stacked
from rl.flow_credit import CreditedEdit
from rl.loop import Ranks
from rl.session_config import SessionRLConfig
from rl.session_rollouts import SessionGroup, TurnRollout


@dataclass(frozen=True, eq=False)
class CreditedTurn:
    """A turn with its advantage. `present`: its reward could be computed. `text_counts`, `edit_counts`: whether the filter leaves
    it in either loss. What is left out has no gradient (of a KL term neither) and still counts in the mean, as where the published
    code multiplies its loss by 0."""

    rollout: TurnRollout
    advantage: float
    present: bool
    text_counts: bool
    edit_counts: bool
    place: int
    number: int  # of the trajectory in its group

    def answer(self) -> CreditedRollout | None:
        """The intent, where there is one."""
        return None if self.rollout.text is None else CreditedRollout(self.rollout.text, self.advantage, self.present)

    def edit(self, clip: float) -> CreditedEdit:
        """The edit, its advantage cut to +-`clip`."""
        advantage = max(-clip, min(clip, self.advantage))
        return CreditedEdit(self.rollout.edit, advantage, self.present, self.place, self.number)


def session_advantages(rewards: Sequence[Tensor], baseline: str, scale: str, eps: float) -> list[tuple[Tensor, Tensor]]:
    """From the rewards [G, K] of sessions their advantages [G, K], and whether each is there.

    What a turn's reward is compared with is its `baseline`. "pooled": the mean over all G x K of its session, as the authors' code
    does it; "turn": over the G of the same turn; "trajectory": the trajectory's mean reward is compared with that of the other
    ones, and all its turns get the result (MT-EditFlow, arXiv 2606.01985). The `scale` is that of `group_advantages`. A missing
    reward (NaN) takes no part.
    """
    if baseline == "pooled":
        rows = [r.reshape(1, -1) for r in rewards]
    elif baseline == "turn":
        rows = [r.T for r in rewards]
    else:
        rows = [r.nanmean(1)[None] for r in rewards]
    found = group_advantages(stacked(rows), scale, eps)
    out: list[tuple[Tensor, Tensor]] = []
    first = 0
    for reward_GK, own in zip(rewards, rows, strict=True):
        part = slice(first, first + len(own))
        first += len(own)
        values = found.advantage_PG[part, : own.shape[1]]
        if baseline == "pooled":
            values = values.reshape(reward_GK.shape)
        elif baseline == "turn":
            values = values.T
        else:
            values = values.T.expand(reward_GK.shape)
        present = ~reward_GK.isnan()
        out.append((torch.where(present, values, 0.0), present))
    return out


def credit_turns(groups: Sequence[SessionGroup], ranks: Ranks, config: SessionRLConfig) -> list[CreditedTurn]:
    """The turns of this rank's groups, in order. Every rank must call it: deviations are those of all ranks' rewards."""
    parts = ranks.all_gather([g.reward_GK for g in groups])
    first = sum(map(len, parts[: ranks.rank]))
    rewards = [reward_GK for part in parts for reward_GK in part]
    found = session_advantages(rewards, config.baseline, config.advantage_scale, config.advantage_eps)
    turns: list[CreditedTurn] = []
    for group, (advantage_GK, present_GK) in zip(groups, found[first : first + len(groups)], strict=True):
        for g, own in enumerate(group.rollouts):
            for k, rollout in enumerate(own):
                left_out = rollout.corrupted and config.filter != "none"
                turns.append(
                    CreditedTurn(
                        rollout,
                        float(advantage_GK[g, k]),
                        bool(present_GK[g, k]),
                        text_counts=not (left_out and config.filter == "published"),
                        edit_counts=not left_out,
                        place=group.place,
                        number=g,
                    )
                )
    return turns


def corrupted_shares(turns: Sequence[CreditedTurn]) -> dict[str, tuple[float, float]]:
    """For both losses the sum of |advantage| over corrupted turns, and over all turns: of what is trained, and of what would be
    without the filter."""
    sums: dict[str, tuple[float, float]] = {}
    sides = {
        "edit": [(t, t.edit_counts) for t in turns],
        "text": [(t, t.text_counts) for t in turns if t.rollout.text is not None],
    }
    for side, own in sides.items():
        for name, kept in ((side, [t for t, counts in own if counts]), (f"{side}_unfiltered", [t for t, _ in own])):
            corrupted = sum(abs(t.advantage) for t in kept if t.rollout.corrupted)
            sums[name] = (corrupted, sum(abs(t.advantage) for t in kept))
    return sums


__all__ = ["CreditedTurn", "corrupted_shares", "credit_turns", "session_advantages"]
