"""All numbers of a judge on one set of preference data, in the order a report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.preferences.base import DIMENSIONS, FOUR_WAY, GROUPS, RATINGS, STRICT, TIES, PreferenceSet
from common.cells import Cell
from judges import agreement, ratings
from judges.answers import JudgedPair, Scores, Votes, answers_from_scores, answers_from_votes
from judges.self_preference import ModelShare, model_shares
from judges.ties import TieAware, halves, tie_aware_accuracy


@dataclass(frozen=True)
class AgreementMeasure:
    """One number. `how`: what it is, in words; `percent`: shown times 100."""

    name: str
    title: str
    cell: Cell
    how: str
    percent: bool = True

    def text(self) -> str:
        text = self.cell.text(1, percent=True) if self.percent else self.cell.text(3)
        return text + (" %" if self.percent and self.cell.value is not None and not self.cell.partial else "")

    def as_dict(self) -> dict[str, Any]:
        return {"title": self.title, "how": self.how, **self.cell.as_dict()}


@dataclass(frozen=True)
class Findings:
    """The first measure is the set's own. `comparisons` counts rows: all, people's ties, the judge's invalid and missing."""

    rule: str
    measures: tuple[AgreementMeasure, ...]
    ties: TieAware | None
    shares: tuple[ModelShare, ...]
    comparisons: dict[str, int]
    notes: tuple[str, ...]

    @property
    def partial(self) -> bool:
        return any(m.cell.partial for m in self.measures)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "partial": self.partial,
            "measures": {m.name: m.as_dict() for m in self.measures},
            "ties": None if self.ties is None else self.ties.as_dict(),
            "self_preference": [s.as_dict() for s in self.shares],
            "comparisons": self.comparisons,
            "notes": list(self.notes),
        }


def findings_from_scores(data: PreferenceSet, scores: Scores, seed: int = 0) -> Findings:
    """Of a judge that scores single edits: its scores by a candidate's key, None where invalid."""
    if data.rule == RATINGS:
        return _rated(data, scores, seed)
    answers, notes = answers_from_scores(data, scores)
    return _compared(data, answers, [*data.notes, *notes], seed, scored=True)


def findings_from_votes(data: PreferenceSet, votes: Votes, seed: int = 0) -> Findings:
    """Of a judge that compares two edits: its label by (group, candidate, candidate), None where invalid."""
    return _compared(data, answers_from_votes(data, votes), list(data.notes), seed, scored=False)


def _compared(data: PreferenceSet, answers: list[JudgedPair], notes: list[str], seed: int, scored: bool) -> Findings:
    tied = any(r.human in TIES for r in answers)
    ties, rest, epsilon, on = None, answers, 0.0, "all comparisons"
    if scored and tied and len({r.cluster for r in answers}) > 1:
        ties = tie_aware_accuracy(
            [r.human for r in answers],
            [r.margin for r in answers],
            [r.cluster for r in answers],
            seed=seed,
            missing=[r.missing for r in answers],
        )
        epsilon = ties.epsilon or 0.0
        first = halves([r.cluster for r in answers], seed)
        rest = [r for r, mine in zip(answers, first, strict=True) if not mine]
        on = f"the half that did not choose epsilon, scores within {epsilon:.4g} being a tie"
    measures = _own(data.rule, answers, rest, epsilon, on if ties else "", seed)
    equal = "equal scores are a tie" if scored else "by the judge's own labels"
    measures += [
        AgreementMeasure(
            "pair_accuracy",
            "pairs, ties among them",
            agreement.pair_accuracy(answers, seed=seed),
            f"a, b or tie; {equal}",
        ),
        AgreementMeasure(
            "accuracy_without_ties",
            "pairs that the labels do not tie",
            agreement.accuracy_without_ties(answers, seed),
            "share that the judge orders right; a tie of the judge is wrong",
        ),
    ]
    if ties is not None:
        measures.append(
            AgreementMeasure(
                "tie_aware_accuracy", "tie-aware accuracy", ties.test, f"order or tie right (arXiv 2305.14324), on {on}"
            )
        )
    for kind, title in (("spearman", "Spearman's rho"), ("kendall", "Kendall's tau-b")):
        cell = agreement.rank_correlation(answers, kind, seed)
        measures.append(
            AgreementMeasure(
                kind, title, cell, "rank correlation of score gap and preference, both sides of each pair", False
            )
        )
    for weights, title in (("none", "Cohen's kappa"), ("linear", "Cohen's kappa, linear weights")):
        name = "cohen_kappa" + ("" if weights == "none" else f"_{weights}")
        cell = agreement.kappa(rest, weights, epsilon, seed)
        measures.append(
            AgreementMeasure(name, title, cell, f"agreement beyond chance over b, tie, a, both sides; on {on}", False)
        )
    if any(len(r.votes) > 1 for r in answers):
        cell = agreement.rater_kappa(answers, seed)
        measures.append(
            AgreementMeasure(
                "fleiss_kappa_raters", "Fleiss' kappa of the raters", cell, "among the raters alone", False
            )
        )
    counts = {
        "all": len(answers),
        "tied_by_people": sum(r.human in TIES for r in answers),
        "tied_by_judge": sum(r.margin == 0 for r in answers),
        "invalid": sum(r.margin is None and not r.missing for r in answers),
        "missing": sum(r.missing for r in answers),
    }
    return Findings(data.rule, tuple(measures), ties, tuple(model_shares(answers, seed)), counts, tuple(notes))


