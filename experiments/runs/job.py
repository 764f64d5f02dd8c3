"""The main job, phase by phase: supervised start (where asked for), before, GRPO, after, the arms.

Every phase leaves files that say how far it came, so the same command goes on where a kill left it, and ends with the
same scores as one that was never killed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.backends.vlm import VLM, save_vlm
from agents.decomposer import Decomposer, build_request, load_prompt
from benchmarks.base import EditSample
from common.errors import SaveFailed
from common.files import Rows, write_json
from common.jsonl import Journal, read_jsonl
from common.progress import Bar, bar
from conf.schema import RunConfig
from experiments.build.benchmarks import held_out_samples, train_samples
from experiments.build.decomposers import make_vlm
from experiments.build.device import use_threads
from experiments.build.engines import make_engine
from experiments.build.rewards import make_reward, reward_function
from experiments.build.rollouts import make_backend
from experiments.build.sequencers import make_sequencer
from experiments.preflight.run import TEXT_ONLY
from experiments.runs.arms import Arms, Timed, backend, decomposer, run_arms, timed
from experiments.runs.identity import START, TRAINED
from experiments.runs.launch import Log, Show, launch
from experiments.runs.results import results
from experiments.runs.tracking import Tracker
from experiments.tiny.coldstart import sft_example
from rewards.compose import components
from rewards.format import read
from rl.engine.process_group import leave
from rl.grpo import train_grpo
from rl.sft import SFTExample, train_sft
from rl.text_rollouts import TextSampler


@dataclass
class Job:
    """One run in its folder. `phase` is what it is doing, for the message when it is interrupted."""

    config: RunConfig
    folder: Path
    tracker: Tracker
    phase: str = "setting up"
    _samples: list[EditSample] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """All phases; returns what results.json holds."""
        use_threads(self.config.engine)
        Journal(self.folder / "timing.jsonl").cut_after(0)  # a line that a kill tore; its rows carry no step and stay
        start = self.supervised()
        self.decomposition("before", start)
        trained = self.grpo(start)
        self.decomposition("after", trained)
        if self.pictured:
            run_arms(Arms(self.config, self.folder, self.samples, start, trained), self.enter)
        self.phase = "writing results"
        found = results(self.folder, self.config)
        write_json(self.folder / "results.json", found)
        return found

    def enter(self, phase: str) -> None:
        self.phase = phase

    @property
    def samples(self) -> list[EditSample]:
        """Test samples, the same for every seed of the run so that runs can be compared."""
        if not self._samples:
            c = self.config
            self._samples = held_out_samples(c.benchmark, c.scale.image_size, c.scale.test_samples, c.scale.test_seed)
        return self._samples

    @property
    def pictured(self) -> bool:
        return self.config.benchmark.name not in TEXT_ONLY and self.samples[0].image is not None

    def supervised(self) -> Path:
        """The start's folder: the given checkpoint, or that after `algo.sft.steps` of supervised training on top."""
        done = self.folder / START
        if self.config.algo.sft.steps == 0:
            return Path(self.config.decomposer.checkpoint)
        if not done.is_dir():
            self.phase = "supervised training"
            vlm = make_vlm(self.config.decomposer, self.config.engine)
            sft = self.config.algo.supervised()
            samples = train_samples(self.config.benchmark, self.config.scale.image_size, self.config.seed)
            template = load_prompt(self.config.decomposer.prompt)

            def examples(step: int) -> list[SFTExample]:
                return [sft_example(template, samples(step * sft.batch_size + j)) for j in range(sft.batch_size)]

            with self.timed("sft"), bar("supervised training", sft.steps) as b:
                train_sft(sft, vlm, examples, self.folder, self.tracker.log, _stepper(b, "sft/loss", "loss"))
            save_whole(vlm, done)
            shutil.rmtree(self.folder / "checkpoints-sft", ignore_errors=True)  # the folder `start` says it all
        return done

    def grpo(self, start: Path) -> Path:
        """Train the decomposer; its weights end in `decomposer/`."""
        done = self.folder / TRAINED
        if done.is_dir():
            return done
        self.phase = "GRPO"
        with bar("GRPO", self.config.algo.steps, steps_done(self.folder)) as b:
            show = _stepper(b, "reward/mean", "reward")
            if self.config.launcher.name != "local":
                launch(self.config, self.folder, self.tracker.log, show)
            else:
                self.train(start, self.tracker.log, show)
                leave()  # where the engine made a process group
        return done

    def train(self, start: Path, log: Log | None = None, progress: Show | None = None) -> None:
        """GRPO in this process, or this rank's part of it; the first rank saves."""
        c = self.config
        config = c.algo
        engine, vlm = make_engine(config, c.engine, lambda: make_vlm(c.decomposer, c.engine, start))
        pool = train_samples(c.benchmark, c.scale.image_size, c.seed)
        stride = config.prompts_per_step * config.max_tries
        offset = config.sft.steps * config.sft.batch_size  # samples that the supervised phase has not shown
        template = load_prompt(c.decomposer.prompt)
        sequencer = make_sequencer(c.sequencer, lambda: backend(c, start))
        reward = reward_function(make_reward(c.reward), c, sequencer)
        sampler = TextSampler(
            make_backend(c.rollouts, vlm),
            vlm.encode,
            samples=lambda step, j: pool(offset + step * stride + j),
            to_request=lambda sample: build_request(template, sample, c.decomposer.max_request_chars),
            reward=reward,
            units_per_step=config.prompts_per_step,
            group_size=config.group_size,
            max_new_tokens=c.decomposer.max_new_tokens,
            temperature=config.temperature,
            seed=c.seed,
        )
        train_grpo(config, engine, sampler, self.folder, log, progress)
        if engine.rank == 0:
            save_whole(vlm, self.folder / TRAINED)

    def decomposition(self, when: str, checkpoint: Path) -> None:
        """Score decompositions of the test samples; one row each in eval/decompose_<when>.jsonl."""
        rows = Rows(self.folder / "eval" / f"decompose_{when}.jsonl", len(self.samples), self.config.scale.chunk)
        self.phase = f"evaluating decompositions {when} RL"
        decompose_rows(rows, self.samples, lambda: decomposer(self.config, checkpoint), self.phase, self.timed)

    def timed(self, what: str) -> AbstractContextManager[None]:
        return timed(self.folder, what)


