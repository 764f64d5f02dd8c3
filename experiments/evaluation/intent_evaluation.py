"""`python -m experiments.evaluate run=<run> benchmark=mice_text` for a run that trained a writer of intents and no decomposer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.errors import BadInput
from common.files import locked, read_json, write_json
from common.progress import console
from common.third_party import library_lines
from conf.schema import EvaluateConfig
from experiments.build.benchmarks import held_out_samples
from experiments.evaluation.intents import FILE, intent_results, print_intents
from experiments.evaluation.main import check_out
from experiments.runs.identity import WRITER, load_config
from experiments.runs.intents import rows_of, write_rows
from experiments.runs.libraries import quiet_libraries

RESULTS = "results.json"


def evaluate_intents(config: EvaluateConfig) -> None:
    """Rows, results.json with the section `intent`, and the table; a finished evaluation is shown again. Raises BadInput."""
    run, out = Path(config.run), Path(config.out)
    if config.benchmark.name != "mice_text":
        raise BadInput(
            f"{run} trained a writer of intents, which benchmark={config.benchmark.name} does not score; choose benchmark=mice_text"
        )
    if not (out / FILE).is_file():
        check_out(out)
    quiet_libraries(config.verbose, out)
    used = replace(load_config(run), benchmark=config.benchmark)
    out.mkdir(parents=True, exist_ok=True)
    about = {"run": config.run, "benchmark": "mice_text", "part": config.part, "samples": config.samples}
    with locked(out):
        there = read_json(out / RESULTS) if (out / RESULTS).is_file() else about
        if {k: there.get(k) for k in about} != about:
            raise BadInput(f"{out} holds another evaluation; choose another out=<folder>")
        if not rows_of(out):
            samples = held_out_samples(
                used.benchmark, used.scale.image_size, config.samples, used.scale.test_seed, config.part
            )
            with library_lines():
                write_rows(out, used, run / WRITER, samples)
        results = about | {"intent": intent_results(rows_of(out))}
        write_json(out / RESULTS, results)
    print_intents(results)
    console.print(f"results: [bold]{out / RESULTS}[/]")


__all__ = ["evaluate_intents"]
