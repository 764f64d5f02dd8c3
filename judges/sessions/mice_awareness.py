"""GA of MICE-Bench: whether every turn so far was done as the whole session means it (Edit-R2, arXiv 2606.05950).

A model sees the first picture and every result until this turn, with all instructions in order, judges one turn after the other,
and stops at the first that fails: GA of a turn is 1 only where all turns up to it succeed. The score is the mean over votes, four
at temperature .6.

    cm   a turn succeeds where its instruction is followed and the rule of the first instruction holds on what this turn added or
         changed, and on nothing else; removals are exempt; a tint over the whole picture does not meet a rule
    cu   a turn succeeds where the object that is meant (the formatted instruction names it) is the one that was edited, and the
         instruction is followed

The prompts are in our own words and in English (judges/prompts/mice_aware_*.txt; published: Chinese, yuxiaooye/Edit-R2@1c549f1).
As published, a reply without a final answer that can be read counts 0, and so does one that was cut off before it. What differs: a
call that fails makes the turn's verdict invalid; there it is "no".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from PIL import Image

from judges.sessions.mice_turn import Turn

CM, CU = "cm", "cu"  # content memory: a lasting rule; content understanding: pronouns
PROMPTS: Mapping[str, tuple[str, ...]] = {f"mice_aware_{category}": ("turns",) for category in (CM, CU)}
_FINAL = re.compile(r"<answer_final>\s*(yes|no)\s*</answer_final>", re.IGNORECASE)


def category_of(turn: Turn) -> str:
    """Of the session: its turns' `kind`; sessions of other benchmarks are cm where they have a rule, else cu."""
    session = turn.played.session
    kind = session.turns[0].kind
    return kind if kind in (CM, CU) else CM if session.rule else CU


def pictures_so_far(turn: Turn) -> tuple[Image.Image, ...]:
    """The first picture and every result until this turn, in order."""
    return (turn.first, *turn.played.pictures[: turn.number + 1])


def turns_so_far(turn: Turn) -> str:
    """The instructions until this turn, as the prompts list them."""
    lines = []
    for k, sample in enumerate(turn.played.session.turns[: turn.number + 1], 1):
        said = " ".join(sample.request.split())
        if category_of(turn) == CM:
            lines.append(f"Turn {k}: {said}")
        else:
            formatted = Turn(turn.played, k - 1).formatted
            lines.append(f"Turn {k}:\n  - as the editor was told: {said}\n  - what is meant: {formatted}")
    return "\n".join(lines)


def final_answer(reply: str) -> bool | None:
    """Whether all turns succeeded by the model's words; None where it gives no final answer. What it only thinks does not count."""
    match = _FINAL.search(reply.rpartition("</think>")[2])
    return None if match is None else match[1].lower() == "yes"


__all__ = ["CM", "CU", "PROMPTS", "category_of", "final_answer", "pictures_so_far", "turns_so_far"]
