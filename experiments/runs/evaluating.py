"""The stages in which a run evaluates itself, by the same steps as `python -m experiments.evaluate`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.files import write_json
from experiments.evaluation.complex_split import with_complex
from experiments.evaluation.evaluator import Evaluator, open_evaluator
from experiments.evaluation.layout import EDITS
from experiments.evaluation.names import ARMS
from experiments.evaluation.pending import check_invalid
from experiments.evaluation.shares import Share
from experiments.evaluation.spec import EvaluationSpec, place_of
from experiments.runs.results import results
from experiments.runs.run import Run
from experiments.runs.stages import Stage
from experiments.sharing.rows import share_rows

RESULTS = "results.json"


class EvaluationStage(Stage):
    """A part of the run's evaluation of itself. The evaluation knows what its rows lack, so that a stage is done when nothing is
    left; this is found out while it runs. Decompositions and pictures are shared with other runs."""

    own_sharing = True

    @abstractmethod
    def spec(self, run: Run) -> EvaluationSpec:
        """The evaluation on the run's benchmark. It is repeated on the complex requests, where the benchmark has them."""

    def done(self, run: Run) -> bool:
        return (run.folder / RESULTS).is_file()

    def run(self, run: Run) -> None:
        for spec in with_complex(self.spec(run), run.config.scale.complex_edited):
            evaluator = open_evaluator(spec, run.parts, run.enter)
            share_rows(run, evaluator)
            evaluator.work(Share())
            self.check(evaluator)

    def check(self, evaluator: Evaluator) -> None:
        """Raises RunFailed where the rows are no result."""


class DecompositionsBefore(EvaluationStage):
    """Decompositions of the held-out samples by the decomposer before RL, and answers drawn from it for pass@k."""

    name = "before"
    metrics = ("decomposition.before", "decomposition.complex.before")

    def spec(self, run: Run) -> EvaluationSpec:
        scale = run.config.scale
        return replace(
            run.spec(),
            decompositions=("before",),
            pass_at=scale.pass_at,
            pass_samples=scale.draws if scale.pass_at else None,
        )


class DecompositionsAfter(EvaluationStage):
    """The same by the decomposer after RL."""

    name = "after"
    metrics = ("decomposition.after", "decomposition.change", "decomposition.by_kind", "decomposition.complex.after")
    panels = ("experiments.reports.run.decomposition.CARDS", "experiments.reports.run.decomposition.PANEL")

    def spec(self, run: Run) -> EvaluationSpec:
        _ = run.trained  # refused before it is there
        return replace(run.spec(), decompositions=("after",))

    def objective(self, run: Run) -> str:
        return "decomposition.after.goal"


class Arms(EvaluationStage):
    """The editor alone, the team before RL and the team after it on the held-out samples, and the editor alone with as many calls
    as the team; nothing on a benchmark of texts."""

    name = "arms"
    metrics = ("arms",)
    panels = (
        "experiments.reports.run.arms.CARDS",
        "experiments.reports.run.arms.PANEL",
        "experiments.reports.run.strips.PANEL",
    )

    def done(self, run: Run) -> bool:
        return not run.edits_pictures or super().done(run)

    def spec(self, run: Run) -> EvaluationSpec:
        _ = run.trained
        return replace(run.spec(), arms=ARMS, editor_calls=run.config.scale.editor_calls)

    def check(self, evaluator: Evaluator) -> None:
        edits, verdicts = evaluator.layout.folder / EDITS, evaluator.layout.judge(evaluator.label)
        check_invalid(
            evaluator,
            f"Mend what it names, delete {verdicts} (where edits failed also the arm's folder in {edits}), and give the same "
            "command again",
        )

    def objective(self, run: Run) -> str:
        return f"arms.{ARMS[-1]}.{place_of(run.config.benchmark)}.overall" if run.edits_pictures else ""


class Results(Stage):
    """results.json, from the rows of the stages before it and the sections that they add."""

    name = "results"
    uses = frozenset()
    panels = ("experiments.reports.run.setup.PANEL",)

    def done(self, run: Run) -> bool:
        return (run.folder / RESULTS).is_file()

    def run(self, run: Run) -> None:
        run.enter("writing results")
        values: dict[str, Any] = results(run.folder, run.config)
        for stage in run.stages:
            values = merged(values, stage.results(run))
        write_json(run.folder / RESULTS, values)


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries joined; `more` wins."""
    out = dict(values)
    for key, value in more.items():
        old = out.get(key)
        out[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


__all__ = ["Arms", "DecompositionsAfter", "DecompositionsBefore", "EvaluationStage", "Results"]
