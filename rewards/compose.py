"""From a completion and its gold edits to one number: named components and any weighting of them.

    total = Σ w_c · r_c / Σ w_c      (format + action + subject + goal F1 is arXiv 2603.08059; the weights are ours)

A malformed completion scores 0 on every component: that is a computed reward. Malformed is also what cannot be carried out
(`benchmarks.goals`), and three perfect sets in the wrong pairing are not worth the full reward (`paired_f1s`): both are project
choices, listed with their reasons in docs/reward.md. A component that could not be computed is None ("missing"), and so is
then every total that needs it: it must carry no gradient, and is never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.base import Decomposition, Edit, EditSample
from benchmarks.goals import fault_of
from common.dotted import nearest
from common.errors import BadInput
from rewards.format import read
from rewards.set_f1 import exact_match, linked_f1, paired_f1s, set_f1, soft_set_f1

TEXT_COMPONENTS = ("format", "action", "subject", "goal", "linked", "soft", "exact")  # from the text alone
COMPONENTS = (*TEXT_COMPONENTS, "outcome")  # outcome: run the plan through an editor, let a judge score the picture

# EasyR1's template splits 0.1 format / 0.9 accuracy; the equal shares within the 0.9 are assumed (no known number).
VARIANTS: dict[str, dict[str, float]] = {
    "f1": {"format": 0.1, "action": 0.45, "subject": 0.45},
    "f1_goal": {"format": 0.1, "action": 0.3, "subject": 0.3, "goal": 0.3},
    "f1_linked": {"format": 0.1, "linked": 0.9},
    "f1_soft": {"format": 0.1, "soft": 0.9},
    "exact": {"format": 0.1, "exact": 0.9},
    "format_only": {"format": 1.0},
    "outcome": {"format": 0.1, "outcome": 0.9},
    "f1_goal_outcome": {"format": 0.1, "action": 0.15, "subject": 0.15, "goal": 0.15, "outcome": 0.45},
}

# Outcome of a batch: samples, decompositions and seeds in, one score in [0, 1] or None (missing) each out.
Outcome = Callable[[Sequence[EditSample], Sequence[Decomposition], Sequence[int]], "list[float | None]"]


@dataclass(frozen=True)
class Reward:
    """`total` in [0, 1], or None where a needed component is missing; every component that was computed on its own."""

    total: float | None
    components: dict[str, float | None]


@dataclass(frozen=True)
class RewardSpec:
    """Which components count, and how much: non-negative weights that sum to 1. Made by `from_weights` or `named`."""

    weights: tuple[tuple[str, float], ...]

    @classmethod
    def from_weights(cls, weights: Mapping[str, float]) -> RewardSpec:
        """Check and normalise `weights`; zero weights are dropped. `BadInput` names the key and what is wrong."""
        checked: dict[str, float] = {}
        for name, weight in weights.items():
            if name not in COMPONENTS:
                raise BadInput(f"unknown reward component {name!r}{nearest(name, COMPONENTS, all_of_them=True)}")
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise BadInput(f"the reward weight {name}={weight!r} is not a number; give one of 0 or more")
            if not math.isfinite(weight) or weight < 0:
                raise BadInput(f"the reward weight {name}={weight} cannot be used; give a finite number of 0 or more")
            checked[name] = float(weight)
        largest = max(checked.values(), default=0.0)
        if largest == 0.0:
            raise BadInput(f"all reward weights are zero ({dict(weights)}); give at least one above 0")
        scaled = {name: weight / largest for name, weight in checked.items()}  # no overflow in the sum
        total = sum(scaled.values())
        return cls(tuple((c, scaled[c] / total) for c in COMPONENTS if scaled.get(c, 0.0) > 0.0))

    @classmethod
    def named(cls, variant: str) -> RewardSpec:
        """One of `VARIANTS`."""
        if variant not in VARIANTS:
            raise BadInput(f"unknown reward {variant!r}{nearest(variant, tuple(VARIANTS), all_of_them=True)}")
        return cls.from_weights(VARIANTS[variant])

    @property
    def needs_outcome(self) -> bool:
        """Whether pictures must be made and judged to compute this reward."""
        return any(name == "outcome" for name, _ in self.weights)

    def score(self, text: str, gold: Sequence[Edit], outcome: float | None = None) -> Reward:
        """The reward of one completion. `outcome` is the judged picture's score in [0, 1], None where there is none."""
        return self.total(components(read(text), gold, outcome))

    def total(self, parts: dict[str, float | None]) -> Reward:
        """The weighted mean of `parts`, missing as soon as one component with a weight is missing or no number."""
        if not self.needs_outcome:  # no picture is made, so the value is not needed rather than missing
            parts = {name: value for name, value in parts.items() if name != "outcome"}
        total = mass = 0.0
        for name, weight in self.weights:
            value = parts.get(name)
            if value is None or not math.isfinite(value):
                return Reward(None, parts)
            total += weight * value
            mass += weight  # dividing by it makes all ones exactly 1.0, whatever the rounding of the weights
        return Reward(min(1.0, max(0.0, total / mass)), parts)

    def score_batch(
        self, samples: Sequence[EditSample], texts: Sequence[str], seeds: Sequence[int], outcome: Outcome | None = None
    ) -> list[Reward]:
        """One reward per (sample, completion). Pictures are made only if the spec needs them and the text is read."""
        read_texts = [read(text) for text in texts]
        scores: list[float | None] = [None] * len(texts)
        if self.needs_outcome:
            if outcome is None:
                raise BadInput("this reward has the component 'outcome': give an editor and a judge to compute it")
            well = [(i, d) for i, d in enumerate(read_texts) if d is not None]
            judged = outcome([samples[i] for i, _ in well], [d for _, d in well], [seeds[i] for i, _ in well])
            for (i, _), value in zip(well, judged, strict=True):
                scores[i] = value
        rows = zip(samples, read_texts, scores, strict=True)
        return [self.total(components(d, sample.gold, value)) for sample, d, value in rows]


def components(
    predicted: Decomposition | None, gold: Sequence[Edit], outcome: float | None = None
) -> dict[str, float | None]:
    """Every component on its own; all 0 for a malformed text. `outcome` is passed through (None: not computed)."""
    if predicted is None or predicted.edits is None or fault_of(predicted):
        return dict.fromkeys(COMPONENTS, 0.0)
    actions, subjects, goals = ([getattr(e, name) for e in gold] for name in ("action", "subject", "goal"))
    pairs = ((predicted.actions, actions), (predicted.subjects, subjects), (predicted.goals, goals))
    sets = paired_f1s(predicted.edits, gold)
    # partial credit is never below that of whole items, except for a wrong pairing of items that all agree
    agree = all(set_f1(*pair) == 1.0 for pair in pairs)
    return {
        "format": 1.0,
        **dict(zip(("action", "subject", "goal"), sets, strict=True)),
        "linked": linked_f1(predicted.edits, gold),
        "soft": sum(sets if agree else [soft_set_f1(*pair) for pair in pairs]) / 3.0,
        "exact": exact_match(predicted.edits, gold),
        "outcome": outcome,
    }


def score(spec: RewardSpec, text: str, gold: Sequence[Edit], outcome: float | None = None) -> Reward:
    """`spec.score` as a function."""
    return spec.score(text, gold, outcome)


__all__ = ["COMPONENTS", "TEXT_COMPONENTS", "VARIANTS", "Outcome", "Reward", "RewardSpec", "components", "score"]
