"""From the configuration to what the server offers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.pictures import Picture
from conf.schema import ServeConfig
from experiments.build.device import use_threads
from experiments.evaluation.names import ARMS
from experiments.preflight.own_pictures import unlike
from experiments.runs.contents import values_with_content
from experiments.runs.team import TeamParts
from experiments.runs.trained import before_rl, trained
from experiments.serving.arms import Arm, Arms, EditorArm, TeamArm
from experiments.serving.errors import bad
from experiments.serving.form import Rules

ABOUT = {
    "editor": EditorArm.about,
    "agents": TeamArm.about,
    "agents_rl": "the same team, its decomposer trained by RL",
}


def chosen_arms(config: ServeConfig) -> tuple[str, ...]:
    """Their names in the order of ARMS, the last one the default. Raises BadInput."""
    given = config.arms if isinstance(config.arms, list) else str(config.arms).strip("[]() ").split(",")
    names = [str(name).strip() for name in given if str(name).strip()]
    if names == ["all"]:
        names = list(ARMS if config.run is not None else ARMS[:2])
    if not names or (unknown := [name for name in names if name not in ARMS]):
        raise BadInput(f"arms={','.join(names and unknown)} is unknown; choose all, or some of {', '.join(ARMS)}")
    if config.run is None and "agents_rl" in names:
        raise BadInput("arms=agents_rl is the team after RL: it needs run=<folder of a finished run>")
    return tuple(arm for arm in ARMS if arm in names)


def decomposers(config: ServeConfig, names: Sequence[str]) -> dict[str, Any]:
    """The decomposer of each arm that has one. Raises MissingFile for a run without a trained one."""
    found = {}
    if "agents" in names:
        found["agents"] = before_rl(config)
    if "agents_rl" in names:
        found["agents_rl"] = trained(config)
    return found


def load_arms(config: ServeConfig, names: Sequence[str]) -> Arms:
    """Load every model that the arms need; the editor is shared. Called in the thread that uses them."""
    use_threads(config.engine)  # torch keeps some of it by thread
    parts = TeamParts(config, Path(before_rl(config).checkpoint))
    loaded: dict[str, Arm] = {}
    for name in names:
        if name == "editor":
            loaded[name] = EditorArm(parts.editor)
            continue
        settings = decomposers(config, [name])[name]
        own = TeamParts(replace(config, decomposer=settings), parts.start)
        own.editor = parts.editor
        loaded[name] = TeamArm(own.team(settings.checkpoint), ABOUT[name])
    use_threads(
        config.engine
    )  # of this thread; after loading, since numpy warns where it first looks at flushed numbers
    return Arms(loaded)


def fingerprints(config: ServeConfig, names: Sequence[str]) -> dict[str, str]:
    """Twelve hexadecimal digits of everything that defines each arm's pictures: settings, and the content of checkpoints. Who keeps
    answers can tell by them that a server at the same address has other models now."""
    prints = {}
    for name in names:
        parts = [config.editor]
        if (decomposer := decomposers(config, [name]).get(name)) is not None:
            parts += [decomposer, config.sequencer]
        values = [values_with_content(part) for part in parts]
        how = [config.execution.name, config.execution.max_calls] if name != "editor" else []
        text = json.dumps([values, how], sort_keys=True, default=str)
        prints[name] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return prints


def rules_of(config: ServeConfig, names: Sequence[str]) -> Rules:
    """Raises BadInput for limits that contradict each other."""
    if config.max_n > config.queue_size:
        raise BadInput(
            f"max_n={config.max_n} pictures of one request would never fit into queue_size={config.queue_size}; "
            "lower the one or raise the other"
        )
    return Rules(tuple(names), config.max_prompt_chars, config.max_n, config.max_pixels, config.seed)


class SandboxOnly:
    """`Service.check`: refuses pictures and texts that are unlike the sandbox, for models that know nothing else."""

    def __init__(self, config: ServeConfig, names: Sequence[str]) -> None:
        self.config, self.decomposers = config, decomposers(config, names)

    def __call__(self, model: str, picture: Picture, prompt: str) -> None:
        if self.config.allow_tiny:
            return
        decomposer = self.decomposers.get(model, self.config.decomposer)
        texts = [("prompt", prompt)] if model in self.decomposers else []
        for line in unlike(self.config, decomposer, [("the picture", picture.rgb)], texts):
            raise bad(
                "prompt" if line.startswith("prompt") else "image",
                f"{line}; the server could allow it by allow_tiny=true",
            )


__all__ = ["ABOUT", "SandboxOnly", "chosen_arms", "decomposers", "fingerprints", "load_arms", "rules_of"]
