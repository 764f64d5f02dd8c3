"""What the arms, the moments and the components of an evaluation are called: in rows, in results.json, in tables and figures."""

from __future__ import annotations

ARMS = ("editor", "agents", "agents_rl")
CALLS = "editor_calls"  # the editor alone with as many calls as the team; the two derived arms are made of it
EXTRA_ARMS = ("editor_chance", "editor_best")
SHOWN = (ARMS[0], *EXTRA_ARMS, *ARMS[1:])  # the order of tables and plots
COMPLEX = "complex"  # the split of complex requests, beside the mixed ones
WHEN = ("before", "after")  # RL
COMPONENTS = ("format", "action", "subject", "goal", "linked")
EXACT = "exact"  # whether all triples are right: beside COMPONENTS, whose F1 it is not
MEAN_OF = ("action", "subject", "goal")  # the headline number of a decomposition is the mean of their F1
ARM_NAMES = {
    "editor": "editor alone",
    "editor_chance": "editor alone, k calls, by chance",
    "editor_best": "editor alone, k calls, best by the judge",
    "agents": "team before RL",
    "agents_rl": "team after RL",
}


def complex_place(place: str) -> str:
    """The folder and column of the complex requests beside those of the benchmark `place`."""
    return f"{place}_{COMPLEX}"


def arm_order(arm: str) -> tuple[bool, str, int, str]:
    """A sort key: the order of the paper's table for each label (editor alone, team before RL, team after RL), then pictures
    that were edited elsewhere."""
    label, _, kind = arm.rpartition("/")
    return (kind not in SHOWN, label, SHOWN.index(kind) if kind in SHOWN else 0, arm)


def arm_name(arm: str) -> str:
    """The name that a table shows; a label comes first."""
    label, _, kind = arm.rpartition("/")
    shown = ARM_NAMES.get(kind, kind)
    return f"{label}: {shown}" if label else shown


__all__ = [
    "ARMS",
    "ARM_NAMES",
    "CALLS",
    "COMPLEX",
    "COMPONENTS",
    "EXACT",
    "EXTRA_ARMS",
    "MEAN_OF",
    "SHOWN",
    "WHEN",
    "arm_name",
    "arm_order",
    "complex_place",
]
