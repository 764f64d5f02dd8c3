"""The stage after a run's own results: its arms on published benchmarks, by each judge, as one table in <run>/published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from common.errors import RunFailed
from common.files import read_json
from common.parts import Machine
from conf.schema import RunConfig
from experiments.runs.run import Run
from experiments.runs.stages import Stage

FOLDER = "published"


class PublishedBenchmarks(Stage):
    """`python -m experiments.evaluate run=<this run> arms=all` for every pair of `table_benchmarks` and `table_judges`."""

    name = "published"

    def done(self, run: Run) -> bool:
        path = run.folder / FOLDER / "results.json"
        if not path.is_file():
            return not list(pairs(run.config))
        values = read_json(path)
        there = {(c["benchmark"], c["judge"]) for c in values["table"]["columns"]}
        return not values["partial"] and set(pairs(run.config)) <= there

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        for benchmark in config.table_benchmarks:
            part = evaluation(config, [f"benchmark={benchmark}"]).benchmark
            yield from part.missing(machine)
        for judge in config.table_judges:
            part = evaluation(config, [f"judge={judge}"]).judge
            yield from part.missing(machine)

    def run(self, run: Run) -> None:
        from experiments.evaluate import report
        from experiments.evaluation.evaluator import open_evaluator
        from experiments.evaluation.main import REMEDY, do_work
        from experiments.evaluation.pending import check_invalid
        from experiments.evaluation.resolve import resolve

        out = run.folder / FOLDER
        for benchmark, judge in pairs(run.config):
            run.enter(f"{benchmark}, judged by {judge}")
            words = [f"benchmark={benchmark}", f"judge={judge}"]
            spec = resolve(evaluation(run.config, words, str(run.folder), str(out)), words)
            evaluator = open_evaluator(spec)
            covered = do_work(evaluator)
            report(evaluator)
            if not covered:
                raise RunFailed(f"the budget of {judge} on {benchmark} is spent; what was judged is kept in {out}")
            check_invalid(evaluator, REMEDY)


def pairs(config: RunConfig) -> Iterable[tuple[str, str]]:
    """(benchmark, judge), benchmarks first: pictures are edited once for all judges."""
    return [(benchmark, judge) for benchmark in config.table_benchmarks for judge in config.table_judges]


def evaluation(config: RunConfig, words: list[str], run: str = "none", out: str = "none") -> Any:
    """The configuration of `python -m experiments.evaluate` with these words. Raises BadInput."""
    from experiments.runs.cli import typed
    from experiments.runs.composing import compose

    made = typed(compose("evaluate", ["out=none", *words]))
    made.run, made.out, made.arms, made.paths, made.verbose = run, out, "all", config.paths, config.verbose
    made.allow_tiny, made.unlike = config.allow_tiny, config.unlike
    return made


__all__ = ["FOLDER", "PublishedBenchmarks", "evaluation", "pairs"]
