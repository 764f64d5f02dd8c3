"""The rollouts of a step, in units that are never split over ranks: a sample, a preference pair, a session, a closed loop.

A unit has K places (a sample 1, a pair 2, a session or a loop its turns) with G rollouts each. Units whose rewards do not differ
may be replaced by others (dynamic sampling, DAPO, arXiv 2503.14476 section 3.2): always whole ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from rl.advantages import group_advantages
from rl.clock import Clock

R = TypeVar("R")


@dataclass(frozen=True)
class Group(Generic[R]):
    """The rollouts of one unit. `place` is its number among the units of the step; reward_GK is NaN where a reward could not be
    computed; `rollouts[g][k]` is what reward_GK[g, k] was given for. Rollouts of a closed loop have different numbers of turns:
    where there is no turn k, reward_GK is NaN.

    credit_GK: what advantages are made of where that is not the reward of a place alone (a loop's returns-to-go)."""

    place: int
    unit: Any
    rollouts: list[list[R]]
    reward_GK: Tensor
    credit_GK: Tensor | None = None
    sides: tuple[str, ...] = ()  # the names of a unit's places, where they are no turns

    @property
    def signal_GK(self) -> Tensor:
        """What advantages are made of, place by place."""
        return self.reward_GK if self.credit_GK is None else self.credit_GK

    @property
    def differs(self) -> bool:
        """Whether what advantages are made of differs at any of its places, so that it teaches something."""
        return bool(group_advantages(self.signal_GK.T).spread_P.any())


class Sampler(Protocol[R]):
    def prepare(self, step: int) -> None:
        """Decide on the units of a step. Called before it is drawn, in the order of the steps, by the training thread."""
        ...

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[Group[R]]:
        """The units of these places of a step with their rollouts and rewards: a function of its arguments and of the weights."""
        ...


@dataclass(frozen=True)
class Collector(Generic[R]):
    """Draws this rank's share of a step: units `rank`, `rank + world_size`, ... of `units_per_step`."""

    sampler: Sampler[R]
    units_per_step: int
    tries: int = 1  # draws of a step under dynamic sampling, the first included; 1: no dynamic sampling
    rank: int = 0
    world_size: int = 1

    def collect(self, step: int, clock: Clock) -> tuple[list[Group[R]], list[Group[R]]]:
        """(groups to train on, all groups drawn). With several tries units whose rewards do not differ are replaced by fresh ones
        while tries last; what is then still short is filled with the first ones drawn."""
        slots = range(self.rank, self.units_per_step, self.world_size)
        chosen: list[Group[R]] = []
        drawn: list[Group[R]] = []
        for attempt in range(self.tries):
            short = len(slots) - len(chosen)
            groups = self.sampler.draw(step, [attempt * self.units_per_step + s for s in slots[:short]], clock)
            drawn += groups
            chosen += [g for g in groups if self.tries == 1 or g.differs]
            if len(chosen) == len(slots):
                break
        spare = [g for g in drawn if self.tries > 1 and not g.differs]
        return chosen + spare[: len(slots) - len(chosen)], drawn


def counter_seed(*counters: int) -> int:
    """A 63-bit seed from counters: batch = f(seed, step), so there is no sampler state to save or to repeat."""
    return int.from_bytes(hashlib.blake2b(repr(counters).encode(), digest_size=8).digest(), "big") >> 1


__all__ = ["Collector", "Group", "Sampler", "counter_seed"]
