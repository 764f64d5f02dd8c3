"""Every completion is trained on exactly once, within the limits, and groups are not torn apart without need."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.microbatch import micro_batches


@dataclass(eq=False)
class Prompt:
    length: int

    def __len__(self) -> int:
        return self.length


@dataclass(eq=False)
class Answer:
    """What the packer looks at, and nothing else."""

    prompt: Prompt
    token_ids: tuple[int, ...]


def group(prompt: int, lengths: list[int]) -> list[Answer]:
    shared = Prompt(prompt)
    return [Answer(shared, (7,) * n) for n in lengths]


GROUPS = st.lists(
    st.builds(group, st.integers(1, 30), st.lists(st.integers(1, 20), min_size=1, max_size=6)), max_size=6
)


def cost(batch: list[Answer], shared: bool) -> int:
    lengths = [len(a.token_ids) for a in batch]
    if shared:
        return sum(lengths) + sum(len(p) for p in {id(a.prompt): a.prompt for a in batch}.values())
    return len(batch) * max(len(a.prompt) + n for a, n in zip(batch, lengths, strict=True))


@given(GROUPS, st.integers(1, 9), st.integers(0, 80), st.booleans())
def test_limits_hold_and_nothing_is_lost(groups: list[list[Answer]], size: int, tokens: int, shared: bool) -> None:
    items = [answer for group in groups for answer in group]
    batches = micro_batches(items, size, tokens, shared)
    assert sorted(id(a) for b in batches for a in b) == sorted(map(id, items))
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert not tokens or cost(batch, shared) <= tokens or len(batch) == 1


@given(GROUPS, st.integers(6, 9))
def test_a_group_that_fits_is_not_cut(groups: list[list[Answer]], size: int) -> None:
    batches = micro_batches([answer for group in groups for answer in group], size)
    assert all(sum(any(a.prompt is group[0].prompt for a in b) for b in batches) == 1 for group in groups)


@pytest.mark.parametrize("shared", [True, False])
def test_by_hand(shared: bool) -> None:
    a, b = group(10, [3, 1, 2]), group(4, [5, 5])
    names = {id(x): ("ab"[g is b], k) for g in (a, b) for k, x in enumerate(g)}
    items = [a[0], b[0], a[1], b[1], a[2]]
    cut = [[names[id(x)] for x in m] for m in micro_batches(items, 4, 0, shared)]
    if shared:
        assert cut == [[("a", 1), ("a", 2), ("a", 0)], [("b", 0), ("b", 1)]]
    else:  # by length: 9, 9, 11, 12, 13
        assert cut == [[("b", 0), ("b", 1), ("a", 1), ("a", 2)], [("a", 0)]]
    limited = micro_batches(items, 4, 13 if shared else 24, shared)  # 10 + 1 + 2; 2 x 9, 2 x 12
    assert [len(m) for m in limited] == ([2, 1, 1, 1] if shared else [2, 2, 1])
