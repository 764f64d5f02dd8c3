"""The keys that cannot change the result of a stage of Edit-R2, each with the reason (see indifferent.py)."""

from __future__ import annotations

from experiments.sharing.indifferent import HELD_OUT, JUDGING, NAMES, TEAM, TRAINING, Reasons

PLAYING: Reasons = {
    "sessions.held_out": "of the evaluation: training draws sessions of its own",
    "sessions.turns": "the same; algo.turns is of the training",
}
EXACT: Reasons = {"judge": "sessions are judged by the sandbox alone", "rrm": "a reward model scores single edits"}
NO_EDITS: Reasons = {
    "algo": "of RL, which is no part of it",
    "reward": "the same",
    "editor": "no picture is edited",
    "rrm": "a reward model scores edits",
    "sessions": "the sessions of experiment=edit_r2; these are the benchmark's",
}


def session_rl() -> Reasons:
    """Of one training on sessions: the arm is the class of its stage."""
    return NAMES | HELD_OUT | TEAM | PLAYING | EXACT


def session_scores() -> Reasons:
    """Of one arm's held-out sessions; digests of its writer and of its editor are named beside these keys."""
    sizes = {key: reason for key, reason in HELD_OUT.items() if key not in ("scale.chunk", "scale.test_seed")}
    weights = "an arm's weights are told apart by their content"
    return NAMES | sizes | TEAM | EXACT | TRAINING | {"editor.content": weights, "intent.content": weights}


def intent_sft() -> Reasons:
    """Of the supervised training of a writer."""
    return NAMES | HELD_OUT | TEAM | JUDGING | NO_EDITS | {"rollouts": "nothing is sampled"}


def intent_scores() -> Reasons:
    """Of the intents of held-out turns."""
    used = ("scale.test_samples", "scale.test_seed", "scale.chunk")
    sizes = {key: reason for key, reason in HELD_OUT.items() if key not in used}
    return NAMES | sizes | TEAM | JUDGING | NO_EDITS


__all__ = ["intent_scores", "intent_sft", "session_rl", "session_scores"]
