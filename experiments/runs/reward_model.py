"""The stages that make a reasoning reward model (arXiv 2604.27505): its data, the cold start, GCPO, and how well it orders
pairs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from common.jsonl import Journal, read_jsonl
from common.parts import Machine
from common.progress import bar
from conf.schema import RunConfig
from experiments.build.device import device_of
from experiments.build.engines import make_engine, products_of
from experiments.build.reward_models import NO_REWARD_MODEL, SUPERVISED
from experiments.build.rollouts import make_backend
from experiments.build.teachers import human_pairs, points_of
from experiments.evaluation.pairs import PairRow, accuracies
from experiments.preflight import language_phases as memory
from experiments.preflight.phases import Phase
from experiments.runs.launch import Log, Show
from experiments.runs.reward_data import COLD_START, HELD_OUT, PAIRS, RewardData
from experiments.runs.run import Run
from experiments.runs.stages import Stage, TrainingStage, shown
from experiments.runs.training import save_whole
from experiments.sharing import edit_r1
from experiments.sharing.doing import take_or_make
from experiments.sharing.phase import SharedPhase
from experiments.sharing.stage_phases import phase_of
from experiments.tiny.simulated import Annotators
from experiments.tiny.teacher import labelled_pairs
from experiments.training_data.cold_start import ColdStart, batches
from judges.choices import GENERATED, LOGITS
from judges.reasoning.scorer import TraceScorer, ask
from judges.reasoning.trace import Form
from judges.rubrics.rrm import RRMRubric
from rl.gcpo import EditPair, GCPOTraining
from rl.parts import PairTools
from rl.sft import SFTExample, train_sft

FOLDER, GCPO_MODEL, SCORES = "rrm", "gcpo", "rrm-scores.jsonl"


def model_folder(run: Run, name: str) -> Path:
    return run.folder / FOLDER / name


def rubric_of(config: RunConfig, form: Form = Form.BOTH, scoring: str = GENERATED) -> RRMRubric:
    """What the model is asked; in training the score is the one that a trace says."""
    return RRMRubric(points_of(config), config.rrm.prompt, form, config.rrm.max_new_tokens, scoring)


def missing_model(config: RunConfig, machine: Machine) -> Iterator[str]:
    if config.rrm is None:
        yield NO_REWARD_MODEL
    else:
        yield from config.rrm.missing(machine)


class ColdStarts(Stage):
    """Supervised training on the chosen traces: of the reward model, and of those that it is compared with. Each of these models
    is shared with other runs by itself; what other stages build on is the reward model."""

    name = "rrm_sft"
    uses = frozenset()
    leaves = ("rrm-sft.jsonl", f"{FOLDER}/sft")
    builds_on = ("rrm_data",)
    own_sharing = True

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r1.cold_start()

    def defined_by(self, config: RunConfig) -> Mapping[str, Any]:
        return edit_r1.files_of(config)

    def done(self, run: Run) -> bool:
        return bool(run.config.rrm.checkpoint) or all(model_folder(run, name).is_dir() for name in self.names(run))

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        yield from missing_model(config, machine)

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        if config.rrm and not config.rrm.checkpoint:
            yield Phase(self.name, "training", memory.supervised(memory.reward_model(config), config.rrm.sft))

    def names(self, run: Run) -> list[str]:
        return [name for name in SUPERVISED if name == "sft" or name in run.config.rrm.compared]

    def run(self, run: Run) -> None:
        for name in self.names(run):
            if not model_folder(run, name).is_dir():
                run.enter(f"cold start, {name.replace('_', ' ')}")
                train, phase = partial(self._train, run, name), self.shared(run, name)
                train() if phase is None else take_or_make(run, phase, train)

    def shared(self, run: Run, name: str) -> SharedPhase | None:
        """One of the models, as a phase that runs have in common; that of the reward model is the stage's own."""
        phase, journal = phase_of(self, run.stages, run.config, run.identity), f"rrm-{name}.jsonl"
        if phase is None or name == "sft":
            return phase and replace(phase, steps=journal)
        own = {**phase.identity, "model": name, "defined by": edit_r1.files_of(run.config, SUPERVISED[name])}
        return SharedPhase(f"{self.name}-{name}", own, (journal, f"{FOLDER}/{name}"), journal)

    def _train(self, run: Run, name: str) -> None:
        c = run.config.rrm
        vlm = c.load(device_of(run.config.engine))
        rubric = rubric_of(run.config, SUPERVISED[name])
        examples = ColdStart(run.folder / COLD_START, rubric, c.data.choice).examples()
        batch = batches(examples, run.config.seed)

        def sized(step: int) -> list[SFTExample]:
            return batch(step, c.sft.batch_size)

        with run.timed("train"), bar(run.phase, c.sft.steps) as b, products_of(run.config.engine):
            train_sft(
                c.sft, vlm, sized, run.folder, run.log_of(f"rrm-{name}.jsonl"),
                shown(b, "sft/loss", "loss"), name=f"rrm-{name}",
            )  # fmt: skip
        save_whole(vlm, model_folder(run, name))
        shutil.rmtree(run.folder / f"checkpoints-rrm-{name}", ignore_errors=True)


