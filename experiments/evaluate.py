"""`python -m experiments.evaluate run=<folder or none> benchmark=… judge=… arms=… out=<folder>`.

Arms and judges on any benchmark are `experiments/evaluation/`. Here is what it shares with a run's evaluation of itself: its
decomposer, before and after its training (`arms=none`), and its arms on the sandbox (`arms=all`), with another editor,
execution, sequencer or judge where one is given and everything else as the run had it. That writes `<out>/results.json` and
the rows it is made of, with arms also `config.yaml` and `report.html` as a run has them; the same command again goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conf.schema import EvaluateConfig, RunConfig, TrackerConfig
from experiments.runs.cli import command

FREE_TEXT = ("run", "out", "arms", "label", "pictures", "benchmark.path")  # keys whose values are taken as they are
SWAPPED = ("editor", "execution", "sequencer", "judge", "benchmark", "engine")  # of a run, by the command line


def main(config: EvaluateConfig) -> None:
    from experiments.evaluation.spec import as_before, resolve

    words = given_words()
    if as_before(config, words):
        again(config)
        return
    from experiments.evaluation.main import evaluate
    from experiments.preflight.machine import one_process

    asked = resolve(config, words)
    one_process(asked.used.engine, "experiments.evaluate")
    asked.ready()
    evaluate(asked)


def again(config: EvaluateConfig) -> None:
    """A run's own evaluation once more."""
    from common.errors import BadInput, MissingFile
    from common.files import locked, write_text
    from common.progress import clock, console
    from experiments.build.benchmarks import held_out_samples
    from experiments.build.device import use_threads
    from experiments.preflight.machine import one_process
    from experiments.runs.identity import START, TRAINED, config_text, load_config
    from experiments.runs.libraries import quiet_libraries

    began = time.monotonic()
    run, out = Path(config.run), Path(config.out)
    trained = load_config(run)
    if not (run / TRAINED).is_dir():
        raise MissingFile(
            f"{run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
        )
    for key, value, known in (
        ("part", config.part, ("all", "train", "validation", "test")),
        ("arms", config.arms, ("none", "all")),
    ):
        if value not in known:
            raise BadInput(f"{key}={value} is unknown; choose {', '.join(known[:-1])} or {known[-1]}")
    pictured = config.arms == "all"
    used = resolved(config, trained, given_words())
    start = run / START if (run / START).is_dir() else Path(trained.decomposer.checkpoint)
    if pictured:
        check_arms(used, start)
    quiet_libraries(config.verbose)
    one_process(used.engine, "experiments.evaluate")
    use_threads(used.engine)
    count = (
        config.samples if config.samples is not None or used.benchmark.name != "sandbox" else trained.scale.test_samples
    )
    if count is not None and count < 1:
        raise BadInput(f"samples={count} cannot be used; give 1 or more")
    scale = trained.scale
    samples = held_out_samples(used.benchmark, scale.image_size, count, scale.test_seed, config.part)
    if pictured and samples[0].image is None:
        raise BadInput(f"benchmark={used.benchmark.name} has no pictures to edit: arms=all needs one with pictures")
    used = replace(used, scale=replace(used.scale, test_samples=len(samples)))
    console.print(f"[bold]{run}[/] on {used.benchmark.name}: {len(samples)} samples")
    with locked(out):
        work = Evaluated(used, run, out, samples, start, run / TRAINED, pictured)
        work.claim()
        if pictured:
            write_text(out / "config.yaml", config_text(used))
        work.decompositions()
        if pictured:
            work.arms()
        work.report(began)
    console.print(f"total time: {clock(time.monotonic() - began)}")


def given_words() -> list[str]:
    """The command line as Hydra read it. Which keys were given matters here, not only which values they ended with."""
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def resolved(config: EvaluateConfig, trained: RunConfig, words: Sequence[str]) -> RunConfig:
    """The configuration that is evaluated. Raises BadInput for parts that decompositions alone have no use for."""
    from common.errors import BadInput

    if config.arms == "all":
        calls = trained.scale.editor_calls if config.editor_calls is None else config.editor_calls
        return replace(swapped(trained, words), scale=replace(trained.scale, editor_calls=calls))
    keys = {w.partition("=")[0] for w in words}
    useless = sorted(k for k in keys if k == "editor_calls" or k.partition(".")[0] in SWAPPED[:4])
    if useless:
        raise BadInput(f"{', '.join(useless)} would change nothing: no picture is edited without arms=all")
    return replace(trained, benchmark=config.benchmark, engine=config.engine)


def swapped(trained: RunConfig, words: Sequence[str]) -> RunConfig:
    """The run's configuration with what the command line names in it: another choice of a group (`editor=qwen`, with the
    settings of the run's own scale), or single keys of a choice (`editor.steps=4`)."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    parsed = OverridesParser.create().parse_overrides(list(words))
    given = [(o, *o.key_or_group.partition(".")[::2], word) for o, word in zip(parsed, words, strict=True)]
    chosen = {group for _, group, key, _ in given if group in SWAPPED and not key}
    own = [word for _, group, _, word in given if group in {*chosen, "paths"}]
    fresh = composed([f"scale={trained.scale.name}", *own]) if chosen else trained
    parts = {group: getattr(fresh if group in chosen else trained, group) for group in SWAPPED}
    for override, group, key, _ in given:
        if group in SWAPPED and group not in chosen:
            node = OmegaConf.structured(parts[group])
            OmegaConf.update(node, key, override.value())
            parts[group] = OmegaConf.to_object(node)
    return replace(trained, **parts)


def composed(words: Sequence[str]) -> RunConfig:
    """The configuration of `python -m experiments.run` with these words, also from within a command."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    from common.errors import BadInput
    from experiments.runs.cli import compose, typed

    if not GlobalHydra.instance().is_initialized():
        return typed(compose("run", list(words)))
    try:
        return typed(hydra.compose("run", list(words)))  # every command has the same configuration folder
    except HydraException as error:
        raise BadInput(f"{' '.join(words)} do not go together: {' '.join(str(error).split())}") from error


