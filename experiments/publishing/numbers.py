"""The numbers of results.json that speak of one trained part, with their intervals where it has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.publishing.parts import TrainedPart

SCORES = ("format", "action", "subject", "goal", "linked", "exact")
LABELS = {
    "format": "answers of the right form",
    "action": "F1 of actions",
    "subject": "F1 of subjects",
    "goal": "F1 of goals",
    "linked": "F1 of linked triples",
    "exact": "exact answers",
    "mean_f1": "mean F1",
    "if": "instruction following",
    "cc": "content consistency",
    "ga": "global awareness",
    "cu_object": "objects that a pronoun means",
    "cm_rule": "lasting rules applied",
    "gcpo": "the reward model after GCPO",
    "sft": "after the cold start",
    "holistic": "scores at once, without points",
    "sft_think": "without evaluation points",
    "sft_verify": "without reasoning",
}


@dataclass(frozen=True)
class Number:
    """A line of the card's table. `low` and `high` are the ends of the 95 % interval, None where results.json has none; `rough`
    says that the interval is."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    rough: bool = False


def numbers_of(part: TrainedPart, results: Mapping[str, Any]) -> list[Number]:
    """Nothing where the run has not evaluated the part."""
    return list(
        {"decomposer": _decomposer, "rrm": _rrm, "intent": _intent, "editor": _editor}[part.kind](part, results)
    )


def _decomposer(part: TrainedPart, results: Mapping[str, Any]) -> Iterator[Number]:
    whole = results.get("decomposition", {})
    when = "before" if part.name == "start" else "after"
    for split, scores in (("", whole), ("complex requests: ", whole.get("complex", {}))):
        for name in SCORES:
            if name in scores.get(when, {}):
                yield Number(f"{split}{LABELS[name]}, {when} RL", scores[when][name], n=scores.get("n"))
        if when == "after":
            yield from _cells(scores.get("change", {}), lambda name, split=split: f"{split}{_change(name)}")
    if when == "after":
        for benchmark, scores in results.get("arms", {}).get("agents_rl", {}).items():
            yield Number(f"{benchmark}: the team with it, overall, 0–10", scores["overall"], n=scores.get("n"))


def _rrm(part: TrainedPart, results: Mapping[str, Any]) -> Iterator[Number]:
    cells = results.get("rrm", {}).get("pair_accuracy_cells", {})
    own = {part.arm: cells[part.arm]} if part.arm in cells else {}
    yield from _cells(own, lambda name: "pairs in the right order: this model")
    others = {name: cell for name, cell in cells.items() if name not in own}
    yield from _cells(others, lambda name: f"pairs in the right order: {_label(name)}")


def _intent(part: TrainedPart, results: Mapping[str, Any]) -> Iterator[Number]:
    yield from _cells(results.get("intent", {}).get("cells", {}), _label)
    yield from _sessions(part, results)


def _editor(part: TrainedPart, results: Mapping[str, Any]) -> Iterator[Number]:
    for aspect, cells in results.get("editor_rl", {}).get("cells", {}).items():
        yield from _cells(cells, lambda when, aspect=aspect: f"{_label(aspect)}, {when} RL, 0–10")
    yield from _cells(results.get("editor_rl", {}).get("change", {}), _change)
    yield from _sessions(part, results)


def _sessions(part: TrainedPart, results: Mapping[str, Any]) -> Iterator[Number]:
    for measure, arms in results.get("sessions", {}).get("cells", {}).items():
        turns = arms.get(part.arm, []) if isinstance(arms, Mapping) else []
        for turn, cell in enumerate(turns, 1):
            yield from _cells({measure: cell}, lambda name, turn=turn: f"{_label(name)}, turn {turn}, percent")


def _cells(cells: Mapping[str, Any], label: Any) -> Iterator[Number]:
    for name, cell in cells.items():
        if isinstance(cell, Mapping) and isinstance(cell.get("value"), int | float):
            yield Number(label(name), cell["value"], cell.get("low"), cell.get("high"), cell.get("n"), "note" in cell)


def _change(name: str) -> str:
    if name == "exact_over_pass":
        return "exact answers after RL − pass@k of the start"
    return f"{_label(name)}, after − before RL"


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


__all__ = ["Number", "numbers_of"]
