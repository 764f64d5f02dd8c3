"""The judge's answer beside the human label, one row per comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.preferences.base import SWAPPED, EditCandidate, PreferenceGroup, PreferenceSet
from judges.base import OVERALL
from judges.ties import SIGN

Scores = Mapping[str, Mapping[str, float] | None]  # by a candidate's key; None: invalid; absent: not judged yet
Votes = Mapping[tuple[str, int, int], str | None]  # by group id and the two candidates, of a judge that compares

# Names of one aspect in different rubrics: EditScore's, the paper's, Complex-Edit's.
ALIASES = {
    "prompt_following": ("prompt_following", "request_fulfilled", "instruction_following"),
    "consistency": ("consistency", "content_preserved", "identity_preservation"),
    "perceptual_quality": ("perceptual_quality", "image_quality", "pq"),
}


@dataclass(frozen=True)
class JudgedPair:
    """`margin` is score(a) − score(b), or 1, 0, −1 of a judge that compares, whose answer is then `label`. None: no valid
    verdict, or with `missing` none yet."""

    group: str
    human: str
    margin: float | None
    label: str = ""
    missing: bool = False
    kind: str = ""
    cluster: str = ""
    ways: int = 2  # candidates in the group
    models: tuple[str, str] = ("", "")
    votes: tuple[str, ...] = ()

    @property
    def swapped(self) -> JudgedPair:
        """The same comparison with a and b exchanged."""

        def flip(label: str) -> str:
            return SWAPPED.get(label, label)

        return replace(
            self,
            human=flip(self.human),
            margin=None if self.margin is None else -self.margin,
            label=flip(self.label),
            models=(self.models[1], self.models[0]),
            votes=tuple(flip(v) for v in self.votes),
        )


def aspect_score(scores: Mapping[str, float], aspect: str) -> tuple[float | None, str]:
    """(score, the key it came from) of an aspect or of one of its names; else the overall score."""
    key = next((k for k in ALIASES.get(aspect, (aspect,)) if k in scores), OVERALL)
    return scores.get(key), key


def answers_from_scores(data: PreferenceSet, scores: Scores) -> tuple[list[JudgedPair], list[str]]:
    """A row per comparison, and notes on aspects for which a judge's overall score had to stand in."""
    rows, stood_in = [], Counter[str]()

    def of(group: PreferenceGroup, candidate: EditCandidate) -> float | None:
        given = scores.get(candidate.key)
        if given is None:
            return None
        value, key = aspect_score(given, group.aspect)
        if key == OVERALL != group.aspect:
            stood_in[group.aspect] += 1
        return value

    for group in data.groups:
        for pair in group.comparisons:
            a, b = group.candidates[pair.a], group.candidates[pair.b]
            left, right = of(group, a), of(group, b)
            margin = None if left is None or right is None else float(left - right)
            missing = a.key not in scores or b.key not in scores
            rows.append(_row(group, pair.a, pair.b, pair.human, pair.votes, margin, "", missing))
    notes = [f"the judge has no score {k!r}: its overall score stands in ({n} edits)" for k, n in stood_in.items()]
    return rows, notes


def answers_from_votes(data: PreferenceSet, votes: Votes) -> list[JudgedPair]:
    """A row per comparison, of a judge that was shown both edits."""
    rows = []
    for group in data.groups:
        for pair in group.comparisons:
            key = (group.id, pair.a, pair.b)
            label = votes.get(key)
            margin = None if label is None else SIGN[label]
            rows.append(_row(group, pair.a, pair.b, pair.human, pair.votes, margin, label or "", key not in votes))
    return rows


def _row(
    group: PreferenceGroup,
    a: int,
    b: int,
    human: str,
    votes: tuple[str, ...],
    margin: float | None,
    label: str,
    missing: bool,
) -> JudgedPair:
    return JudgedPair(
        group=group.id,
        human=human,
        margin=margin,
        label=label,
        missing=missing,
        kind=group.kind,
        cluster=group.cluster or group.id,
        ways=len(group.candidates),
        models=(group.candidates[a].model, group.candidates[b].model),
        votes=votes,
    )


def mirrored(answers: Sequence[JudgedPair]) -> list[JudgedPair]:
    """Every comparison from both sides, so that it does not matter which edit a data set calls a."""
    return [side for answer in answers for side in (answer, answer.swapped)]


__all__ = [
    "ALIASES",
    "JudgedPair",
    "Scores",
    "Votes",
    "answers_from_scores",
    "answers_from_votes",
    "aspect_score",
    "mirrored",
]
