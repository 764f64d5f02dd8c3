"""Which sequences pass through the model together. The split changes time and memory, never the update."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from agents.backends.vlm import EncodedPrompt


class Answered(Protocol):
    """A prompt (the same object for all answers to it) and one answer's tokens."""

    @property
    def prompt(self) -> EncodedPrompt: ...

    @property
    def token_ids(self) -> Sequence[int]: ...


T = TypeVar("T", bound=Answered)


def micro_batches(items: Sequence[T], size: int, tokens: int = 0, shared_prefix: bool = True) -> list[list[T]]:
    """Cut a batch into pieces of at most `size` sequences and (where not 0) at most `tokens` tokens, prompts included.

    With shared prefixes the answers to a prompt stay together where they fit, and a group that is cut is cut between its most
    different answers; tokens are counted as if no two answers began alike. Without, sequences of like length meet, and padding
    counts. One sequence that exceeds `tokens` alone still makes a piece.
    """
    if shared_prefix:
        return _packed(_by_prompt(items), size, tokens)
    return _padded(sorted(items, key=_length), size, tokens)


def _by_prompt(items: Iterable[T]) -> list[list[T]]:
    groups: dict[int, list[T]] = {}
    for item in items:
        groups.setdefault(id(item.prompt), []).append(item)
    return [sorted(group, key=lambda item: tuple(item.token_ids)) for group in groups.values()]


def _packed(groups: Sequence[list[T]], size: int, tokens: int) -> list[list[T]]:
    batches: list[list[T]] = []
    room_size = room_tokens = 0
    for group in groups:
        rest = group
        while rest:
            prompt = len(rest[0].prompt)
            costs = [len(item.token_ids) for item in rest]
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


def _padded(items: Sequence[T], size: int, tokens: int) -> list[list[T]]:
    """`items` by length, so that the last one of a piece is its width."""
    batches: list[list[T]] = []
    for item in items:
        full = not batches or len(batches[-1]) == size
        if full or (tokens and (len(batches[-1]) + 1) * _length(item) > tokens):
            batches.append([])
        batches[-1].append(item)
    return batches


def _length(item: Answered) -> int:
    return len(item.prompt) + len(item.token_ids)


__all__ = ["Answered", "micro_batches"]
