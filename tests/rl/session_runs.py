"""Session trainings small enough for a test: a hand-written flow model as the editor, a random tiny VLM as the writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from agents.intent import Intent, build_intent_request
from benchmarks.base import EditSample, EditSession
from rl.engine.torch import TorchEngine
from rl.parts import SessionTools
from rl.session_config import SessionFlowConfig, SessionRLConfig, SessionTextConfig
from rl.session_rollouts import FOLLOWS, TurnRollout
from rl.session_training import SessionTraining
from tests.editor_pipelines import noise_picture
from tests.rl.flow_models import LinearFlow

REQUESTS = ("make the sky red", "now the house", "and a hat", "once more")


@dataclass
class Scored:
    total: float | None
    components: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Edit:
    reward: Any
    picture: Any = None


def turn_rollouts(scored: Sequence[Scored]) -> list[TurnRollout]:
    """A trajectory of turns with these rewards, without edits; a turn but the first has an intent."""
    out, failed = [], False
    for k, reward in enumerate(scored):
        text: Any = object() if k else None
        edit: Any = _Edit(reward)
        out.append(TurnRollout(Intent("", "x"), text, edit, reward, failed))
        failed = failed or reward.components.get(FOLLOWS) == 0
    return out


def session(index: int, turns: int = 3) -> EditSession:
    picture = noise_picture((32, 32), index)
    history: list[str] = []
    own = []
    for k in range(turns):
        own.append(
            EditSample(
                f"s{index}-{k + 1}", REQUESTS[(index + k) % 4], (), "cu", tuple(history), picture if k == 0 else None
            )
        )
        history.append(own[-1].request)
    return EditSession(f"s{index}", tuple(own))


def reddening(sessions: Sequence[EditSession], pictures: Sequence[Sequence[Image.Image]]) -> list[list[Scored]]:
    """How red each picture is; a turn is followed where it is redder than 0.5."""
    reds = [[float(np.asarray(p, float)[..., 0].mean()) / 255 for p in own] for own in pictures]
    return [[Scored(red, {FOLLOWS: float(red > 0.5), "red": red}) for red in own] for own in reds]


TEXT: dict[str, Any] = {"lr": 1e-3, "micro_batch_size": 4, "dual_clip": None, "tis_cap": None, "temperature": 1.0}
FLOW: dict[str, Any] = {
    "lr": 1e-2, "sampling_steps": 4, "micro_batch_size": 3, "rollout_batch_size": 5, "clip_low": 0.1, "clip_high": 0.1,
}  # fmt: skip


def config(text: dict[str, Any] | None = None, flow: dict[str, Any] | None = None, **changes: Any) -> SessionRLConfig:
    values: dict[str, Any] = {"steps": 4, "sessions_per_step": 2, "group_size": 3, "turns": 3, "checkpoint_every": 2}
    sides = {"text": SessionTextConfig(**TEXT | (text or {})), "flow": SessionFlowConfig(**FLOW | (flow or {}))}
    return SessionRLConfig(**values | sides | changes)


def training(path: Path, own: SessionRLConfig, **changes: Any) -> SessionTraining:
    """`path`: of the writer's checkpoint."""
    values: dict[str, Any] = {
        "load_writer": lambda: load_vlm(path, "float32", "cpu"),
        "load_editor": LinearFlow,
        "text_engine": lambda policy, config, schedule: TorchEngine(policy(), config, schedule),
        "flow_engine": lambda policy, config, schedule: TorchEngine(policy(), config, schedule),
        "sharded": False,
        "backend": HFBackend,
        "session": session,
        "to_request": lambda sample: build_intent_request("{history}{request}", sample),
        "reward": reddening,
        "max_new_tokens": 6,
        "seed": 3,
    }
    return SessionTraining(own, SessionTools(**values | changes))
