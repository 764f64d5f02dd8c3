"""The stages that train an editor by its pictures (arXiv 2604.27505, "RL for Image Editing"), and what it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.base import EditSample
from common.errors import MissingFile
from common.files import read_json, write_json
from common.jsonl import Journal, read_jsonl
from common.parts import Machine
from common.progress import bar
from conf.parts import build, construct, with_keys
from conf.schema import RunConfig
from editors.saving import save_with_transformer
from experiments.build.benchmarks import held_out_samples, train_samples
from experiments.build.editors import make_editor
from experiments.build.engines import make_engine
from experiments.build.judges import make_judge
from experiments.build.picture_rewards import PictureRewardPart, by_reward_model, missing_reward, picture_reward
from experiments.build.scorers import trace_scorer
from experiments.evaluation.edit_scores import CARD, FILE, HELD_OUT, WHEN, editor_change
from experiments.preflight import editor_phases as editor_memory
from experiments.preflight import language_phases as language_memory
from experiments.preflight.editor import missing_editor
from experiments.preflight.phases import Phase
from experiments.runs.launch import Log, Show
from experiments.runs.reward_model import GCPO_MODEL, model_folder
from experiments.runs.run import Run
from experiments.runs.stages import Stage, TrainingStage
from experiments.sharing import edit_r1
from experiments.tiny.teacher import requests
from judges.base import Judge, judge_all
from judges.reasoning.scorer import TraceScorer
from judges.remembering import RememberingJudge
from judges.sandbox import SandboxJudge
from rewards.pictures import judged
from rl.parts import FlowTools, FlowTraining

FOLDER = "editor"
TRAIN = ("train", 201)  # split and seed of the requests


def reward_model(run: Run, folder: str = "") -> TraceScorer:
    """The scorer of the reward model in this folder; "": that of `rrm.checkpoint`, or the run's own."""
    c = run.config
    own = "" if c.rrm is None or c.rrm.checkpoint else str(model_folder(run, GCPO_MODEL))
    return trace_scorer(c, folder or own)


def on_sandbox(config: RunConfig) -> bool:
    return bool(config.benchmark.name == "sandbox")


def training_requests(config: RunConfig) -> Callable[[int], EditSample]:
    """In the sandbox requests of one to three edits said in full, elsewhere those that the benchmark trains on."""
    if on_sandbox(config):
        return requests(*TRAIN, config.scale.image_size)
    return train_samples(config.benchmark, config.scale.image_size, config.seed)


def held_out_requests(config: RunConfig) -> list[EditSample]:
    n, size = config.scale.test_samples, config.scale.image_size
    if on_sandbox(config):
        sample = requests(*HELD_OUT, size)
        return [sample(i) for i in range(n)]
    return held_out_samples(config.benchmark, size, n, config.scale.test_seed)


def scoring(config: RunConfig, edits: int, asked: bool = True) -> dict[str, float]:
    """Bytes of the reward model that scores edits, while it is asked or beside other work."""
    model = language_memory.reward_model(config)
    answering = language_memory.engine_bytes(model, config.rollouts.resolve("cuda"), edits, asked)
    return {"reward model": model.weights} | {f"{name} (reward)": held for name, held in answering.items()}


