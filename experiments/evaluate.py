"""`python -m experiments.evaluate run=<folder> benchmark=… out=<folder>`: a run's decomposer, before and after its
training, on any benchmark. Writes `<out>/results.json` and the rows it is made of; the same command again goes on.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from conf.schema import EvaluateConfig, RunConfig
from experiments.cli import command

FREE_TEXT = ("run", "out", "benchmark.path")  # keys whose values are taken as they are


def main(config: EvaluateConfig) -> None:
    from benchmarks.errors import BadInput, MissingFile
    from experiments import build
    from experiments.identity import digest_folder, load_config
    from experiments.job import START, TRAINED, decompose_rows
    from experiments.progress import clock, console
    from experiments.results import WHEN, Evaluation, average, decomposition_scores
    from experiments.run import quiet_libraries
    from experiments.store import Rows, locked, read_json, write_json
    from experiments.tables import decomposition_table

    began = time.monotonic()
    run, out = Path(config.run), Path(config.out)
    trained_config = load_config(run)
    if not (run / TRAINED).is_dir():
        raise MissingFile(
            f"{run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
        )
    if config.part not in ("all", "train", "validation", "test"):
        raise BadInput(f"part={config.part} is unknown; choose all, train, validation or test")
    quiet_libraries(config.verbose)
    build.use_threads(config.engine)
    count = (
        config.samples
        if config.samples is not None or config.benchmark.name != "sandbox"
        else trained_config.scale.test_samples
    )
    if count is not None and count < 1:
        raise BadInput(f"samples={count} cannot be used; give 1 or more")
    scale = trained_config.scale
    samples = build.test_samples(config.benchmark, scale.image_size, count, scale.test_seed, config.part)
    start = run / START if (run / START).is_dir() else Path(trained_config.decomposer.checkpoint)
    checkpoints = dict(zip(WHEN, (start, run / TRAINED), strict=True))
    console.print(f"[bold]{run}[/] on {config.benchmark.name}: {len(samples)} samples")
    with locked(out):
        asked = {
            "benchmark": config.benchmark.name,
            "samples": [s.id for s in samples],
            "weights": {w: digest_folder(c, ("*.safetensors",)) for w, c in checkpoints.items()},
        }
        if (out / "evaluation.json").is_file() and read_json(out / "evaluation.json") != asked:
            raise BadInput(f"{out} holds another evaluation (other samples or weights); choose another out=<folder>")
        write_json(out / "evaluation.json", asked)
        for when, checkpoint in checkpoints.items():
            rows = Rows(out / "eval" / f"decompose_{when}.jsonl", len(samples), scale.chunk)
            decompose_rows(
                rows,
                samples,
                lambda c=checkpoint: decomposer(trained_config, config, c),  # type: ignore[misc]
                f"decompositions {when} RL",
                lambda label: nullcontext(),
            )
        found = Evaluation.load(out)
        write_json(
            out / "results.json",
            {
                "scale": scale.name,
                "editor": trained_config.editor.name,
                "reward": trained_config.reward.name,
                "execution": trained_config.execution.name,
                "algo": trained_config.algo.variant,
                "seed": trained_config.seed,
                "run": str(run),
                "benchmark": config.benchmark.name,
                "n": len(samples),
                "decomposition": decomposition_scores(found.decompositions),
                "unreadable": average([float(r["error"] is not None) for r in found.decompositions["after"]]),
                "arms": {},
                "time_s": {"train": 0.0, "evaluate": round(time.monotonic() - began, 3)},
            },
        )
    console.print(decomposition_table(found))
    console.print(f"results: [bold]{out / 'results.json'}[/]   total time: {clock(time.monotonic() - began)}")


def decomposer(trained: RunConfig, config: EvaluateConfig, checkpoint: Path):  # type: ignore[no-untyped-def]
    from experiments import build

    vlm = build.make_vlm(trained.decomposer, config.engine, checkpoint)
    return build.make_decomposer(trained.decomposer, build.make_backend(trained.rollouts, vlm))


if __name__ == "__main__":
    command("evaluate", main, FREE_TEXT)
