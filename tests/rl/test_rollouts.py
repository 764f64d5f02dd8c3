"""Units are never split: not over ranks, not by dynamic sampling, whether they are samples, pairs or sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch

from rl.clock import Clock
from rl.rollouts import Collector, Group, counter_seed

NAN = float("nan")
PLACES = {"sample": 1, "pair": 2, "session": 3}  # K of each kind of unit


@dataclass
class Units:
    """G=4 rollouts at each of K places of a unit; units of `flat` have the same reward everywhere."""

    K: int
    flat: tuple[int, ...] = ()
    asked: list[int] = field(default_factory=list)

    def prepare(self, step: int) -> None:
        pass

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[Group[str]]:
        self.asked += places
        return [self.unit(step, j) for j in places]

    def unit(self, step: int, j: int) -> Group[str]:
        reward = torch.rand(
            4, self.K, generator=torch.Generator().manual_seed(counter_seed(step, j)), dtype=torch.float64
        )
        if j in self.flat:
            reward = torch.full_like(reward, 0.5)
        names = [[f"{step}/{j}/{g}/{k}" for k in range(self.K)] for g in range(4)]
        return Group(j, f"{step}/{j}", names, reward)


@pytest.mark.parametrize("K", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_whole_units(K: int, ranks: int) -> None:
    alone, _ = Collector(Units(K), 6).collect(3, Clock())
    shares = [Collector(Units(K), 6, rank=r, world_size=ranks).collect(3, Clock())[0] for r in range(ranks)]
    assert [g.place for g in alone] == list(range(6))
    together = sorted((g for share in shares for g in share), key=lambda g: g.place)
    for one, other in zip(alone, together, strict=True):
        assert one.unit == other.unit and one.rollouts == other.rollouts and torch.equal(one.reward_GK, other.reward_GK)
        assert len(other.rollouts) == 4 and all(len(row) == K for row in other.rollouts)


@pytest.mark.parametrize("K", PLACES.values(), ids=PLACES)
def test_dynamic_sampling_replaces_whole_units(K: int) -> None:
    sampler = Units(K, flat=(1, 2, 4, 6))
    groups, drawn = Collector(sampler, 4, tries=3).collect(0, Clock())
    # 0..3 are drawn first; 4 and 5 in place of 1 and 2; then 8 in place of 4
    assert sampler.asked == [0, 1, 2, 3, 4, 5, 8] == [g.place for g in drawn]
    assert [g.place for g in groups] == [0, 3, 5, 8]
    assert all(len(row) == K for g in groups for row in g.rollouts)


def test_tries_are_bounded_and_the_first_units_fill_up() -> None:
    sampler = Units(2, flat=tuple(range(100)))
    groups, drawn = Collector(sampler, 3, tries=2).collect(0, Clock())
    assert [g.place for g in groups] == [0, 1, 2] and len(drawn) == 6


@pytest.mark.parametrize(
    ("reward_GK", "teaches"),
    [
        ([[0.5, 0.5], [0.5, 0.5]], False),
        ([[0.5, 0.1], [0.5, 0.9]], True),  # one place is enough
        ([[0.1, 0.9], [0.1, 0.9]], False),  # places are not compared with each other
        ([[NAN, 0.5], [0.3, 0.5]], False),
        ([[NAN, NAN], [NAN, NAN]], False),
    ],
)
def test_a_unit_teaches_where_rewards_of_one_place_differ(reward_GK: list[list[float]], teaches: bool) -> None:
    assert Group(0, None, [["", ""]] * 2, torch.tensor(reward_GK)).differs == teaches
