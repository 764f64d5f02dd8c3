"""The stage that compares a closed loop with single and multi execution at equal numbers of editor calls."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.jsonl import Journal, read_jsonl
from common.parts import Machine
from common.progress import bar
from conf.schema import RunConfig
from experiments.evaluation.budgets import (
    ARMS,
    BudgetRow,
    Meter,
    after_each_call,
    curve,
    flops_by_call,
)
from experiments.runs.run import Run
from experiments.runs.stages import Stage

if TYPE_CHECKING:
    from agents.team import Team
    from benchmarks.base import EditSample
    from experiments.runs.team import TeamParts
    from rewards.steps import PictureScores

FILE = "budgets.jsonl"


class Budgets(Stage):
    """On the held-out samples, in budgets.jsonl: the loop before and after RL, and single and multi execution by a decomposer that
    takes whole requests apart: that of `execution.baseline`, or the one that the loop's own training began with."""

    name = "budgets"
    metrics = ("budgets",)
    panels = ("experiments.reports.run.budgets.PANEL",)

    def done(self, run: Run) -> bool:
        return not self._missing(run)

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        from experiments.runs.identity import TRAINED

        if not config.execution.looped:
            yield (
                f"a closed loop: the stage budgets compares it with single and multi execution by itself, and execution="
                f"{config.execution.name} is none; leave execution= out, or take experiment=main"
            )
            return
        given = config.execution.baseline
        if given is not None and not (Path(given) / TRAINED).is_dir():
            yield f"execution.baseline={given}: it has no folder {TRAINED}/; name the folder of a finished run"

    def _missing(self, run: Run) -> dict[str, list[int]]:
        """Units without a row, by arm."""
        there = {(row["arm"], row["unit"]) for row in rows_of(run.folder)}
        units = range(run.config.scale.test_samples)
        missing = {arm: [u for u in units if (arm, u) not in there] for arm in ARMS}
        return {arm: left for arm, left in missing.items() if left}

    def run(self, run: Run) -> None:
        from experiments.build.judges import make_judge
        from experiments.evaluation.spec import open_benchmark
        from rewards.steps import PictureScores

        spec = run.spec()
        benchmark = open_benchmark(spec)
        judge = make_judge(spec.used.judge, run.config.engine, run.config.paths.outputs)
        journal = Journal(run.folder / FILE)
        journal.cut_after(0)  # a line that a kill tore; the rows carry no step and stay
        for arm, units in self._missing(run).items():
            run.enter(f"quality against calls, {arm}")
            player = Player.of(run, arm, PictureScores(judge))
            with bar(run.phase, len(units)) as b:
                for start in range(0, len(units), run.config.scale.chunk):
                    part = units[start : start + run.config.scale.chunk]
                    journal.append([row.to_dict() for row in player.play(part, [benchmark.unit(u)[0] for u in part])])
                    b.update(start + len(part))
            del player
            gc.collect()

    def results(self, run: Run) -> Mapping[str, Any]:
        return {"budgets": curves(rows_of(run.folder), run.config.execution.max_calls)}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    path = folder / FILE
    return read_jsonl(path) if path.is_file() else []


def curves(rows: Sequence[Mapping[str, Any]], most: int) -> dict[str, Any]:
    """{arm: points}, in the order of ARMS."""
    by_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in ARMS}
    return {arm: curve(of, most) for arm, of in by_arm.items() if of}


