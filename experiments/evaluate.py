"""`python -m experiments.evaluate run=<folder or none> benchmark=… judge=… arms=… out=<folder>`: score a run, an
editor or finished pictures on any benchmark, by any judge.

A run's decomposer (before and after RL) and its arms are evaluated as the run had them, or with another editor, execution or
sequencer where one is given. Writes `<out>/results.json`, tables and `report.html`; the same command again goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conf.schema import EvaluateConfig
from experiments.runs.cli import command

if TYPE_CHECKING:
    from experiments.evaluation.evaluator import Evaluator
    from experiments.evaluation.load import Section

FREE_TEXT = ("run", "out", "arms", "label", "pictures", "benchmark.path")  # keys whose values are taken as they are


def main(config: EvaluateConfig) -> None:
    from experiments.evaluation.resolve import resolve
    from experiments.preflight.command_limits import check_evaluation
    from experiments.runs.given import given_words
    from experiments.runs.identity import has_writer_alone

    began = time.monotonic()
    if has_writer_alone(config.run):
        from experiments.evaluation.intent_evaluation import evaluate_intents

        return evaluate_intents(config)
    spec = resolve(config, given_words())
    check_evaluation(spec)  # before what takes seconds to import
    from agents.backends.vllm_shared import owned_engines
    from common.errors import RunFailed
    from common.progress import clock, console
    from common.third_party import library_lines
    from experiments.evaluation.complex_split import with_complex
    from experiments.evaluation.evaluator import open_evaluator
    from experiments.evaluation.main import REMEDY, check_out, do_work
    from experiments.evaluation.pending import check_invalid
    from experiments.preflight.machine import one_process
    from experiments.runs.caches import keep_compiled
    from experiments.runs.decoding import decoding_steps

    one_process(spec.used.engine, "experiments.evaluate")
    check_out(spec.out)
    spec.prepare_libraries()
    keep_compiled(config.paths.outputs)
    evaluator, *beside = (open_evaluator(s) for s in with_complex(spec, spec.used.scale.complex_edited))
    keep_config(evaluator)
    try:
        with library_lines(), owned_engines(decoding_steps(spec.used)):
            covered = all([do_work(e) for e in (evaluator, *beside)])
    except KeyboardInterrupt:
        report(evaluator, beside)
        raise
    report(evaluator, beside)
    console.print(f"total time: {clock(time.monotonic() - began)}")
    if not covered:
        raise RunFailed(
            f"budget={spec.budget} is spent. What was judged is kept in {spec.out} (the report says what is missing); "
            "the same command with a larger budget= goes on from there"
        )
    for one in (evaluator, *beside):
        check_invalid(one, REMEDY)


def report(evaluator: Evaluator, beside: Sequence[Evaluator] = ()) -> None:
    """Results, tables and page from all rows that are there, whoever made them; the tables are printed."""
    from common.progress import console
    from experiments.evaluation.main import summarise
    from experiments.reports.evaluation.decomposition import print_decompositions
    from experiments.reports.evaluation.files import write_tables
    from experiments.reports.evaluation.page import write_page
    from experiments.reports.evaluation.terminal import print_table

    out = evaluator.spec.out

    def publish(values: Mapping[str, Any], sections: Sequence[Section]) -> None:
        write_tables(out, values)
        write_page(out, values, sections, evaluator.spec.gallery)

    values = summarise(evaluator, publish, beside)
    print_table(values)
    print_decompositions(values)
    console.print(f"results: [bold]{out / 'results.json'}[/]   report: [bold]{out / 'report.html'}[/]")


def keep_config(evaluator: Evaluator) -> None:
    """Where a run's arms are evaluated as a run evaluates itself, leave its configuration with the parts that were replaced:
    `python -m experiments.report <run> <out>` then compares both."""
    from common.files import write_text
    from experiments.runs.identity import config_text

    spec = evaluator.spec
    if spec.trained is not None and spec.arms and spec.decompositions and not spec.label:
        scale = replace(spec.used.scale, test_samples=len(evaluator.benchmark), editor_calls=spec.editor_calls)
        write_text(spec.out / "config.yaml", config_text(replace(spec.used, scale=scale)))


if __name__ == "__main__":
    command("evaluate", main, FREE_TEXT)
