"""Flow-GRPO on the tiny FLUX Kontext, as a job would run it: sandbox requests for one edit, scored by the sandbox's judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.base import EditSample, explicit_instruction
from benchmarks.sandbox.generate import SandboxBenchmark
from editors.flow import FlowModel
from experiments.build.editors import KontextEditor, make_editor
from experiments.build.engines import TorchEngine, make_engine
from judges.base import OVERALL
from judges.sandbox import SandboxJudge
from rl.clock import Clock
from rl.flow_config import FlowGRPOConfig
from rl.flow_training import FlowGRPOTraining
from rl.parts import FlowTools

PHASES = ("rollout", "reward", "train")


@dataclass(frozen=True)
class Score:
    """A reward as the judge's overall score, 0 to 1."""

    total: float | None
    components: dict[str, float | None] = field(default_factory=dict)


def judged(samples: Sequence[EditSample], pictures: Sequence[Image.Image], seeds: Sequence[int]) -> list[Score]:
    verdicts = [SandboxJudge().judge(s.image, p, s) for s, p in zip(samples, pictures, strict=True)]  # type: ignore[arg-type]
    return [Score(v.scores[OVERALL] / 10 if v.valid else None) for v in verdicts]


def flow_of(editor: KontextEditor, engine: TorchEngine) -> FlowModel:
    """The model of the editor, as runs load it."""
    made: Any = make_editor(editor, engine)
    return made.model


def flow_training(editor: KontextEditor, engine: TorchEngine, config: FlowGRPOConfig) -> FlowGRPOTraining:
    requests = SandboxBenchmark("train", 5, max_edits=1)
    tools = FlowTools(
        load=lambda: flow_of(editor, engine),
        engine=lambda policy, optimizer, schedule: make_engine(engine, policy, optimizer, schedule),
        sharded=False,
        sample=requests.sample,
        instruction=lambda sample: explicit_instruction(sample.gold[0]),
        reward=judged,
        seed=0,
    )
    return FlowGRPOTraining(config, tools)


def seconds(training: FlowGRPOTraining, step: int) -> dict[str, float]:
    """Of the phases of one step."""
    metrics = training.algorithm.step(step, Clock()).metrics
    return {phase: metrics[f"time/{phase}"] for phase in PHASES}


def checkpoint_editor(folder: Path, steps: int, area: int) -> KontextEditor:
    return KontextEditor("flux_kontext", checkpoint=str(folder), steps=steps, area=area, max_sequence_length=64)


__all__ = ["PHASES", "checkpoint_editor", "flow_of", "flow_training", "judged", "seconds"]