@dataclass
class Player:
    """One arm: its team, the FLOPs of its decomposer, and the judge of its pictures."""

    arm: str
    team: Team
    meter: Meter
    scores: PictureScores
    edit_flops: float
    most: int
    seed: int

    @classmethod
    def of(cls, run: Run, arm: str, scores: PictureScores) -> Player:
        from agents.decomposer import Decomposer
        from common.errors import BadInput

        config = run.config
        parts = run.parts if arm.startswith("loop") else parts_of(run, arm)
        checkpoint = {"loop": run.start, "loop_rl": run.trained if arm == "loop_rl" else None}.get(arm)
        team = parts.team(checkpoint or baseline(run))
        decomposer = team.decomposer
        if not isinstance(decomposer, Decomposer) or not hasattr(decomposer.backend, "vlm"):
            raise BadInput(
                f"quality against calls counts the FLOPs of decomposer={config.decomposer.name} and knows no model of it; leave "
                "the stage out (stages=[…])"
            )
        meter = Meter(decomposer.backend, decomposer.backend.vlm)
        team = replace(team, decomposer=replace(decomposer, backend=meter))
        return cls(
            arm, team, meter, scores, flops_of_an_edit(config), config.execution.max_calls, config.scale.test_seed
        )

    def play(self, units: Sequence[int], samples: Sequence[EditSample]) -> list[BudgetRow]:
        self.meter.spent.clear()
        traces = next(iter(self.team.run(samples, self.seed, len(samples))))
        answers = self._answers([max(1, len(trace.turns)) for trace in traces])
        shown = [after_each_call(trace) for trace in traces]
        if self.arm == "single":
            shown = self._more_seeds(samples, traces)
        scores = iter(
            self.scores([s for s, p in zip(samples, shown, strict=True) for _ in p], [x for p in shown for x in p])
        )
        rows = []
        for unit, sample, pictures, spent in zip(units, samples, shown, answers, strict=True):
            judged = [next(scores) for _ in pictures]
            values = [None if v is None else 10 * v for v in judged]
            if self.arm == "single":
                values = [values[0], *best_so_far(values[1:])]
            calls = len(pictures) - 1
            flops = flops_by_call(spent, calls, self.edit_flops, self.arm.startswith("loop"))
            rows.append(BudgetRow(self.arm, unit, sample.id, calls, tuple(values), tuple(flops)))
        return rows

    def _answers(self, counts: Sequence[int]) -> list[list[float]]:
        """The FLOPs of each sample's answers: the k-th call of the backend answered those that have a k-th answer."""
        spent, out = iter(self.meter.spent), [[] for _ in counts]  # type: ignore[var-annotated]
        for k in range(max(counts)):
            for i, count in enumerate(counts):
                if k < count:
                    out[i].append(next(spent))
        return out

    def _more_seeds(self, samples: Sequence[EditSample], traces: Sequence[Any]) -> list[list[Any]]:
        """The given picture, and the same instruction with `most` seeds; the first is the team's own call."""
        from agents.editing import Call, call_seed, execute

        shown = [[trace.pictures[0]] for trace in traces]
        for j in range(self.most):
            calls = [
                (Call(t.calls[0].instruction, call_seed(self.seed, s.id, j)),)
                for s, t in zip(samples, traces, strict=True)
            ]
            results = execute(self.team.editing.editor, [t.pictures[0] for t in traces], calls)
            for pictures, result in zip(shown, results, strict=True):
                pictures.append(result.pictures[-1] if result.pictures else pictures[0])
        return shown


def best_so_far(values: Sequence[float | None]) -> list[float | None]:
    best: list[float | None] = []
    for value in values:
        known = [v for v in (value, best[-1] if best else None) if v is not None]
        best.append(max(known, default=None))
    return best


def baseline(run: Run) -> Path:
    """The decomposer of single and multi execution."""
    from experiments.runs.identity import TRAINED

    given = run.config.execution.baseline
    return Path(run.config.decomposer.checkpoint) if given is None else Path(given) / TRAINED


def parts_of(run: Run, execution: str) -> TeamParts:
    """The run's parts with another execution, and the same loaded editor."""
    from experiments.runs.team import TeamParts

    config = replace(run.config, execution=replace(run.config.execution, name=execution))
    parts = TeamParts(config, Path(run.config.decomposer.checkpoint))
    parts.editor = run.parts.editor
    return parts


def flops_of_an_edit(config: Any) -> float:
    """By the formulas of `experiments.plan`; 0 for an editor that has no model here."""
    if not config.editor.has_pipeline:
        return 0.0
    from editors.estimate import edit_flops, shapes
    from experiments.preflight.estimates import known_parts, workload

    editor = config.editor
    parts = known_parts(f"editor={editor.name}", editor.checkpoint, editor.source)
    work = workload(editor)
    return float(sum(edit_flops(work, parts, shapes(work, parts)).values()))


__all__ = ["FILE", "Budgets", "baseline", "curves", "rows_of"]