def check_arms(config: RunConfig, start: Path) -> None:
    """Everything the arms need that may be missing, in one message. What training needs is not asked for."""
    from common.errors import MissingFile
    from experiments.build.judges import missing_judge
    from experiments.preflight.editor import missing_cache_room, missing_editor, missing_editor_memory
    from experiments.preflight.run import missing_data, missing_keys, missing_weights
    from experiments.runs.arms import check_calls

    check_calls(config.scale.editor_calls)
    found = [
        *missing_weights(replace(config.decomposer, checkpoint=str(start))),
        *missing_editor(config.editor),
        *missing_editor_memory(config),
        *missing_cache_room(config),
        *missing_keys(config.judge, TrackerConfig(name="jsonl")),
        *missing_judge(config.judge),
        *missing_data(config),
    ]
    if found:
        raise MissingFile("the arms cannot start here; missing:\n" + "\n".join(f"  - {line}" for line in found))


@dataclass
class Evaluated:
    """An evaluation in its folder `out`, with the configuration that is evaluated."""

    config: RunConfig
    run: Path
    out: Path
    samples: Sequence[Any]
    start: Path
    trained: Path
    pictured: bool

    @property
    def checkpoints(self) -> dict[str, Path]:
        return {"before": self.start, "after": self.trained}

    def claim(self) -> None:
        """Note in evaluation.json what was asked; BadInput where the folder holds something else."""
        from common.errors import BadInput
        from common.files import read_json, write_json

        path, asked = self.out / "evaluation.json", self.asked()
        if path.is_file():
            known = read_json(path)
            other = sorted(k for k in {*known, *asked} if known.get(k) != asked.get(k))
            if other:
                raise BadInput(
                    f"{self.out} holds another evaluation (other {', '.join(other)}); choose another out=<folder>"
                )
        elif (self.out / "config.yaml").is_file():
            raise BadInput(f"{self.out} is the folder of a run; choose another out=<folder>")
        write_json(path, asked)

    def asked(self) -> dict[str, Any]:
        """What decides the rows: samples, weights, and for the arms the parts with the content of their checkpoints."""
        from experiments.runs.identity import digest_folder, identity

        asked: dict[str, Any] = {
            "benchmark": self.config.benchmark.name,
            "samples": [s.id for s in self.samples],
            "weights": {w: digest_folder(c, ("*.safetensors",)) for w, c in self.checkpoints.items()},
        }
        if self.pictured:
            values = identity(self.config)
            asked |= {group: values[group] for group in SWAPPED if group != "benchmark"} | {"scale": values["scale"]}
            asked["editor"]["content"] = editor_digest(self.config)
        return asked

    def decompositions(self) -> None:
        from contextlib import nullcontext

        from common.files import Rows
        from common.jsonl import Journal
        from experiments.runs.arms import decomposer, timed
        from experiments.runs.job import decompose_rows

        Journal(self.out / "timing.jsonl").cut_after(0)  # a line that a kill tore
        for when, checkpoint in self.checkpoints.items():
            rows = Rows(self.out / "eval" / f"decompose_{when}.jsonl", len(self.samples), self.config.scale.chunk)
            decompose_rows(
                rows,
                self.samples,
                lambda c=checkpoint: decomposer(self.config, c),  # type: ignore[misc]
                f"decompositions {when} RL",
                lambda label: timed(self.out, label) if self.pictured else nullcontext(),
            )

    def arms(self) -> None:
        from experiments.runs.arms import Arms, run_arms

        run_arms(Arms(self.config, self.out, self.samples, self.start, self.trained), lambda phase: None)

    def report(self, began: float) -> None:
        """Write results.json and print it; with arms also report.html."""
        from common.files import write_json
        from common.progress import console
        from experiments.reports.run.terminal import decomposition_table, print_results
        from experiments.runs.results import Evaluation, average, results

        found = Evaluation.load(self.out)
        values = results(self.out, self.config) | {
            "run": str(self.run),
            "benchmark": self.config.benchmark.name,
            "n": len(self.samples),
            "unreadable": average([float(r["error"] is not None) for r in found.decompositions["after"]]),
        }
        if not self.pictured:
            spent: Mapping[str, float] = {"train": 0.0, "evaluate": round(time.monotonic() - began, 3)}
            values |= {"arms": {}, "time_s": spent}
        write_json(self.out / "results.json", values)
        if self.pictured:
            from experiments.reports.run.page import write_report

            print_results(self.out, values)
            console.print(f"report: [bold]{write_report(self.out)}[/]")
        else:
            console.print(decomposition_table(found))
            console.print(f"results: [bold]{self.out / 'results.json'}[/]")


def editor_digest(config: RunConfig) -> str | None:
    """Of an editor's checkpoint, also where it is named by a Hub id; None for an editor without one."""
    from editors.checkpoint import find_folder
    from experiments.runs.identity import digest_folder

    if not config.editor.checkpoint:
        return None
    folder = find_folder(config.editor.checkpoint, config.editor.allow_download)
    return digest_folder(folder, ("**/*.safetensors", "**/*.json"))


if __name__ == "__main__":
    command("evaluate", main, FREE_TEXT)
