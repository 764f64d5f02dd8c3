"""The keys that cannot change the result of a stage of Edit-R1, each with the reason (see indifferent.py), and what defines its
result besides: `rrm.content` has the files of all reward models of a job, so that each stage names its own ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.contents import digest
from conf.schema import RunConfig
from experiments.build.teachers import by_program, choice
from experiments.runs.contents import digest_of, values_with_content
from experiments.sharing.indifferent import HELD_OUT, NAMES, SESSIONS, TEAM, Reasons
from judges.prompt import PROMPTS
from judges.reasoning.trace import Form
from judges.rubrics.rrm import prompt_of

OURS = "experiments.build.picture_rewards.PictureRewardPart"
MODELS: Reasons = {
    "rrm.content": "the files that are read here are named one by one",
    "rrm.compared": "other reward models, trained beside it",
}
EDITORS: Reasons = {
    "algo": "it trains the editor",
    "reward": "the same",
    "editor": "those that make candidates are named by rrm.data.editors, and count with all that defines them",
    "judge": "those that teach are named in rrm.data, and count with all that defines them",
}


def reward_data() -> Reasons:
    """Of the reward model's data."""
    sizes = {key: reason for key, reason in HELD_OUT.items() if key != "scale.chunk"}
    reasons = NAMES | SESSIONS | TEAM | sizes | EDITORS | MODELS | {"rollouts": "no model of ours answers"}
    return reasons | {
        f"rrm.{key}": "of models that come after their data"
        for key in ("name", "dtype", "layers", "max_pixels", "scoring", "sft", "gcpo")
    }


def cold_start() -> Reasons:
    """Of the supervised training of one reward model."""
    later = {"rrm.gcpo": "it comes after", "rrm.scoring": "traces are given, and not scored"}
    return NAMES | SESSIONS | TEAM | HELD_OUT | EDITORS | MODELS | later | {"rollouts": "nothing is sampled"}


def gcpo() -> Reasons:
    later = {"rrm.scoring": "GCPO learns from the scores that traces say"}
    return NAMES | SESSIONS | TEAM | HELD_OUT | EDITORS | MODELS | later


def pair_accuracy() -> Reasons:
    """Of the scores of held-out pairs by all reward models of a job."""
    return {key: reason for key, reason in reward_data().items() if not key.startswith("rrm.") and key != "rollouts"}


def editor_rl(values: Mapping[str, Any]) -> Reasons:
    """Of an editor's training; of a reward that is none of ours nothing is known."""
    reasons = NAMES | SESSIONS | HELD_OUT | TEAM
    reward = values["reward"]
    if reward.get("_target_") != OURS:
        return reasons
    if not reward["weights"]["judge"]:
        reasons |= {"judge": "it is no part of the reward"}
    if reward["weights"]["rrm"]:
        return reasons | MODELS
    return reasons | {"rrm": "it is no part of the reward", "rollouts": "no model answers"}


def files_of(config: RunConfig, form: Form = Form.BOTH) -> dict[str, Any]:
    """Digests of the reward model's start and of its prompt, and who writes evaluation points and traces."""
    if config.rrm is None:
        return {}
    start = next(iter(config.rrm.contents()))
    return {"start": digest_of(start), "prompt": _prompt(config, form), "judges": _used(config, "judge")}


def sources_of(config: RunConfig) -> dict[str, Any]:
    """Who makes the reward model's data. With a model that exists, there are held-out pairs alone."""
    if config.rrm is None:
        return {}
    used = {group: _used(config, group) for group in ("editor", "judge")}
    return used | {"exists": bool(config.rrm.checkpoint), "prompt": _prompt(config, Form.BOTH)}


def _prompt(config: RunConfig, form: Form) -> str:
    return digest(PROMPTS / f"{prompt_of(config.rrm.prompt, form)}.txt")


def _used(config: RunConfig, group: str) -> dict[str, Any]:
    return {name: values_with_content(choice(config, group, name)) for kind, name in _named(config) if kind == group}


def _named(config: RunConfig) -> Iterator[tuple[str, str]]:
    data = config.rrm.data
    yield from (("editor", name) for name in data.editors)
    if not by_program(config):
        yield from (("judge", name) for name in (data.points_by, *data.traces_by, data.verified_by))


__all__ = ["cold_start", "editor_rl", "files_of", "gcpo", "pair_accuracy", "reward_data", "sources_of"]
