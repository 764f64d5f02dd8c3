"""The stages that teach a writer a benchmark's own intents, and see how well it writes those of held-out sessions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.base import EditSample
from benchmarks.mice_intents import lasting, mice_intent
from common.jsonl import Journal, read_jsonl
from common.parts import Machine
from common.progress import bar
from conf.schema import RunConfig
from experiments.build.benchmarks import held_out_samples, train_samples
from experiments.build.device import device_of
from experiments.build.engines import products_of
from experiments.build.rollouts import make_backend
from experiments.evaluation.intents import FILE, intent_results, intent_rows, later_turns, print_intents
from experiments.runs.identity import WRITER
from experiments.runs.run import Run
from experiments.runs.stages import Stage, shown
from experiments.runs.training import save_whole
from experiments.sharing import edit_r2
from rl.sft import SFTExample, train_sft

STRIDE = 2  # samples for each example: two of three turns are later ones


class IntentSFT(Stage):
    """Supervised training of the writer on the later turns of the benchmark's training sessions."""

    name = "intent_sft"
    uses = frozenset()
    metrics = ("sft/loss",)
    leaves = ("intent.jsonl", WRITER)

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r2.intent_sft()

    def done(self, run: Run) -> bool:
        return (run.folder / WRITER).is_dir()

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        if config.intent is None:
            yield "an intent writer: choose one with intent=tiny, or another of conf/intent (experiment=mice_intents does)"
        else:
            yield from config.intent.missing(machine)
        if config.benchmark.name != "mice_text":
            yield f"sessions with intents: benchmark={config.benchmark.name} has none; choose benchmark=mice_text"

    def run(self, run: Run) -> None:
        run.enter("intents, supervised")
        c = run.config
        vlm, to_request = c.intent.load(device_of(c.engine)), c.intent.to_request()
        pool, size = train_samples(c.benchmark, c.scale.image_size, c.seed), c.intent.sft.batch_size

        def examples(step: int) -> list[SFTExample]:
            numbers = count(step * size * STRIDE)  # steps may share samples where few of them are later turns
            chosen = islice((s for s in map(pool, numbers) if s.history), size)
            return [SFTExample(to_request(s), answer(s)) for s in chosen]

        with run.timed("sft"), bar(run.phase, c.intent.sft.steps) as b, products_of(c.engine):
            train_sft(
                c.intent.sft,
                vlm,
                examples,
                run.folder,
                run.log_of("intent.jsonl"),
                shown(b, "sft/loss", "loss"),
                name="intent",
            )
        save_whole(vlm, run.folder / WRITER)
        shutil.rmtree(run.folder / "checkpoints-intent", ignore_errors=True)


def answer(sample: EditSample) -> str:
    """What a writer is to say of a turn: which thing is meant and whether a rule applies, then the instruction."""
    value = lasting(sample)
    applies = "no rule" if value is None else f"rule {' '.join(value)}"
    return f"<think>{'; '.join(e.subject for e in sample.gold)}; {applies}</think>{mice_intent(sample)}"


class IntentScores(Stage):
    """The intents of held-out turns."""

    name = "intent_scores"
    uses = frozenset()
    metrics = ("intent",)
    leaves = (FILE,)
    builds_on = ("intent_sft",)

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r2.intent_scores()

    def done(self, run: Run) -> bool:
        return (run.folder / FILE).is_file()

    def run(self, run: Run) -> None:
        run.enter("held-out intents")
        c = run.config
        samples = held_out_samples(c.benchmark, c.scale.image_size, c.scale.test_samples, c.scale.test_seed)
        with run.timed("evaluate"):
            write_rows(run.folder, c, run.folder / WRITER, samples)

    def results(self, run: Run) -> Mapping[str, Any]:
        return {"intent": intent_results(rows)} if (rows := rows_of(run.folder)) else {}

    def show(self, run: Run, results: Mapping[str, Any]) -> None:
        print_intents(results)

    def objective(self, run: Run) -> str:
        return "intent.cu_object"


def write_rows(folder: Path, config: RunConfig, writer: Path, samples: list[EditSample]) -> None:
    """The rows of the samples' later turns by the writer in a folder, in the file of a run or of an evaluation."""
    c = config
    own = c.intent.writer(make_backend(c.rollouts, c.intent.load(device_of(c.engine), writer)))
    rows = intent_rows(later_turns(samples), own, c.scale.chunk, "intents")
    Journal(folder / FILE).append([{"step": n, **row} for n, row in enumerate(rows, 1)])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    path = folder / FILE
    return read_jsonl(path) if path.is_file() else []


__all__ = ["IntentSFT", "IntentScores", "answer", "rows_of", "write_rows"]
