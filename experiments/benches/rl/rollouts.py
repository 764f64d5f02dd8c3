"""Rollouts of one engine against another's: the same prompts, weights, lengths and samples per prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agents.backends.base import Backend, ModelRequest, Sampling
from common.errors import RunFailed
from experiments.benches.rl.lockstep import in_turns, row, timed


def compare_rollouts(
    ours: Backend,
    peer: Backend,
    requests: Sequence[ModelRequest],
    n: int,
    tokens: int,
    repeats: int,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Tokens a second of both. Request objects are new in every call, so that nothing is remembered. Answers end where the
    model ends them: both sides draw from one distribution, so their lengths agree on average, and RunFailed is raised where
    they do not."""
    drawn: dict[int, list[int]] = {0: [], 1: []}

    def side(k: int, backend: Backend) -> Callable[[], float]:
        def work() -> None:
            fresh = [ModelRequest(r.text, r.images) for r in requests]
            rows = backend.generate(fresh, n, Sampling(tokens, seed=len(drawn[k])))
            drawn[k].append(sum(len(c.token_ids) for row_ in rows for c in row_))

        return timed(work)

    sides = [side(0, ours), side(1, peer)]
    for run in sides:
        run()  # warm
    times = in_turns(sides, repeats)
    mine, theirs = (sum(d[1:]) / repeats for d in drawn.values())
    if not 0.9 < mine / theirs < 1.1:
        raise RunFailed(f"{mine:.0f} tokens a call here and {theirs:.0f} at the peer: not the same work")
    say(f"  {len(requests)} prompts x {n}, at most {tokens} tokens: {mine:.0f} and {theirs:.0f} tokens a call")
    return row(times[0], times[1], "tokens/s", mine, theirs)


__all__ = ["compare_rollouts"]
