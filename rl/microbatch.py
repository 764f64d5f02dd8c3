"""Which completions pass through the model together. The split changes time and memory, never the update."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rl.rollouts import Group

Place = tuple[Group, int]  # completion g of a group


def micro_batches(places: Sequence[Place], size: int, tokens: int = 0, shared_prefix: bool = True) -> list[list[Place]]:
    """Cut a batch into pieces of at most `size` completions and (where not 0) at most `tokens` tokens, prompts included.

    With shared prefixes a group stays together where it fits, and a group that is cut is cut between its most different
    completions; tokens are counted as if no two completions began alike. Without, completions of like length meet, and
    padding counts. One completion that exceeds `tokens` alone still makes a piece.
    """
    if shared_prefix:
        return _packed(_groups(places), size, tokens)
    return _padded(sorted(places, key=_length), size, tokens)


def _groups(places: Iterable[Place]) -> list[list[Place]]:
    groups: dict[int, list[Place]] = {}
    for place in places:
        groups.setdefault(id(place[0]), []).append(place)
    return [sorted(g, key=lambda place: place[0].completions[place[1]].token_ids) for g in groups.values()]


def _packed(groups: Sequence[list[Place]], size: int, tokens: int) -> list[list[Place]]:
    batches: list[list[Place]] = []
    room_size = room_tokens = 0
    for group in groups:
        rest = group
        while rest:
            prompt = len(rest[0][0].prompt)
            costs = [len(p.completions[g].token_ids) for p, g in rest]
            if not (batches and len(rest) <= room_size and (not tokens or prompt + sum(costs) <= room_tokens)):
                batches.append([])
                room_size, room_tokens = size, tokens
            taken, used = 0, prompt
            while taken < min(len(rest), room_size) and (not tokens or not taken or used + costs[taken] <= room_tokens):
                used += costs[taken]
                taken += 1
            batches[-1] += rest[:taken]
            rest, room_size, room_tokens = rest[taken:], room_size - taken, room_tokens - used
    return batches


def _padded(places: Sequence[Place], size: int, tokens: int) -> list[list[Place]]:
    """`places` by length, so that the last one of a piece is its width."""
    batches: list[list[Place]] = []
    for place in places:
        full = not batches or len(batches[-1]) == size
        if full or (tokens and (len(batches[-1]) + 1) * _length(place) > tokens):
            batches.append([])
        batches[-1].append(place)
    return batches


def _length(place: Place) -> int:
    return len(place[0].prompt) + len(place[0].completions[place[1]].token_ids)


__all__ = ["Place", "micro_batches"]
