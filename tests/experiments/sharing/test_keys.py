"""Every key of a run's configuration either defines a phase, or is declared as one that cannot change it, with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conf.parts import config_values
from conf.schema import MAIN_JOB, RunConfig
from experiments.build.reward_models import SUPERVISED
from experiments.runs.cli import compose, typed
from experiments.runs.identity import identity
from experiments.runs.reward_model import ColdStarts
from experiments.runs.run import Run
from experiments.runs.stages import load_stages
from experiments.sharing import edit_r1, edit_r2, indifferent
from experiments.sharing.phase import SharedPhase, without
from experiments.sharing.stage_phases import phase_of

EVALUATION = {
    "decompositions": indifferent.decompositions(),
    "editor alone": indifferent.pictures("editor"),
    "team": indifferent.pictures("agents_rl"),
}


@cache
def config(*words: str) -> RunConfig:
    return typed(compose("run", list(words)))


def phase(name: str, c: RunConfig, values: Mapping[str, Any] | None = None) -> SharedPhase | None:
    stages = load_stages(c.job)
    (stage,) = [s for s in stages if s.name == name]
    return phase_of(stage, stages, c, identity(c) if values is None else values)


def leaves(values: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of everything that is no dictionary."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def changed(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """With another value of this key, whatever its kind."""
    other = deepcopy(dict(values))
    *path, last = key.split(".")
    node = other
    for part in path:
        node = node[part]
    node[last] = ["another", node[last]]
    return other


def declared(key: str, reasons: Mapping[str, str]) -> bool:
    return any(key == k or key.startswith(f"{k}.") for k in reasons)


@pytest.mark.parametrize("name", ["supervised", "grpo"])
@pytest.mark.parametrize(
    "words", [(), ("reward=outcome",), ("experiment=loop",), ("algo=dapo", "editor=flux_kontext"), ("rrm=tiny", "intent=tiny")]
)  # fmt: skip
def test_every_key_counts_for_a_training_or_is_declared(name: str, words: tuple[str, ...]) -> None:
    c = config(*words)
    values = identity(c)
    (stage,) = [s for s in load_stages(c.job) if s.name == name]
    reasons, whole = stage.indifferent(values), phase(name, c, values)
    assert reasons is not None and whole is not None and all(reasons.values())
    for key in leaves(values):
        if name == "grpo" and words in ((), ("algo=dapo", "editor=flux_kontext")) and key.startswith("algo."):
            assert not declared(key, reasons)
        if key in ("reward._target_", "execution.name", "algo._target_"):
            continue  # they decide which keys are declared; see below
        other = phase(name, c, changed(values, key))
        assert other is not None
        assert (other.key == whole.key) == declared(key, reasons), key


@pytest.mark.parametrize("name", sorted(EVALUATION))
def test_every_key_counts_for_an_evaluation_or_is_declared(name: str) -> None:
    values, reasons = identity(config("rrm=tiny", "intent=tiny")), EVALUATION[name]
    assert all(reasons.values())
    for key in leaves(values):
        assert (without(changed(values, key), reasons) == without(values, reasons)) == declared(key, reasons), key


# Of the default configuration: keys that are in no run's identity, by the reason for which they cannot matter.
IN_NO_IDENTITY = {
    "how a run is named, watched and shown": """name change sweep verbose objective tracker._target_ tracker.name scale.strips""",
    "which part of it runs, and how": """stages force share table_benchmarks table_judges execution.baseline""",
    "where files lie; their content counts": """paths.assets paths.outputs decomposer.checkpoint decomposer.prompt
        editor.checkpoint editor.lora""",
    "in the identity where it is not the usual list": "job",
    "how often a state is saved": """algo.checkpoint_every algo.keep_checkpoints algo.sft.checkpoint_every
        algo.sft.keep_checkpoints""",
    "memory against time": """algo.sft.gradient_checkpointing editor.cfg_batch editor.compile editor.pad_texts
        editor.vae_channels_last rollouts.graphs""",
    "when a run gives up": """algo.max_missing_steps judge.max_invalid_share prune.metric prune.start prune.every
        prune.runs""",
    "checks before the start": """allow_tiny unlike.picture unlike.words decomposer.parameters decomposer.sandbox_only
        decomposer.source editor.allow_download editor.largest editor.licence editor.parameters editor.sandbox_only
        editor.source scale.needs.disk_gib scale.needs.gpu_memory_gib scale.needs.gpus scale.needs.memory_gib""",
    "a phase's identity has it besides": """engine.device launcher.nodes launcher.processes decomposer.recipe""",
    "how processes find each other": """launcher._target_ launcher.name launcher.rendezvous launcher.restarts""",
}


OTHER_STAGES = [
    ("rrm_data", ("experiment=edit_r1",)),
    ("rrm_sft", ("experiment=edit_r1",)),
    ("gcpo", ("experiment=edit_r1",)),
    ("rrm_accuracy", ("experiment=edit_r1",)),
    ("editor_rl", ("experiment=edit_r1",)),
    ("editor_rl", ("experiment=edit_r1", "reward=judge")),
    ("editor_rl", ("experiment=edit_r1", "reward=rrm_judge")),
    ("session_rl", ("experiment=edit_r2",)),
    ("session_rl_text", ("experiment=edit_r2",)),
    ("intent_sft", ("experiment=mice_intents",)),
    ("intent_scores", ("experiment=mice_intents",)),
]


@pytest.mark.parametrize(("name", "words"), OTHER_STAGES)
def test_every_key_counts_for_a_stage_of_the_other_papers_or_is_declared(name: str, words: tuple[str, ...]) -> None:
    """A stage's own keys; those of the stages that it builds on count with these."""
    c = config(*words)
    values, stages = identity(c), load_stages(c.job)
    (stage,) = [s for s in stages if s.name == name]
    reasons, whole = stage.indifferent(values), phase(name, c, values)
    assert reasons is not None and whole is not None and all(reasons.values())
    for key in leaves(values):
        if not key.startswith(("reward._target_", "reward.weights")):  # they decide which keys are declared
            same = without(changed(values, key), reasons) == without(values, reasons)
            assert same == declared(key, reasons), key
    parents = [p for s in stages if s.name in stage.parents(c) and (p := phase(s.name, c, values))]
    assert whole.identity["builds on"] == {p.name: p.identity for p in parents}


