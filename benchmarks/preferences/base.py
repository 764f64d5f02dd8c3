"""What preference data is: edits of one request, and what people said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.item import Card, Item, Opens

A, B, TIE, TIE_GOOD, TIE_BAD = "a", "b", "tie", "tie_good", "tie_bad"
LABELS = (A, B, TIE, TIE_GOOD, TIE_BAD)
TIES = (TIE, TIE_GOOD, TIE_BAD)
SWAPPED = {A: B, B: A}

# How a set counts a comparison as right; the formulas are in judges/agreement.py.
GROUPS = "groups"  # TIGER-Lab/EditReward-Bench: all comparisons of a group
STRICT = "strict"  # EditScore/EditReward-Bench: the preferred edit scores strictly higher, unweighted over task types
FOUR_WAY = "four_way"  # GenAI-Bench: the label, ties told apart where the judge does
RATINGS = "ratings"  # ImagenHub: rank correlation with ratings, per model
DIMENSIONS = "dimensions"  # EditReward-Compass: the label, ties among them, per dimension
PAIRS = "pairs"  # a CSV, MMRB2: the label, ties among them
RULES = (GROUPS, STRICT, FOUR_WAY, RATINGS, DIMENSIONS, PAIRS)


@dataclass(frozen=True)
class EditCandidate:
    """One edited picture. `key` is unique in its set: the same edit in several comparisons is judged once."""

    key: str
    picture: Opens | None = field(default=None, compare=False, repr=False)  # None where only scores are known
    model: str = ""  # that made it, where published
    score: float | None = None  # a judge's, where the data carries it
    ratings: tuple[tuple[float, ...], ...] = ()  # per rater, each a tuple in the order of the set's aspects


@dataclass(frozen=True)
class PreferencePair:
    """Two candidates, by their number in the group, and which one people prefer: a, b, tie, tie_good or tie_bad."""

    a: int
    b: int
    human: str
    votes: tuple[str, ...] = ()  # of each rater, where published


@dataclass(frozen=True)
class PreferenceGroup:
    """Edits of one request. `aspect` names the score that the human labels are about. Groups with the same
    `cluster` share a request and are drawn together when an interval is made."""

    id: str
    item: Item
    candidates: tuple[EditCandidate, ...]
    comparisons: tuple[PreferencePair, ...] = ()
    kind: str = ""
    aspect: str = "overall"
    cluster: str = ""


@dataclass(frozen=True)
class PreferenceSet:
    card: Card
    groups: tuple[PreferenceGroup, ...]
    rule: str
    aspects: tuple[str, ...] = ()  # of candidates' ratings
    notes: tuple[str, ...] = ()  # of this reading: what was left out and why
    labels: str = "people"  # who said which edit is better

    @property
    def candidates(self) -> dict[str, tuple[PreferenceGroup, EditCandidate]]:
        """Every edit once, by its key, in a fixed order."""
        out: dict[str, tuple[PreferenceGroup, EditCandidate]] = {}
        for group in self.groups:
            for candidate in group.candidates:
                out.setdefault(candidate.key, (group, candidate))
        return out


def majority(votes: Sequence[str]) -> str:
    """The label that more than half of the raters gave, else a tie: nobody's preference prevailed."""
    if not votes:
        return TIE
    label, count = Counter(votes).most_common(1)[0]
    return label if 2 * count > len(votes) else TIE


__all__ = [
    "A",
    "B",
    "DIMENSIONS",
    "FOUR_WAY",
    "GROUPS",
    "LABELS",
    "PAIRS",
    "RATINGS",
    "RULES",
    "STRICT",
    "SWAPPED",
    "TIE",
    "TIES",
    "TIE_BAD",
    "TIE_GOOD",
    "EditCandidate",
    "PreferencePair",
    "PreferenceGroup",
    "PreferenceSet",
    "majority",
]
