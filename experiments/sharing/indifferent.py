"""The keys of a run's identity that cannot change the result of a phase, each with the reason.

Whatever is not named here defines the phase: runs that differ in it do not share. Take a key in only where the phase's code
never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Reasons = dict[str, str]

NAMES: Reasons = {
    "experiment": "a name for choices, whose values count themselves",
    "scale.name": "a name for sizes, which count themselves",
    "job": "the list of stages; those that a phase builds on count with it",
}
SESSIONS: Reasons = {
    "intent": "the writer of intents belongs to sessions (experiment=edit_r2)",
    "sessions": "the sessions of experiment=edit_r2",
}
HELD_OUT: Reasons = {
    f"scale.{key}": "of the evaluation: no held-out sample is seen while a decomposer is trained"
    for key in (
        "test_samples",
        "complex_samples",
        "complex_pictures",
        "pass_at",
        "pass_samples",
        "test_seed",
        "chunk",
        "editor_calls",
    )
}
PICTURES: Reasons = {
    "editor": "no picture is edited in a training by texts",
    "execution": "plans are not carried out in a training by texts",
    "sequencer": "plans are not ordered in a training by texts",
    "judge": "no picture is judged in a training by texts",
    "rrm": "a reward model scores pictures",
}
TRAINING: Reasons = {
    "seed": "it decides the training, whose weights are told apart by their content",
    "algo": "the same",
    "reward": "the same",
    "rrm": "a reward model is part of a reward",
}
TEAM: Reasons = {
    "decomposer": "requests are not decomposed",
    "sequencer": "there is nothing to order",
    "execution": "no plan is carried out",
}
JUDGING: Reasons = {"judge": "verdicts are given on pictures that are there"}


def supervised(values: Mapping[str, Any]) -> Reasons:
    """Of the supervised start of a decomposer. A closed loop has examples of its own."""
    reasons = NAMES | SESSIONS | HELD_OUT | _pictures(values)
    reasons |= {"reward": "answers are given, and not scored", "rollouts": "nothing is sampled"}
    if str(values["algo"].get("_target_", "")).startswith("rl."):  # of another's class nothing is known
        own = ("_target_", "sft", "micro_batch_size")
        reasons |= {f"algo.{k}": "of RL, which comes after" for k in values["algo"] if k not in own}
    return reasons


def grpo(values: Mapping[str, Any]) -> Reasons:
    """Of GRPO on a decomposer. With a reward of pictures, and in a closed loop, the whole team trains it."""
    return NAMES | SESSIONS | HELD_OUT | (_pictures(values) if _reads_texts(values["reward"]) else {})


def decompositions() -> Reasons:
    """Of a decomposer's answers to held-out samples; the claim of their rows has the digest of its weights."""
    return NAMES | SESSIONS | TRAINING | JUDGING | {
        "editor": "nothing is edited",
        "execution": "nothing is carried out",
        "sequencer": "nothing is ordered",
        "scale.pass_at": "k of pass@k: which part of the drawn answers is reported; how many are drawn is in their claim",
        "scale.pass_samples": "the same",
        "scale.complex_pictures": "nothing is edited",
        "scale.editor_calls": "nothing is edited",
        "scale.test_samples": "how many there are is in the claim of the benchmark",
        "scale.complex_samples": "the same",
    }  # fmt: skip


def pictures(arm: str) -> Reasons:
    """Of an arm's pictures of held-out samples; their claim has the digest of the decomposer's weights."""
    reasons = NAMES | SESSIONS | TRAINING | JUDGING
    reasons |= {
        "scale.pass_at": "of decompositions that are scored by themselves",
        "scale.pass_samples": "the same",
        "scale.editor_calls": "of another arm",
        "scale.test_samples": "how many there are is in the claim of the benchmark",
        "scale.complex_samples": "the same",
        "scale.complex_pictures": "how many there are is in the claim of the arm",
    }
    if arm == "editor":
        reasons |= {
            "execution": "the raw request is one instruction in one call",
            "sequencer": "there is nothing to order",
            "rollouts": "the editor alone asks no decomposer",
        }
    return reasons


def _pictures(values: Mapping[str, Any]) -> Reasons:
    return {} if values["execution"]["name"] == "loop" else PICTURES


def _reads_texts(reward: Mapping[str, Any]) -> bool:
    """Whether it is our weighted reward without a share for the outcome; other classes may use the whole team."""
    ours = reward.get("_target_") == "experiments.build.rewards.WeightedReward"
    return ours and not reward["weights"]["outcome"]


__all__ = ["Reasons", "decompositions", "grpo", "pictures", "supervised"]
