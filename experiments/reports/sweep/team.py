"""The measures of the editing team: mean F1 of the decomposition before and after RL, and the overall score of every arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.evaluation.names import ARM_NAMES, COMPLEX, EXTRA_ARMS, SHOWN, WHEN, complex_place
from experiments.reports.looks import ARM_COLOURS, SHORT_NAMES, WHEN_COLOURS
from experiments.reports.run.numbers import MEAN_OF, mean_f1, scores
from experiments.reports.sweep.measures import CHOICE, RAW_EDITOR, RL, ForestPlot, Measure, MeasureSet, Question, Unit
from experiments.runs.results import Evaluation

OVERALL = Unit("overall", 2, "Overall (0–10)", (0.0, 10.0))
F1 = Unit("mean F1", 3, "Mean F1 of the decomposition (0–1)", (0.0, 1.0))
COMPLEX_OVERALL = Unit("overall, complex requests", 2, "Complex requests: overall (0–10)", (0.0, 10.0))
COMPLEX_F1 = Unit("mean F1, complex requests", 3, "Complex requests: mean F1 of the decomposition (0–1)", (0.0, 1.0))
COMPLEX_NOTE = (
    "Complex: the indirect and multi-step requests of three to five edits, evaluated beside the test samples."
)
K_CALLS = (
    "The editor alone, k calls: the raw request k times, where k is what the team called on that sample or "
    "scale.editor_calls; by chance is one of the k pictures at random; best by the judge is picked by the judge that "
    "also scores it, an upper bound."
)


def f1_measure(when: str, split: str = "") -> Measure:
    def samples(evaluation: Evaluation) -> dict[str, float]:
        rows = of_split(evaluation, split).decompositions[when]
        return {r["id"]: x for r, x in zip(rows, mean_f1(rows), strict=True)}

    def value(results: Mapping[str, Any]) -> float | None:
        scores = results["decomposition"]
        means = (scores.get(split, {}) if split else scores).get(when)
        return sum(means[c] for c in MEAN_OF) / len(MEAN_OF) if means else None

    name, unit = named(f"F1 {when}", split), COMPLEX_F1 if split else F1
    phrase = named(f"mean F1 {when} RL", split)
    return Measure(named(when, split), name, name, phrase, unit, WHEN_COLOURS[when], value, samples)


def arm_measure(arm: str, split: str = "") -> Measure:
    def samples(evaluation: Evaluation) -> dict[str, float]:
        rows = of_split(evaluation, split).arms.get(arm, [])
        return {r["id"]: x for r, x in zip(rows, scores(rows, "overall"), strict=True) if x is not None}

    def value(results: Mapping[str, Any]) -> float | None:
        by_benchmark = results["arms"].get(arm, {})
        beside = {complex_place(name) for name in by_benchmark}
        benchmarks = [v for name, v in by_benchmark.items() if (name in beside) == bool(split)]
        return benchmarks[-1]["overall"] if benchmarks else None

    name, heading = named(ARM_NAMES[arm], split), named(SHORT_NAMES[arm].replace("\n", " "), split)
    unit = COMPLEX_OVERALL if split else OVERALL
    return Measure(named(arm, split), name, heading, name, unit, ARM_COLOURS[arm], value, samples)


def named(name: str, split: str) -> str:
    return f"{name}, {split}" if split else name


def of_split(evaluation: Evaluation, split: str) -> Evaluation:
    """The rows of the test samples, or of the complex requests; empty where these were not evaluated."""
    return dict(evaluation.splits).get(split) or Evaluation({w: [] for w in WHEN}, {})


def arms_question(second: str, first: str, kind: str, split: str = "") -> Question:
    text = named(f"{ARM_NAMES[second]} − {ARM_NAMES[first]}", split)
    return Question(named(second, split), named(first, split), kind, text)


def questions(split: str = "") -> tuple[Question, ...]:
    """What is asked of every configuration, on the test samples or on the complex requests."""
    return (
        arms_question("agents_rl", "agents", RL, split),
        Question(named("after", split), named("before", split), RL, named("mean F1, after − before RL", split)),
        arms_question("agents_rl", "editor", RAW_EDITOR, split),
        arms_question("agents_rl", "editor_chance", RAW_EDITOR, split),
        arms_question("agents_rl", "editor_best", RAW_EDITOR, split),
    )


def measures(split: str = "") -> tuple[Measure, ...]:
    return (*(f1_measure(when, split) for when in WHEN), *(arm_measure(arm, split) for arm in SHOWN))


TEAM = MeasureSet(
    measures=(*measures(), *measures(COMPLEX)),
    within=(*questions(), *questions(COMPLEX)),
    between=("agents_rl", "agents", "editor", "after", named("agents_rl", COMPLEX), named("after", COMPLEX)),
    forests=(  # apart, because differences from the raw editor dwarf the others
        ForestPlot("Difference in overall (0–10): after − before RL, and of choices", OVERALL, (RL, CHOICE)),
        ForestPlot("Difference in overall (0–10): team − raw editor", OVERALL, (RAW_EDITOR,)),
        ForestPlot("Difference in mean F1 (0–1)", F1, (RL, CHOICE)),
        ForestPlot("Complex requests: difference in overall (0–10)", COMPLEX_OVERALL, (RL, CHOICE)),
        ForestPlot("Complex requests: difference in overall (0–10), team − raw editor", COMPLEX_OVERALL, (RAW_EDITOR,)),
        ForestPlot("Complex requests: difference in mean F1 (0–1)", COMPLEX_F1, (RL, CHOICE)),
    ),
    notes=(
        *((arm, K_CALLS) for arm in EXTRA_ARMS),
        *((named(key, COMPLEX), COMPLEX_NOTE) for key in (*WHEN, *SHOWN)),
    ),
)

__all__ = ["F1", "OVERALL", "TEAM"]