def decompose_rows(
    rows: Rows, samples: Sequence[EditSample], make: Callable[[], Decomposer], label: str, timed: Timed
) -> None:
    """Fill `rows` with one decomposition and its scores per sample; the model is only loaded where rows are missing."""
    if not any(rows.missing()):
        return
    decomposer = make()
    with bar(label, rows.total, len(rows.rows)) as b:
        for chunk in rows.missing():
            with timed(label):
                part = [samples[i] for i in chunk]
                found = decomposer.decompose(part)
            rows.append(
                [
                    {
                        "i": i,
                        "id": s.id,
                        "kind": s.kind,
                        "request": s.request,
                        "gold": [[e.action, e.subject, e.goal] for e in s.gold],
                        "text": r.text,
                        "error": r.error,
                        "scores": {
                            k: v
                            for k, v in components(read(r.text), s.gold).items()
                            if v is not None and k != "outcome"
                        },
                    }
                    for i, s, r in zip(chunk, part, found, strict=True)
                ]
            )
            b.update(chunk.stop)


def save_whole(vlm: VLM, folder: Path) -> None:
    """Save a model so that the folder is only there when everything in it is."""
    draft = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        save_vlm(vlm, draft)
        os.replace(draft, folder)
    except Exception as e:  # safetensors and tokenizers raise kinds of their own when a disk is full
        shutil.rmtree(draft, ignore_errors=True)
        raise SaveFailed(
            f"could not save the model to {folder}: {' '.join(str(e).split())}. The checkpoints are intact; free space and "
            "give the same command again"
        ) from e


def steps_done(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    rows = read_jsonl(path) if path.exists() else []
    return int(rows[-1]["step"]) if rows else 0


def _stepper(b: Bar, key: str, name: str) -> Callable[[int, int, Mapping[str, float]], None]:
    def step(done: int, total: int, metrics: Mapping[str, float]) -> None:
        b.update(done, f"{name} {metrics[key]:.3f}" if key in metrics else "")

    return step
