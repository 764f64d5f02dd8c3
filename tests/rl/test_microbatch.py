"""Every completion is trained on exactly once, within the limits, and groups are not torn apart without need."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.backends.base import Completion
from rl.microbatch import micro_batches


@dataclass(eq=False)
class FakeGroup:
    """What the packer looks at, and nothing else."""

    prompt: str
    completions: list[Completion] = field(default_factory=list)


def group(prompt: int, lengths: list[int]) -> FakeGroup:
    return FakeGroup("x" * prompt, [Completion((7,) * n, (0.0,) * n, "", "stop") for n in lengths])


GROUPS = st.lists(
    st.builds(group, st.integers(1, 30), st.lists(st.integers(1, 20), min_size=1, max_size=6)), max_size=6
)


def cost(batch: list, shared: bool) -> int:
    lengths = [len(p.completions[g].token_ids) for p, g in batch]
    if shared:
        return sum(lengths) + sum(len(p) for p in {id(p): p.prompt for p, _ in batch}.values())
    return len(batch) * max(len(p.prompt) + n for (p, _), n in zip(batch, lengths, strict=True))


@given(GROUPS, st.integers(1, 9), st.integers(0, 80), st.booleans())
def test_limits_hold_and_nothing_is_lost(groups: list[FakeGroup], size: int, tokens: int, shared: bool) -> None:
    places = [(p, g) for p in groups for g in range(len(p.completions))]
    batches = micro_batches(places, size, tokens, shared)
    assert sorted((id(p), g) for b in batches for p, g in b) == sorted((id(p), g) for p, g in places)
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert not tokens or cost(batch, shared) <= tokens or len(batch) == 1


@given(GROUPS, st.integers(6, 9))
def test_a_group_that_fits_is_not_cut(groups: list[FakeGroup], size: int) -> None:
    places = [(p, g) for p in groups for g in range(len(p.completions))]
    batches = micro_batches(places, size)
    assert all(sum(any(q is p for q, _ in b) for b in batches) == 1 for p in groups)


@pytest.mark.parametrize("shared", [True, False])
def test_by_hand(shared: bool) -> None:
    a, b = group(10, [3, 1, 2]), group(4, [5, 5])
    places = [(a, 0), (b, 0), (a, 1), (b, 1), (a, 2)]
    found = [[("ab"[p is b], g) for p, g in m] for m in micro_batches(places, 4, 0, shared)]
    if shared:
        assert found == [[("a", 1), ("a", 2), ("a", 0)], [("b", 0), ("b", 1)]]
    else:  # by length: 9, 9, 11, 12, 13
        assert found == [[("b", 0), ("b", 1), ("a", 1), ("a", 2)], [("a", 0)]]
    cut = micro_batches(places, 4, 13 if shared else 24, shared)  # 10 + 1 + 2; 2 x 9, 2 x 12
    assert [len(m) for m in cut] == ([2, 1, 1, 1] if shared else [2, 2, 1])
