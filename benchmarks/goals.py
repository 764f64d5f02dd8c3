"""Which actions need a goal, which have none and which may have one, and so which edits can be carried out.

A project choice: arXiv 2603.08059 scores the sets of actions, subjects and goals alone. Here an answer that cannot be carried
out is malformed (reward 0, no plan), since a policy that is paid for such answers learns to write them. This one rule is
read by the format (agents/plan.py) and with it by every reward, by the sequencer, by the data sets' gold and by the prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

from benchmarks.base import ACTIONS, NO_GOAL, Decomposition, Edit, says_no_goal
from benchmarks.wording import normalise


class Goal(Enum):
    """Whether an action goes with a goal."""

    NEEDED = "needed"
    OPTIONAL = "optional"
    ABSENT = "absent"


_EXCEPTIONS = {"remove": Goal.ABSENT, "add": Goal.OPTIONAL}  # all the others of ACTIONS need one
GOAL_OF: dict[str, Goal] = {action: _EXCEPTIONS.get(action, Goal.NEEDED) for action in ACTIONS}


def goal_of(action: str) -> Goal:
    """The rule for an action, in the form in which rewards compare actions; words outside of ACTIONS may have a goal."""
    return GOAL_OF.get(normalise(action), Goal.OPTIONAL)


def fault_of_edit(edit: Edit) -> str:
    """Why this edit cannot be carried out, or "" where it can."""
    match goal_of(edit.action), says_no_goal(edit.goal):
        case Goal.NEEDED, True:
            return f"{edit.action!r} of {edit.subject!r} needs a goal and has none"
        case Goal.ABSENT, False:
            return f"{edit.action!r} of {edit.subject!r} has the goal {edit.goal!r}, but this action has none"
    return ""


def fault(edits: Iterable[Edit]) -> str:
    """The first of the edits' faults, or "" where all can be carried out."""
    return next(filter(None, map(fault_of_edit, edits)), "")


def fault_of(decomposition: Decomposition) -> str:
    """Why this decomposition cannot be carried out, or "" where it can."""
    if decomposition.edits is None:
        counts = ((len(decomposition.actions), "actions"), (len(decomposition.subjects), "subjects"))
        listed = ", ".join(f"{n} {name}" for n, name in (*counts, (len(decomposition.goals), "goals")))
        return f"the three lists differ in length ({listed})"
    return fault(decomposition.edits)


def goal_sentence(
    actions: Iterable[str] = ACTIONS, absent: str = NO_GOAL, rule: Callable[[str], Goal] = goal_of
) -> str:
    """The rule for these actions in words, for a prompt; `absent` is how a missing goal is written there."""
    named = tuple(actions)
    needed, optional, never = (
        ", ".join(a for a in named if rule(a) is goal) for goal in (Goal.NEEDED, Goal.OPTIONAL, Goal.ABSENT)
    )
    parts = (
        f"Always give a goal for these actions: {needed}." * bool(needed),
        f"With or without one: {optional}." * bool(optional),
        f"Always {absent} for: {never}." * bool(never),
    )
    return " ".join(filter(None, parts))


__all__ = ["GOAL_OF", "Goal", "fault", "fault_of", "fault_of_edit", "goal_of", "goal_sentence"]