class EditorRL(TrainingStage):
    """Flow-GRPO, one of its variants or DiffusionNFT on the editor (`algo=`), by `reward=`. The trained editor is a folder that
    `editor.checkpoint=` takes."""

    name = "editor_rl"
    uses = frozenset({"editor"})
    metrics = ("reward/mean", "watch/score/mean", "trained/ratio_last", "grad_norm")
    panels = ("experiments.reports.run.editor_training.PANEL",)
    leaves = ("metrics.jsonl", "samples.jsonl", FOLDER)
    builds_on = ("rrm_data", "rrm_sft", "gcpo")

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r1.editor_rl(values)

    def parents(self, config: RunConfig) -> Sequence[str]:
        """None with a reward of ours that asks no reward model."""
        part = construct(config.reward)
        return () if isinstance(part, PictureRewardPart) and not part.weights.rrm else self.builds_on

    def defined_by(self, config: RunConfig) -> Mapping[str, Any]:
        return edit_r1.files_of(config) if self.parents(config) else {}

    def done(self, run: Run) -> bool:
        return (run.folder / FOLDER).is_dir()

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        if not hasattr(config.algo, "sampling_steps"):
            yield f"an algorithm for editors: algo={config.algo.name} trains a language model; choose algo=flow_grpo or nft"
        if not config.editor.has_pipeline:
            yield f"an editor with weights: editor={config.editor.name} has none; choose editor=flux_kontext or qwen"
        yield from missing_reward(config)
        yield from missing_editor(config.editor)

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        """Each process samples, scores and updates in turns; a reward model stays beside the editor."""
        algo = config.algo
        if not config.editor.has_pipeline or not hasattr(algo, "sampling_steps"):
            return
        model = editor_memory.edited(config.editor)
        gpus = config.launcher.processes * config.launcher.nodes
        edits = -(-algo.prompts_per_step * algo.group_size // gpus)
        kept = editor_memory.kept_in_training(model, algo, config.engine, gpus)
        rewarded = config.rrm is not None and by_reward_model(config)
        idle = scoring(config, edits, asked=False) if rewarded else {}
        sampling = {"activations": model.activations(min(algo.rollout_batch_size, edits))}
        yield Phase(self.name, "rollouts", kept | sampling | idle, gpus)
        if rewarded:
            yield Phase(self.name, "reward", kept | scoring(config, edits), gpus)
        yield Phase(self.name, "training", kept | {"activations": editor_memory.backward(model, algo)} | idle, gpus)

    def run(self, run: Run) -> None:
        self.launch(run, "editor RL", "reward/mean", "reward")

    def train(self, run: Run, log: Log | None = None, progress: Show | None = None) -> None:
        c = run.config
        exact = RememberingJudge(SandboxJudge()) if on_sandbox(c) else None  # shared by the reward and the watch
        tools = FlowTools(
            load=lambda: make_editor(c.editor, c.engine, reward_path=True).model,  # type: ignore[attr-defined]
            engine=partial(make_engine, c.engine),
            sharded=not c.engine.whole_weights,
            sample=training_requests(c),
            instruction=lambda sample: sample.request,
            reward=picture_reward(c, lambda folder: reward_model(run, folder), exact),
            seed=c.seed,
            watch=None if exact is None else judged(exact),
        )
        training: FlowTraining = build(c.algo, tools)
        training.run(run.folder, log, progress)
        if training.engine.rank == 0:
            save_with_transformer(training.flow.transformer, Path(c.editor.checkpoint), run.folder / FOLDER)


class EditorScores(Stage):
    """The editor before and after RL on held-out requests: the exact judge's scores (the run's judge outside the sandbox), and
    those of the reward model."""

    name = "editor_scores"
    uses = frozenset({"editor"})
    metrics = ("editor_rl",)
    panels = ("experiments.reports.run.editor_training.CARDS", "experiments.reports.run.editor_training.SCORES")

    def done(self, run: Run) -> bool:
        """A benchmark may have fewer requests than `scale.test_samples`: how many there are was noted when they were read."""
        if not (card := run.folder / CARD).is_file():
            return False
        n, rows = read_json(card)["requests"], score_rows(run.folder)
        return all(sum(r["when"] == when for r in rows) >= n for when in WHEN)

    def run(self, run: Run) -> None:
        journal = Journal(run.folder / FILE)
        journal.cut_after(0)
        held_out, chunk = held_out_requests(run.config), run.config.scale.chunk
        n = len(held_out)
        write_json(run.folder / CARD, {"requests": n})
        for when in WHEN:
            begun = sum(r["when"] == when for r in score_rows(run.folder))
            if begun >= n:
                continue
            run.enter(f"the editor {when} RL")
            work = _Scoring(run, when)
            with run.timed("evaluate"), bar(run.phase, n, begun) as b:
                for first in range(begun, n, chunk):
                    numbers = range(first, min(first + chunk, n))
                    journal.append(work.rows(numbers, [held_out[i] for i in numbers]))
                    b.update(numbers.stop)

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        if config.editor.has_pipeline:
            held = editor_memory.editing(config.editor)
            asked = scoring(config, config.scale.chunk) if config.rrm else {}
            yield Phase(self.name, "edits and their scores", held | asked)

    def results(self, run: Run) -> Mapping[str, Any]:
        rows = score_rows(run.folder)
        return {"editor_rl": editor_change(rows)} if rows else {}

    def show(self, run: Run, results: Mapping[str, Any]) -> None:
        from experiments.reports.run.editor_training import print_editor

        print_editor(results)

    def objective(self, run: Run) -> str:
        return "editor_rl.exact_overall.after"


class _Scoring:
    """One editor with its judges."""

    def __init__(self, run: Run, when: str) -> None:
        self.run, self.when = run, when

    @cached_property
    def editor(self) -> Any:
        c = self.run.config
        if self.when == "before":
            return make_editor(c.editor, c.engine)
        trained = self.run.folder / FOLDER
        if not trained.is_dir():
            raise MissingFile(f"{trained} is not there yet; run the stage editor_rl first")
        return make_editor(with_keys(c.editor, "editor", {"checkpoint": str(trained)}), c.engine)

    @cached_property
    def judge(self) -> Judge:
        c = self.run.config
        return SandboxJudge() if on_sandbox(c) else make_judge(c.judge, c.engine, c.paths.outputs)

    @cached_property
    def scorer(self) -> Callable[[Sequence[Any], Sequence[Image.Image]], Sequence[float | None]]:
        """The run's own reward model; a run whose stages train none scores without."""
        c = self.run.config
        if c.rrm is None or not (c.rrm.checkpoint or model_folder(self.run, GCPO_MODEL).is_dir()):
            return lambda samples, pictures: [None] * len(samples)
        return reward_model(self.run)

    def rows(self, numbers: Sequence[int], samples: Sequence[Any]) -> list[dict[str, Any]]:
        pictures = self.editor.edit([s.image for s in samples], [s.request for s in samples], list(numbers))
        verdicts = judge_all(self.judge, samples, pictures)
        scores = self.scorer(samples, pictures)
        rows = []
        for i, sample, picture, verdict, score in zip(numbers, samples, pictures, verdicts, scores, strict=True):
            if i < self.run.config.scale.strips:
                self._keep(i, self.when, picture)
                self._keep(i, "given", sample.image)
                if (target := getattr(sample, "target", None)) is not None:
                    self._keep(i, "target", target)
            row = {"when": self.when, "i": i, "id": sample.id, "kind": sample.kind, "request": sample.request}
            rows.append(row | {"valid": verdict.valid, "scores": dict(verdict.scores), "rrm": score})
        return rows

    def _keep(self, i: int, name: str, picture: Image.Image) -> None:
        path = self.run.folder / "editor-pictures" / f"{i:03d}-{name}.png"
        path.parent.mkdir(exist_ok=True)
        picture.save(path)


def score_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / FILE
    return read_jsonl(path) if path.is_file() else []


__all__ = ["FOLDER", "EditorRL", "EditorScores", "reward_model", "score_rows"]
