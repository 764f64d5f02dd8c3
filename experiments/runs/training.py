"""The stages that train the decomposer: the supervised start, and GRPO."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agents.backends.vlm import VLM, save_vlm
from agents.prompt_files import load_prompt
from common.atomic import atomic_folder, why_refused
from common.errors import ImageEditError, SaveFailed
from common.parts import Machine
from common.progress import bar
from conf.parts import build, construct
from conf.schema import RunConfig
from experiments.build.benchmarks import train_samples
from experiments.build.decomposers import make_vlm
from experiments.build.engines import make_engine
from experiments.build.loops import loop_tools, no_reward
from experiments.build.picture_rewards import by_reward_model
from experiments.build.rewards import WeightedReward, reward_function
from experiments.build.rollouts import make_backend
from experiments.build.sequencers import make_sequencer
from experiments.runs.identity import START, TRAINED
from experiments.runs.launch import Log, Show
from experiments.runs.run import Run
from experiments.runs.stages import Stage, TrainingStage, shown
from experiments.sharing import indifferent
from experiments.tiny.coldstart import sft_example
from experiments.tiny.starts import recipe_examples, start_examples
from experiments.training_data.closed_loop import LoopMoments, loop_examples
from rl.parts import TextTools
from rl.sft import SFTExample, train_sft


class Supervised(Stage):
    """Supervised training before RL, for `algo.sft.steps` steps; nothing where that is 0. Its weights end in `start/`."""

    name = "supervised"
    metrics = ("sft/loss",)
    leaves = ("sft.jsonl", START)

    def done(self, run: Run) -> bool:
        return run.config.algo.sft.steps == 0 or (run.folder / START).is_dir()

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        yield from missing_algorithm(config)

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return indifferent.supervised(values)

    def run(self, run: Run) -> None:
        run.enter("supervised training")
        c = run.config
        vlm = make_vlm(c.decomposer, c.engine)
        sft = c.algo.supervised()
        examples = supervised_examples(c)

        with run.timed("sft"), bar("supervised training", sft.steps) as b:
            train_sft(sft, vlm, examples, run.folder, run.log_of("sft.jsonl"), shown(b, "sft/loss", "loss"))
        save_whole(vlm, run.folder / START)
        shutil.rmtree(run.folder / "checkpoints-sft", ignore_errors=True)  # the folder `start` has the result


class GRPO(TrainingStage):
    """GRPO on the decomposer, in this process or in several under torchrun. Its weights end in `decomposer/`."""

    name = "grpo"
    metrics = ("reward/mean", "kl/mean", "entropy/mean", "tokens/mean", "grad_norm")
    panels = ("experiments.reports.run.training.PANEL",)
    leaves = ("metrics.jsonl", "samples.jsonl", TRAINED)
    builds_on = ("supervised",)

    def done(self, run: Run) -> bool:
        return (run.folder / TRAINED).is_dir()

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return indifferent.grpo(values)

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        yield from missing_algorithm(config)
        yield from missing_for_texts(config)
        if callable(getattr(construct(config.reward), "build_sessions", None)):
            yield (
                f"a reward of single requests: reward={config.reward.name} scores the turns of sessions, for experiment=edit_r2; "
                "choose reward=f1_goal or another"
            )

    def run(self, run: Run) -> None:
        self.launch(run, "GRPO", "reward/mean", "reward")

    def train(self, run: Run, log: Log | None = None, progress: Show | None = None) -> None:
        c, start = run.config, run.start
        pool = train_samples(c.benchmark, c.scale.image_size, c.seed)
        offset = c.algo.sft.steps * c.algo.sft.batch_size  # samples that the supervised stage has not shown
        sequencer = make_sequencer(c.sequencer, lambda: run.parts.backend(start))
        looped = c.execution.looped
        tools = TextTools(
            load=lambda: make_vlm(c.decomposer, c.engine, start),
            engine=partial(make_engine, c.engine),
            sharded=not c.engine.whole_weights,
            backend=lambda vlm: make_backend(c.rollouts, vlm),
            sample=lambda index: pool(offset + index),
            to_request=c.decomposer.to_request(),
            reward=no_reward if looped else reward_function(c, sequencer),
            anchors=start_examples(c.decomposer, c.seed),
            max_new_tokens=c.decomposer.max_new_tokens,
            seed=c.seed,
            loop=loop_tools(c, sequencer) if looped else None,
        )
        training = build(c.algo, tools)
        training.run(run.folder, log, progress)
        if training.engine.rank == 0:
            save_whole(training.vlm, run.folder / TRAINED)


def missing_algorithm(config: RunConfig) -> Iterator[str]:
    """A line for an algorithm that does not train a decomposer."""
    if not callable(getattr(config.algo, "supervised", None)):
        yield (
            f"an algorithm for decomposers: algo={config.algo.name} trains editors or sessions; leave algo= out, or choose "
            "algo=grpo or another one that trains on answers"
        )


def missing_for_texts(config: RunConfig) -> Iterator[str]:
    """A line for everything that the reward of decompositions needs and is not there."""
    from rewards.compose import COMPONENTS, TEXT_COMPONENTS

    part = construct(config.reward)
    if by_reward_model(config) and not (config.rrm and config.rrm.checkpoint):
        yield (
            f"a trained reward model for reward={config.reward.name}: experiment=edit_r1 makes one; name it by rrm=tiny "
            "rrm.checkpoint=<run>/rrm/gcpo, or choose another reward"
        )
    asked = getattr(getattr(config.algo, "pool", None), "component", "")
    if asked and isinstance(part, WeightedReward):
        known = COMPONENTS if part.pictures else TEXT_COMPONENTS
        if asked not in known:
            yield f"a component of this reward: algo.pool.component={asked} is none; choose one of {', '.join(known)}"


def supervised_examples(config: RunConfig) -> Callable[[int], list[SFTExample]]:
    """The batches of the supervised stage: the training samples' own decompositions, moments of closed loops, or the recipe of
    a tiny decomposer."""
    c, size = config, config.algo.sft.batch_size
    template = load_prompt(c.decomposer.prompt)
    if c.execution.looped:
        return loop_examples(LoopMoments.of(c.scale.image_size, c.benchmark.max_edits, c.seed), template, size)
    if getattr(c.decomposer, "examples", "") == "recipe":
        batch = recipe_examples(c.decomposer, c.seed)
        return lambda step: list(batch(step, size))
    samples = train_samples(c.benchmark, c.scale.image_size, c.seed)
    return lambda step: [sft_example(template, samples(step * size + j), c.decomposer.thought) for j in range(size)]


def save_whole(vlm: VLM, folder: Path) -> None:
    """Save a model so that the folder is only there when everything in it is. Raises SaveFailed."""
    remedy = "The checkpoints are intact; free space and give the same command again"
    try:
        with atomic_folder(folder, remedy=remedy) as draft:
            save_vlm(vlm, draft)
    except ImageEditError:
        raise
    except Exception as e:  # safetensors and tokenizers raise kinds of their own when a disk is full
        raise SaveFailed(f"could not save the model to {folder}: {why_refused(e)}. {remedy}") from e


__all__ = ["GRPO", "Supervised", "save_whole"]
