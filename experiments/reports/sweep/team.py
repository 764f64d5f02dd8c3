"""The measures of the editing team: mean F1 of the decomposition before and after RL, and the overall score of every arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.evaluation.names import ARM_NAMES, EXTRA_ARMS, SHOWN, WHEN
from experiments.reports.looks import ARM_COLOURS, SHORT_NAMES, WHEN_COLOURS
from experiments.reports.run.numbers import MEAN_OF, mean_f1, scores
from experiments.reports.sweep.measures import CHOICE, RAW_EDITOR, RL, ForestPlot, Measure, MeasureSet, Question, Unit
from experiments.runs.results import Evaluation

OVERALL = Unit("overall", 2, "Overall (0–10)", (0.0, 10.0))
F1 = Unit("mean F1", 3, "Mean F1 of the decomposition (0–1)", (0.0, 1.0))
K_CALLS = (
    "The editor alone, k calls: the raw request k times, where k is what the team called on that sample or "
    "scale.editor_calls; by chance is one of the k pictures at random; best by the judge is picked by the judge that "
    "also scores it, an upper bound."
)


def f1_measure(when: str) -> Measure:
    def samples(evaluation: Evaluation) -> dict[str, float]:
        rows = evaluation.decompositions[when]
        return {r["id"]: x for r, x in zip(rows, mean_f1(rows), strict=True)}

    def value(results: Mapping[str, Any]) -> float | None:
        means = results["decomposition"][when]
        return sum(means[c] for c in MEAN_OF) / len(MEAN_OF) if means else None

    name = f"F1 {when}"
    return Measure(when, name, name, f"mean F1 {when} RL", F1, WHEN_COLOURS[when], value, samples)


def arm_measure(arm: str) -> Measure:
    def samples(evaluation: Evaluation) -> dict[str, float]:
        rows = evaluation.arms.get(arm, [])
        return {r["id"]: x for r, x in zip(rows, scores(rows, "overall"), strict=True) if x is not None}

    def value(results: Mapping[str, Any]) -> float | None:
        benchmarks = list(results["arms"].get(arm, {}).values())
        return benchmarks[-1]["overall"] if benchmarks else None

    name, heading = ARM_NAMES[arm], SHORT_NAMES[arm].replace("\n", " ")
    return Measure(arm, name, heading, name, OVERALL, ARM_COLOURS[arm], value, samples)


def arms_question(second: str, first: str, kind: str) -> Question:
    return Question(second, first, kind, f"{ARM_NAMES[second]} − {ARM_NAMES[first]}")


TEAM = MeasureSet(
    measures=(*map(f1_measure, WHEN), *map(arm_measure, SHOWN)),
    within=(
        arms_question("agents_rl", "agents", RL),
        Question("after", "before", RL, "mean F1, after − before RL"),
        arms_question("agents_rl", "editor", RAW_EDITOR),
        arms_question("agents_rl", "editor_chance", RAW_EDITOR),
        arms_question("agents_rl", "editor_best", RAW_EDITOR),
    ),
    between=("agents_rl", "agents", "editor", "after"),
    forests=(  # apart, because differences from the raw editor dwarf the others
        ForestPlot("Difference in overall (0–10): after − before RL, and of choices", OVERALL, (RL, CHOICE)),
        ForestPlot("Difference in overall (0–10): team − raw editor", OVERALL, (RAW_EDITOR,)),
        ForestPlot("Difference in mean F1 (0–1)", F1, (RL, CHOICE)),
    ),
    notes=tuple((arm, K_CALLS) for arm in EXTRA_ARMS),
)

__all__ = ["F1", "OVERALL", "TEAM"]