def test_one_reward_model_serves_all_that_needs_the_same() -> None:
    """A cold start does not depend on what is compared with it, nor on what is trained by it, nor how."""
    usual = config("experiment=edit_r1")
    words = ("reward=judge", "judge=gpt4o", "algo.lr=1e-5", "scale.test_samples=7", "rrm.compared=[]")
    other = config("experiment=edit_r1", *words)
    for name in ("rrm_data", "rrm_sft", "gcpo"):
        assert phase(name, other) == phase(name, usual) is not None, name
    for name in ("rrm_accuracy", "editor_rl"):
        assert phase(name, other) != phase(name, usual), name
    run = Run(usual, Path("outputs/made-up"), stages=load_stages(usual.job))
    models = {name: ColdStarts().shared(run, name) for name in SUPERVISED}
    assert models["sft"] == phase("rrm_sft", usual)  # what a sweep waits for is what a run offers
    assert len({model.key for model in models.values() if model is not None}) == 4
    values, exact = identity(usual), identity(other)
    for key in ("rrm.data.samples", "seed", "rrm.sft.lr", "engine._target_"):
        assert phase("gcpo", usual, changed(values, key)) != phase("gcpo", usual, values), key
    assert phase("editor_rl", other, changed(exact, "rrm.sft.lr")) == phase("editor_rl", other, exact)
    assert phase("editor_rl", usual, changed(values, "rrm.sft.lr")) != phase("editor_rl", usual, values)


def test_one_training_on_sessions_serves_tables_and_evaluations() -> None:
    usual = config("experiment=edit_r2")
    assert phase("session_rl", config("experiment=edit_r2_main", "sessions.held_out=3")) == phase("session_rl", usual)
    arms = [phase(name, usual) for name in ("session_rl", "session_rl_text", "session_rl_flow", "session_rl_no_filter")]
    assert len({arm.key for arm in arms if arm is not None}) == 4


def test_keys_that_are_in_no_identity_are_listed_here_with_the_reason() -> None:
    """So that every key is in one of the three: the identity, a declared reason, or this list. A new key that is in none fails
    here, and somebody has to think about it."""
    c = config()
    outside = set(leaves(config_values(c))) - set(leaves(identity(c)))
    assert outside == {key for keys in IN_NO_IDENTITY.values() for key in keys.split()}