def _own(
    rule: str, answers: Sequence[JudgedPair], rest: Sequence[JudgedPair], epsilon: float, on: str, seed: int
) -> list[AgreementMeasure]:
    """By the set's own rule."""
    if rule == GROUPS:
        how = "all comparisons of a group right; equal scores are a tie"
        cells = agreement.group_accuracy(answers, seed=seed)
        measures = [AgreementMeasure("group_accuracy", "groups", cells.pop("all"), how)]
        measures += [AgreementMeasure(f"group_accuracy_{k}", f"groups, {k}", cell, how) for k, cell in cells.items()]
        if on:
            cell = agreement.group_accuracy(rest, epsilon, seed)["all"]
            measures.append(
                AgreementMeasure("group_accuracy_epsilon", "groups, with epsilon", cell, f"the same on {on}")
            )
        return measures
    if rule == STRICT:
        cell = agreement.strict_accuracy(answers, seed)
        how = "preferred edit strictly higher, unweighted mean over task types"
        measures = [AgreementMeasure("strict_accuracy", "strict accuracy", cell, how)]
        for kind in sorted({r.kind for r in answers}):
            mine = [r for r in answers if r.kind == kind]
            measures.append(
                AgreementMeasure(
                    f"strict_accuracy/{kind}", kind, agreement.strict_accuracy(mine, seed), "this task type"
                )
            )
        return measures
    if rule == DIMENSIONS:
        how = "winner higher, or equal within 1e-5 for a tie; unweighted mean over dimensions"
        measures = [
            AgreementMeasure("dimension_accuracy", "dimensions", agreement.dimension_accuracy(answers, seed), how)
        ]
        for kind in sorted({r.kind for r in answers}):
            mine = [r for r in answers if r.kind == kind]
            cell = agreement.pair_accuracy(mine, agreement.TIED, seed)
            measures.append(AgreementMeasure(f"dimension_accuracy/{kind}", kind, cell, "this dimension"))
        return measures
    if rule == FOUR_WAY:
        how = "exact match of a, b, both good, both bad; a tie without saying which counts for both"
        measures = [
            AgreementMeasure(
                "four_way_accuracy", "four-way accuracy", agreement.four_way_accuracy(answers, seed=seed), how
            )
        ]
        if on:
            cell = agreement.four_way_accuracy(rest, epsilon, seed)
            measures.append(
                AgreementMeasure("four_way_accuracy_epsilon", "four-way, with epsilon", cell, f"the same on {on}")
            )
        return measures
    return []


def _rated(data: PreferenceSet, scores: Scores, seed: int) -> Findings:
    rows = ratings.rated(data, scores)
    by_model = ratings.correlation_by_model(rows, seed)
    how = "per model over its edits, averaged by Fisher's z (atanh, mean, tanh)"
    measures = [
        AgreementMeasure("spearman_fisher", "Spearman's rho, averaged over models", by_model.pop("average"), how, False)
    ]
    measures += [
        AgreementMeasure(f"spearman/{m}", m, cell, "this model's edits", False) for m, cell in by_model.items()
    ]
    ceiling = ratings.human_ceiling(rows, seed)["average"]
    how = "each rater against the mean of the others, averaged likewise: what a judge as good as one rater reaches"
    measures.append(AgreementMeasure("spearman_fisher_raters", "the same among the raters", ceiling, how, False))
    for aspect, cell in ratings.rater_agreement(rows, data.aspects, seed).items():
        title = f"Fleiss' kappa of the raters, {aspect}"
        measures.append(AgreementMeasure(f"fleiss_kappa_raters_{aspect}", title, cell, "among the raters alone", False))
    counts = {
        "all": len(rows),
        "invalid": sum(r.judge is None and not r.missing for r in rows),
        "missing": sum(r.missing for r in rows),
    }
    return Findings(data.rule, tuple(measures), None, (), counts, data.notes)


__all__ = ["Findings", "AgreementMeasure", "findings_from_scores", "findings_from_votes"]
