"""Quality against calls of the editor and against FLOPs: one team's pictures after 0, 1, 2, … calls, judged against the request.

A row holds one item of one arm: the scores of its picture after each call (0 to 10; None where there is no verdict) and the FLOPs
spent by then. An item whose team stops after fewer calls keeps its last picture, and spends no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from agents.backends.base import Backend, Completion, ModelRequest, Sampling, SyncReport
from agents.backends.vlm import VLM
from agents.traces import Trace
from common.cells import Cell
from common.statistics import micro
from editors.costs import language_flops, vision_flops

ARMS = ("single", "multi", "loop", "loop_rl")
ARM_TITLES = {
    "single": "single, k seeds, best by the judge",
    "multi": "multi, first k calls",
    "loop": "closed loop before RL",
    "loop_rl": "closed loop after RL",
}


@dataclass
class Meter:
    """A backend that notes the FLOPs of every answer: its prompt with its picture, and its tokens, once through the model."""

    backend: Backend
    vlm: VLM
    spent: list[float] = field(default_factory=list)

    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        rows = self.backend.generate(requests, n, sampling)
        for prompt, row in zip(self.vlm.encode(requests), rows, strict=True):
            grids = [] if prompt.grid_thw is None else prompt.grid_thw.tolist()
            patches = [(int(h), int(w)) for _, h, w in grids]
            answer = sum(len(c.token_ids) for c in row)
            self.spent.append(answer_flops(self.vlm, len(prompt), answer, patches))
        return rows

    def sync(self, named_parameters: Iterable[tuple[str, Any]]) -> SyncReport:
        return self.backend.sync(named_parameters)


def answer_flops(vlm: VLM, prompt: int, answer: int, patches: Sequence[tuple[int, int]]) -> float:
    """Of one answer of `answer` tokens to a prompt of `prompt` tokens with pictures of these patches, by the formulas of
    `experiments.plan`; keys and values are kept, so that every token passes once."""
    config = vlm.model.config
    pictures = sum(vision_flops(config.vision_config.to_dict(), grid) for grid in patches)
    return language_flops(config.text_config.to_dict(), prompt + answer, answer) + pictures


@dataclass(frozen=True)
class BudgetRow:
    """scores[k], flops[k]: after k calls."""

    arm: str
    unit: int
    id: str
    calls: int
    scores: tuple[float | None, ...]
    flops: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def after_each_call(trace: Trace) -> list[Image.Image]:
    """The picture that stands after 0, 1, 2, … calls."""
    if not trace.turns:
        shown = list(trace.pictures)
        return shown + [shown[-1]] * (1 + len(trace.calls) - len(shown))
    now, shown = trace.pictures[0], [trace.pictures[0]]
    for turn in trace.turns:
        if turn.called:
            now = now if turn.made is None else trace.pictures[turn.made]
            shown.append(now)
    return shown


def flops_by_call(answers: Sequence[float], calls: int, edit: float, looped: bool) -> list[float]:
    """What was spent by the end of call k: a team without a loop answers once before its first call, a loop before every one; the
    answer by which a loop stopped is spent with its last call."""
    if not looped:
        return [0.0, *(answers[0] + k * edit for k in range(1, calls + 1))] if calls else [sum(answers)]
    spent = [0.0]
    for k in range(calls):
        spent.append(spent[-1] + answers[k] + edit)
    spent[-1] += sum(answers[calls:])
    return spent


def curve(rows: Sequence[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """For every budget k from 0 to `most` calls: mean calls, FLOPs and score over the items, with the score's interval."""
    points = []
    for k in range(most + 1):
        at = [min(k, len(row["scores"]) - 1) for row in rows]
        cell = micro([row["scores"][i] for row, i in zip(rows, at, strict=True)])
        points.append(
            {
                "k": k,
                "calls": sum(at) / len(at),
                "flops": sum(row["flops"][i] for row, i in zip(rows, at, strict=True)) / len(at),
                "overall": cell.value,
                "low": cell.low,
                "high": cell.high,
                "n": cell.n,
                "invalid": cell.invalid,
            }
        )
    return points


def cell_of(point: Mapping[str, Any]) -> Cell:
    return Cell(point["overall"], point["low"], point["high"], point["n"], point["invalid"])


__all__ = [
    "ARMS",
    "ARM_TITLES",
    "BudgetRow",
    "Meter",
    "after_each_call",
    "answer_flops",
    "cell_of",
    "curve",
    "flops_by_call",
]