def test_what_moves_the_last_bits_or_the_examples_keeps_phases_apart() -> None:
    one = phase("grpo", config())
    for words in ("launcher=torchrun launcher.processes=3", "decomposer.recipe=grammar"):
        assert phase("grpo", config(*words.split())) != one, words


SAME_TRAINING = (
    "execution=multi",
    "editor=flux_kontext",
    "editor.steps=2",
    "judge=gpt4o",
    "sequencer=vlm",
    "scale.test_samples=7",
    "scale.chunk=3",
    "scale.pass_at=2",
    "name=other",
    "algo.checkpoint_every=1",
)
OTHER_TRAINING = (
    "seed=1",
    "reward=f1",
    "reward.weights.action=0.5",
    "algo.lr=1e-3",
    "algo=dapo",
    "scale.image_size=128",
    "decomposer=tiny_sft",
    "decomposer.max_new_tokens=50",
    "benchmark.max_edits=3",
    "engine.threads=2",
    "rollouts.batch_size=7",
    "launcher=torchrun",
    "algo.sft.steps=1",
)


@pytest.mark.parametrize("words", SAME_TRAINING)
def test_jobs_that_differ_in_their_evaluation_train_once(words: str) -> None:
    assert phase("grpo", config(*words.split())) == phase("grpo", config())


@pytest.mark.parametrize("words", OTHER_TRAINING)
def test_jobs_that_differ_in_their_training_do_not_share_it(words: str) -> None:
    one, other = phase("grpo", config()), phase("grpo", config(*words.split()))
    assert one is not None and other is not None and one.key != other.key


def test_a_start_is_shared_by_what_trains_on_from_it() -> None:
    start = ("algo.sft.steps=3",)
    one = phase("supervised", config(*start))
    for words in ("reward=f1", "algo.lr=1e-3", "algo.steps=7", "algo.group_size=4", "rollouts.batch_size=7"):
        assert phase("supervised", config(*start, words)) == one, words
    for words in ("algo.sft.lr=1e-3", "algo.micro_batch_size=8", "seed=2", "execution=loop"):
        assert phase("supervised", config(*start, words)) != one, words


@pytest.mark.parametrize("words", ["editor=flux_kontext", "execution=multi", "sequencer=vlm"])
def test_a_reward_of_pictures_is_trained_by_the_whole_team(words: str) -> None:
    one, other = phase("grpo", config("reward=outcome")), phase("grpo", config("reward=outcome", words))
    assert one is not None and other is not None and one.key != other.key


def test_a_stage_that_declares_nothing_shares_nothing_and_ends_sharing_behind_it() -> None:
    c = config()
    own = [*load_stages(MAIN_JOB)]

    class Mine(type(own[0])):  # type: ignore[misc]
        name = "mine"  # it inherits a declaration that was not made for it

    stages = [own[0], Mine(), own[2]]
    assert phase_of(stages[0], stages, c, identity(c)) is not None
    assert phase_of(stages[1], stages, c, identity(c)) is None
    assert phase_of(stages[2], stages, c, identity(c)) is None


def test_the_declared_keys_exist_or_belong_to_parts() -> None:
    """A key that was renamed would silently be declared no more, which is safe; its old name must go all the same."""
    values = identity(config("rrm=tiny", "intent=tiny")) | {"job": []}
    first = identity(config("experiment=edit_r1", "intent=tiny"))
    second = identity(config("experiment=edit_r2", "rrm=tiny"))
    others = [(edit_r1.reward_data(), first), (edit_r1.cold_start(), first), (edit_r1.gcpo(), first)]
    others += [(edit_r1.editor_rl(first), first), (edit_r1.pair_accuracy(), first)]
    others += [(reasons(), second) for reasons in (edit_r2.session_rl, edit_r2.session_scores, edit_r2.intent_sft)]
    ours = [(r, values) for r in (*EVALUATION.values(), indifferent.supervised(values), indifferent.grpo(values))]
    for reasons, values in (*ours, *others):
        for key in reasons:
            node: Any = values
            for part in key.split("."):
                assert part in node, key
                node = node[part]