class GCPO(TrainingStage):
    """GCPO on the annotators' pairs, from the cold start."""

    name = "gcpo"
    uses = frozenset()
    metrics = ("reward/mean", "reward/score/mean", "groups/no_spread")
    journal: ClassVar[str] = "gcpo.jsonl"
    leaves = ("gcpo.jsonl", "gcpo-rows.jsonl", f"{FOLDER}/{GCPO_MODEL}")
    builds_on = ("rrm_data", "rrm_sft")

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r1.gcpo()

    def defined_by(self, config: RunConfig) -> Mapping[str, Any]:
        return edit_r1.files_of(config)

    def done(self, run: Run) -> bool:
        return bool(run.config.rrm.checkpoint) or model_folder(run, GCPO_MODEL).is_dir()

    def steps(self, config: RunConfig) -> int:
        return int(config.rrm.gcpo.steps)

    def run(self, run: Run) -> None:
        with run.timed("train"):
            self.launch(run, "GCPO", "reward/mean", "pairs in order")

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        yield from missing_model(config, machine)

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        """Rollouts and updates take turns."""
        if not config.rrm or config.rrm.checkpoint:
            return
        model, algo, rollouts = memory.reward_model(config), config.rrm.gcpo, config.rollouts.resolve("cuda")
        gpus = config.launcher.processes * config.launcher.nodes
        kept = memory.kept_in_training(model, algo, config.engine, gpus)
        traces = -(-2 * algo.prompts_per_step * algo.group_size // gpus)
        update = {"activations": model.update(algo)}
        yield Phase(self.name, "rollouts", kept | memory.engine_bytes(model, rollouts, traces, True, algo), gpus)
        idle = memory.engine_bytes(model, rollouts, traces, False, algo)
        yield Phase(self.name, "training", kept | update | idle, gpus)

    def train(self, run: Run, log: Log | None = None, progress: Show | None = None) -> None:
        c, start = run.config, model_folder(run, "sft")
        pairs, rubric = training_pairs(run), rubric_of(run.config)
        anchors = ColdStart(run.folder / COLD_START, rubric, c.rrm.data.choice)
        training = GCPOTraining(
            c.rrm.gcpo,
            PairTools(
                load=lambda: c.rrm.load(device_of(c.engine), start),
                engine=partial(make_engine, c.engine),
                sharded=not c.engine.whole_weights,
                backend=lambda vlm: make_backend(c.rollouts, vlm),
                pair=lambda index: pairs[index % len(pairs)],
                ask=partial(ask, rubric),
                anchors=batches(anchors.examples(), c.seed + 1) if c.rrm.gcpo.anchor.examples else None,
                max_new_tokens=c.rrm.max_new_tokens,
                seed=c.seed,
            ),
        )
        training.run(run.folder, log, progress, name=GCPO_MODEL)
        if training.engine.rank == 0:
            save_whole(training.vlm, model_folder(run, GCPO_MODEL))


def training_pairs(run: Run) -> list[EditPair]:
    """The annotators' pairs, in an order that the run's seed decides."""
    data = run.config.rrm.data
    if data.preferences:
        return human_pairs(run.config)[0]
    found = labelled_pairs(
        RewardData.folder(run, PAIRS).read(data.pairs), Annotators(data.annotator_noise, data.same), run.config.seed
    )
    return Random(f"pairs/{run.config.seed}").sample(found, len(found))


def held_out_pairs(run: Run) -> list[EditPair]:
    """In the order of the exact scores, or in that of people."""
    data = run.config.rrm.data
    if data.preferences:
        return human_pairs(run.config)[1]
    return labelled_pairs(RewardData.folder(run, HELD_OUT).read(data.held_out), Annotators(0.0, data.same), 0)


class PairAccuracy(Stage):
    """The share of held-out pairs that each reward model orders as the exact judge (or people) do; equal scores are wrong."""

    name = "rrm_accuracy"
    uses = frozenset()
    metrics = ("rrm.pair_accuracy",)
    leaves = (SCORES,)
    builds_on = ("rrm_data", "rrm_sft", "gcpo")
    panels = ("experiments.reports.run.reward_model.CARDS", "experiments.reports.run.reward_model.PANEL")

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        if config.rrm:
            model = memory.reward_model(config)
            asked = memory.engine_bytes(model, config.rollouts.resolve("cuda"), 2 * config.scale.chunk)
            yield Phase(self.name, "held-out pairs", {"reward model": model.weights} | asked)

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r1.pair_accuracy()

    def defined_by(self, config: RunConfig) -> Mapping[str, Any]:
        return edit_r1.files_of(config)

    def models(self, run: Run) -> dict[str, tuple[Path, Form]]:
        if run.config.rrm.checkpoint:
            return {"checkpoint": (Path(run.config.rrm.checkpoint), Form.BOTH)}
        names = ColdStarts().names(run)
        supervised = {name: (model_folder(run, name), SUPERVISED[name]) for name in names}
        return supervised | {GCPO_MODEL: (model_folder(run, GCPO_MODEL), Form.BOTH)}

    def done(self, run: Run) -> bool:
        return set(self.models(run)) <= {row["model"] for row in score_rows(run.folder)}

    def run(self, run: Run) -> None:
        pairs = held_out_pairs(run)
        journal = Journal(run.folder / SCORES)
        there = {row["model"] for row in score_rows(run.folder)}
        for name, (folder, form) in self.models(run).items():
            if name not in there:
                run.enter(f"held-out pairs, {name.replace('_', ' ')}")
                journal.append([row.to_dict() for row in self._scored(run, name, folder, form, pairs)])

    def _scored(self, run: Run, name: str, folder: Path, form: Form, pairs: Sequence[EditPair]) -> list[PairRow]:
        c = run.config
        backend = make_backend(c.rollouts, c.rrm.load(device_of(c.engine), folder))
        scorer = TraceScorer(backend, rubric_of(c, form, c.rrm.scoring), c.rrm.max_new_tokens)
        rows: list[PairRow] = []
        with run.timed("evaluate"), bar(run.phase, len(pairs)) as b:
            for start in range(0, len(pairs), c.scale.chunk):
                part = pairs[start : start + c.scale.chunk]
                samples = [p.sample for p in part for _ in (0, 1)]
                scores = iter(scorer.both(samples, [opens() for p in part for opens in (p.preferred, p.other)]))
                for p in part:
                    (preferred, says), (other, says_other) = next(scores), next(scores)
                    said = (says, says_other) if c.rrm.scoring == LOGITS else None
                    rows.append(PairRow(name, p.sample.id, preferred, other, said))
                b.update(start + len(part))
        return rows

    def show(self, run: Run, results: Mapping[str, Any]) -> None:
        from experiments.reports.run.reward_model import print_pairs

        print_pairs(results)

    def objective(self, run: Run) -> str:
        return f"rrm.pair_accuracy.{list(self.models(run))[-1]}"

    def results(self, run: Run) -> Mapping[str, Any]:
        rows = score_rows(run.folder)
        return {"rrm": accuracies([PairRow(**row) for row in rows])} if rows else {}


def score_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / SCORES
    return read_jsonl(path) if path.is_file() else []


__all__ = [
    "GCPO",
    "ColdStarts",
    "PairAccuracy",
    "model_folder",
    "held_out_pairs",
    "rubric_of",
    "score_rows",
    "training_pairs",
]
