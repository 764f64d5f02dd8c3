"""The stages that train on sessions (Edit-R2, arXiv 2606.05950): the method, and the trainings that it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.base import EditSession
from benchmarks.sandbox.generate import SessionMix, make_session
from common.parts import Machine
from conf.parts import build
from conf.schema import RunConfig
from editors.saving import save_with_transformer
from experiments.build.device import device_of
from experiments.build.editors import make_editor
from experiments.build.engines import make_engine
from experiments.build.rollouts import make_backend
from experiments.build.session_rewards import missing_session_reward
from experiments.evaluation.sessions import FULL
from experiments.preflight import editor_phases as editor_memory
from experiments.preflight import language_phases as language_memory
from experiments.preflight.phases import Phase
from experiments.runs.launch import Log, Show
from experiments.runs.run import Run
from experiments.runs.stages import TrainingStage
from experiments.runs.training import save_whole
from experiments.sharing import edit_r2
from judges.sessions.sandbox import SandboxSessionJudge
from rl.parts import SessionTools, SessionTraining

FOLDER, WRITER, EDITOR = "sessions", "intent", "editor"
TRAIN = ("train", 301)  # split and seed of the sessions


def leaves_of(arm: str) -> tuple[str, ...]:
    """What other runs take of an arm; those that train one model alone have one of the folders."""
    return tuple(f"{FOLDER}/{arm}/{name}" for name in ("metrics.jsonl", "samples.jsonl", WRITER, EDITOR))


def arm_folder(run: Run, arm: str) -> Path:
    return run.folder / FOLDER / arm


def training_session(config: RunConfig, index: int) -> EditSession:
    """Every seed of a run draws its own ones."""
    seed = TRAIN[1] + 1000 * config.seed
    return make_session(TRAIN[0], seed, index, config.algo.turns, config.scale.image_size, session_mix(config))


def session_mix(config: RunConfig) -> SessionMix:
    return SessionMix(vars(config.sessions.actions), vars(config.sessions.rules))


def missing_for_sessions(config: RunConfig, machine: Machine) -> Iterator[str]:
    """One line for everything that playing sessions needs and is not there. Raises BadInput for weights that leave nothing to
    draw."""
    if config.intent is None:
        yield "an intent writer: choose one with intent=tiny, or another of conf/intent (experiment=edit_r2 does)"
    else:
        yield from config.intent.missing(machine)
    if not config.editor.has_pipeline:
        yield f"an editor with weights: editor={config.editor.name} has none; choose editor=flux_kontext or qwen"
    if config.benchmark.name != "sandbox":
        yield f"sessions that can be drawn and judged: benchmark={config.benchmark.name} has none; choose benchmark=sandbox"
    session_mix(config)


def session_tools(config: RunConfig) -> SessionTools:
    """What a job gives to session RL."""
    c = config
    return SessionTools(
        load_writer=lambda: c.intent.load(device_of(c.engine)),
        load_editor=lambda: make_editor(c.editor, c.engine, reward_path=True).model,  # type: ignore[attr-defined]
        text_engine=partial(make_engine, c.engine),
        flow_engine=partial(make_engine, c.engine),
        sharded=not c.engine.whole_weights,
        backend=lambda vlm: make_backend(c.rollouts, vlm),
        session=partial(training_session, c),
        to_request=c.intent.to_request(),
        reward=c.reward.build_sessions(SandboxSessionJudge()),
        max_new_tokens=c.intent.max_new_tokens,
        seed=c.seed,
    )


def named(owner: str, held: Mapping[str, float]) -> dict[str, float]:
    """Memory of two models in one table."""
    return {f"{owner}: {what}": size for what, size in held.items()}


class EditR2(TrainingStage):
    """Intents and edits under one objective, with trajectory filtering. The trained writer and editor are folders that
    `intent.checkpoint=` and `editor.checkpoint=` take."""

    arm: ClassVar[str] = FULL
    uses = frozenset({"editor"})
    name = "session_rl"
    metrics = ("reward/mean", "reward/ga/mean", "turns/corrupted", "corrupted/edit")
    panels: ClassVar[tuple[str, ...]] = ("experiments.reports.run.sessions.TRAINING",)
    journal: ClassVar[str] = f"{FOLDER}/{FULL}/metrics.jsonl"
    leaves = leaves_of(FULL)

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r2.session_rl()

    def algo(self, config: RunConfig) -> Any:
        """The algorithm of this arm."""
        return config.algo

    def done(self, run: Run) -> bool:
        algo, folder = self.algo(run.config), arm_folder(run, self.arm)
        wanted = [name for name, side in ((WRITER, algo.text), (EDITOR, algo.flow)) if side.weight]
        return all((folder / name).is_dir() for name in wanted)

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        if not hasattr(config.algo, "sessions_per_step"):
            yield f"an algorithm for sessions: algo={config.algo.name} trains on single requests; choose algo=edit_r2"
        yield from missing_for_sessions(config, machine)
        yield from missing_session_reward(config)

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        """Intents, edits and both updates take turns; what is trained of either model stays all the time."""
        if config.intent is None or not config.editor.has_pipeline or not hasattr(config.algo, "sessions_per_step"):
            return
        algo, rollouts = self.algo(config), config.rollouts.resolve("cuda")
        writer, editor = language_memory.intent_writer(config), editor_memory.edited(config.editor)
        gpus = config.launcher.processes * config.launcher.nodes
        turns = -(-algo.sessions_per_step * algo.group_size // gpus)
        kept = named("writer", self._kept(writer, algo.text, config, gpus))
        kept |= named("editor", self._kept(editor, algo.flow, config, gpus))
        idle = language_memory.engine_bytes(writer, rollouts, turns, False, algo.text)
        asked = language_memory.engine_bytes(writer, rollouts, turns, True, algo.text)
        yield Phase(self.name, "intents", kept | asked, gpus)
        sampling = editor.activations(min(algo.flow.rollout_batch_size, turns))
        yield Phase(self.name, "edits", kept | {"activations": sampling} | idle, gpus)
        if algo.text.weight:
            backward = writer.update(algo.text)
            yield Phase(self.name, "training of the writer", kept | {"activations": backward} | idle, gpus)
        if algo.flow.weight:
            backward = editor_memory.backward(editor, algo.flow)
            yield Phase(self.name, "training of the editor", kept | {"activations": backward} | idle, gpus)

    @staticmethod
    def _kept(model: Any, side: Any, config: RunConfig, gpus: int) -> Mapping[str, float]:
        """Of one side in all phases: with weight 0 its weights alone."""
        memory = language_memory if isinstance(model, language_memory.Trained) else editor_memory
        if side.weight:
            return memory.kept_in_training(model, side, config.engine, gpus)
        whole = model.weights if isinstance(model, language_memory.Trained) else sum(map(model.weights, model.parts))
        return {"weights": whole}

    def run(self, run: Run) -> None:
        with run.timed("train"):
            self.launch(run, f"session RL, {self.arm.replace('_', ' ')}", "reward/mean", "reward")

    def train(self, run: Run, log: Log | None = None, progress: Show | None = None) -> None:
        c, algo = run.config, self.algo(run.config)
        folder = arm_folder(run, self.arm)
        training: SessionTraining = build(algo, session_tools(c))
        training.run(folder, log, progress)
        if training.ranks.rank == 0:
            if algo.text.weight:
                save_whole(training.vlm, folder / WRITER)
            if algo.flow.weight:
                save_with_transformer(training.flow.transformer, Path(c.editor.checkpoint), folder / EDITOR)


class TextOnly(EditR2):
    """RL of the intents alone: edits are those of the editor as it is."""

    arm = "text_only"
    name = "session_rl_text"
    panels = ()
    journal = f"{FOLDER}/text_only/metrics.jsonl"
    leaves = leaves_of(arm)
    indifferent = EditR2.indifferent

    def algo(self, config: RunConfig) -> Any:
        return replace(config.algo, flow=replace(config.algo.flow, weight=0.0))


class FlowOnly(EditR2):
    """RL of the editor alone: intents are those of the writer as it is."""

    arm = "flow_only"
    name = "session_rl_flow"
    panels = ()
    journal = f"{FOLDER}/flow_only/metrics.jsonl"
    leaves = leaves_of(arm)
    indifferent = EditR2.indifferent

    def algo(self, config: RunConfig) -> Any:
        return replace(config.algo, text=replace(config.algo.text, weight=0.0))


class NoFilter(EditR2):
    """Both, but turns after a failed one are trained like any other."""

    arm = "no_filter"
    name = "session_rl_no_filter"
    panels = ()
    journal = f"{FOLDER}/no_filter/metrics.jsonl"
    leaves = leaves_of(arm)
    indifferent = EditR2.indifferent

    def algo(self, config: RunConfig) -> Any:
        return replace(config.algo, filter="none")


ARMS: tuple[type[EditR2], ...] = (TextOnly, FlowOnly, NoFilter, EditR2)

__all__ = [
    "ARMS",
    "EDITOR",
    "FOLDER",
    "WRITER",
    "EditR2",
    "FlowOnly",
    "NoFilter",
    "TextOnly",
    "arm_folder",
    "missing_for_sessions",
    "session_mix",
]
