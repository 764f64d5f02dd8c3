"""The numbers of results.json: all of them by dotted key, and the few that a list of runs shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

F1 = ("action", "subject", "goal")  # whose mean is the score of a decomposition
TEAM, EDITOR = "overall", "editor alone"
SHORT = {
    "rrm.pair_accuracy.gcpo": "pairs gcpo",
    "editor_rl.exact_overall.before": "edits before",
    "editor_rl.exact_overall.after": "edits after",
    "sessions.ga_last_turn.raw": "GA raw",
    "sessions.ga_last_turn.edit_r2": "GA edit_r2",
    "intent.cu_object": "cu object",
    "intent.cm_rule": "cm rule",
}
ALIASES = {short: key for key, short in SHORT.items()}


def numbers(results: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of nested dictionaries by its dotted key."""
    out: dict[str, float] = {}
    for key, value in results.items():
        if isinstance(value, Mapping):
            out |= numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            out[prefix + str(key)] = float(value)
    return out


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    """The run's key scores by a short name, in the order of columns: mean F1 before and after RL, overall of the team after RL
    and of the editor alone on the run's benchmark, and one or two numbers of each other job."""
    found = numbers(results)
    out = {
        name: sum(found[f"decomposition.{when}.{c}"] for c in F1) / len(F1)
        for when, name in (("before", "F1 before"), ("after", "F1 after"))
        if all(f"decomposition.{when}.{c}" in found for c in F1)
    }
    for arm, name in (("editor", EDITOR), ("agents_rl", TEAM)):
        by_benchmark = results.get("arms", {}).get(arm, {})
        own = [b for b in by_benchmark if not _beside(b, by_benchmark)]
        if own and f"arms.{arm}.{own[-1]}.overall" in found:
            out[name] = found[f"arms.{arm}.{own[-1]}.overall"]
    return out | {short: found[key] for key, short in SHORT.items() if key in found}


def _beside(benchmark: str, others: Iterable[str]) -> bool:
    """Whether these are the complex requests that are evaluated beside another benchmark."""
    return any(benchmark == f"{other}_complex" for other in others)


__all__ = ["headline", "numbers"]
