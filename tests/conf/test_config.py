"""Every option of every group composes into its typed dataclass; mistakes name the nearest right thing."""

from __future__ import annotations

import importlib.util
from itertools import zip_longest
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from common.errors import BadInput
from conf.schema import ROOTS, RunConfig
from experiments.runs import cli
from experiments.runs.identity import run_folder
from rewards.compose import VARIANTS, RewardSpec

OPTIONS = {g: options for g, options in cli.groups_of("run").items() if g != "hydra" and "/" not in g}
REQUIRED = {
    "evaluate": ["run=a", "out=b"],
    "edit": ["image=a.png", "instruction=b"],
    "agreement": ["data=a", "out=b"],
    "prepare": ["out=b"],
}


def check_choice(group: str, option: str, config: RunConfig) -> None:
    assert isinstance(config, RunConfig)
    chosen = getattr(config, group)
    if group == "change":
        assert chosen == option
    elif group not in ("experiment", "paths"):
        assert chosen is None if (group, option) == ("rrm", "none") else chosen.name == option, (group, option)


def test_every_option_of_every_group_becomes_a_typed_config() -> None:
    """The first options of all groups together, the second ones, …: composing is slow. Options that do not go together are
    composed one by one."""
    left_out = [] if importlib.util.find_spec("submitit") else ["slurm"]  # needs `make extra-slurm`
    columns = [[(g, o) for o in options if o not in left_out] for g, options in OPTIONS.items()]
    for row in zip_longest(*columns):
        choices = [choice for choice in row if choice]
        try:
            config = cli.typed(cli.compose("run", [f"{g}={o}" for g, o in choices]))
        except BadInput:
            for group, option in choices:
                check_choice(group, option, cli.typed(cli.compose("run", [f"{group}={option}"])))
        else:
            for group, option in choices:
                check_choice(group, option, config)


def test_every_change_of_an_ablation_is_another_training() -> None:
    configs = [cli.typed(cli.compose("run", [f"change={option}"])) for option in cli.groups_of("run")["change"]]
    assert len({run_folder(config) for config in configs}) == len(configs)


def test_what_a_change_sets_wins_over_the_experiment_and_the_caller_over_both() -> None:
    experiment = ["experiment=rl_matters"]  # whose reward is f1_goal_linked, without a KL
    changed = cli.typed(cli.compose("run", [*experiment, "change=linked_only"]))
    assert changed.reward.name == "f1_linked"
    mine = cli.typed(cli.compose("run", [*experiment, "change=smaller_steps", "algo.kl_coef=0.5"])).algo
    assert (mine.warmup_steps, mine.kl_coef) == (30, 0.5)


def test_all_groups_of_the_design_are_there() -> None:
    groups = "scale decomposer sequencer editor reward execution algo rollouts engine judge benchmark tracker experiment paths"
    assert set(groups.split()) <= set(cli.groups_of("run"))


@pytest.mark.parametrize("name", ROOTS)
def test_every_command_composes(name: str) -> None:
    assert isinstance(cli.typed(cli.compose(name, REQUIRED.get(name, []))), ROOTS[name])


@pytest.mark.parametrize("reward", VARIANTS)
def test_the_weights_in_yaml_are_those_of_the_code(reward: str) -> None:
    config = cli.typed(cli.compose("run", [f"reward={reward}"]))
    assert RewardSpec.from_weights(vars(config.reward.weights)) == RewardSpec.named(reward)


def test_any_weight_can_be_set_from_the_command_line() -> None:
    config = cli.typed(cli.compose("run", ["reward=f1", "reward.weights.action=0.5", "reward.weights.linked=2"]))
    assert (config.reward.weights.action, config.reward.weights.linked, config.reward.weights.subject) == (
        0.5,
        2.0,
        0.45,
    )


def test_a_variants_own_settings_win_over_the_scale_and_the_caller_over_both() -> None:
    plain = cli.typed(cli.compose("run", ["scale=paper"])).algo
    dapo = cli.typed(cli.compose("run", ["scale=paper", "algo=dapo"])).algo
    mine = cli.typed(cli.compose("run", ["scale=paper", "algo=dapo", "algo.clip_high=0.4"])).algo
    assert (plain.kl_coef, plain.clip_high) == (0.01, 0.3)
    assert (dapo.kl_coef, dapo.clip_high, dapo.dynamic_sampling) == (0.0, 0.28, True)
    assert mine.clip_high == 0.4


def test_every_yaml_says_what_it_is_for() -> None:
    for path in cli.CONF.rglob("*.yaml"):
        head = path.read_text().splitlines()
        first = next(line for line in head if not line.startswith("# @package"))
        assert first.startswith("# "), path


def test_assumed_values_are_marked() -> None:
    text = Path(cli.CONF / "algo" / "at" / "paper.yaml").read_text()
    for key in ("group_size", "kl_coef", "kl_estimator", "clip_low", "clip_high", "dual_clip", "weight_decay", "betas"):
        line = next(row for row in text.splitlines() if row.strip().startswith(f"{key}:"))
        assert "# assumed" in line, line


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("algo.lrr=1", "'algo.lr'"),
        ("lr=1", "'algo.lr'"),
        ("editr=sandbox", "'editor'"),
        ("reward=f1goal", "'reward=f1_goal'"),
        ("reward.weights.acton=1", "'reward.weights.action'"),
        ("scale.needs.gpu=1", "'scale.needs.gpus'"),
        ("+anything=1", "there is no key 'anything'"),
        ("~reward.wights", "'reward.weights'"),
        ("algo.lr=abc", "'abc'"),
        ("algo.betas=[1,x]", "'x'"),
        ("reward.weights=3", "RewardWeights"),
        ("seed=1.5", "'1.5'"),
        ("seed=1,2", "-m"),
        ("nonsense", "key=value"),
    ],
)
def test_a_mistake_is_named_with_the_nearest_right_thing(argument: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        cli.check("run", [argument])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reward_model_that_an_experiment_chooses_can_be_left_out() -> None:
    for words in (["reward=judge"], ["reward=judge", "seed=1"]):  # by Hydra, and from what it composed before
        assert cli.typed(cli.compose("run", ["experiment=edit_r1", "rrm=none", *words])).rrm is None
    assert cli.typed(cli.compose("run", ["experiment=edit_r1"])).rrm.name == "tiny"
    with pytest.raises(BadInput, match="rrm.data is given, but no rrm is chosen"):
        cli.check("run", ["experiment=edit_r1", "rrm=none", "rrm.data.samples=3"])
    with pytest.raises(BadInput, match="there is no rrm=None; the nearest one is 'rrm=none'"):
        cli.check("run", ["experiment=edit_r1", "rrm=null"])


def test_a_sweep_is_checked_before_it_starts() -> None:
    cli.check("run", ["-m", "seed=1,2", "reward=f1,exact"])
    with pytest.raises(BadInput, match="reward=exact"):
        cli.check("run", ["-m", "seed=1,2", "reward=f1,exct"])
    with pytest.raises(BadInput, match="'x'"):
        cli.check("run", ["-m", "seed=1,x"])


def test_a_missing_value_is_named() -> None:
    with pytest.raises(BadInput, match="missing: out=…"):
        cli.check("evaluate", ["run=none"])


@pytest.mark.parametrize(
    "text", ['make it "red", {and} [x]', "${seed}", "a=b,c", "把红色的星星变成蓝色", "it's (fine)", ""]
)
def test_free_text_needs_no_second_layer_of_quotes(text: str) -> None:
    texts: list[str] = []
    hidden = cli.hide_texts([f"instruction={text}", "image=a.png"], ("instruction",), texts)
    OmegaConf.register_new_resolver("raw", lambda index: texts[int(index)], replace=True)
    cli.check("edit", hidden)
    assert cli.typed(cli.compose("edit", hidden)).instruction == text


def test_the_same_sweep_has_the_same_id_in_any_order() -> None:
    assert cli.sweep_id("run", ["-m", "a=1", "b=2"]) == cli.sweep_id("run", ["b=2", "a=1", "-m"])
    assert cli.sweep_id("run", ["-m", "a=1"]) != cli.sweep_id("run", ["-m", "a=2"])


def test_the_papers_experiment_is_the_papers_scale_on_eight_ranks_and_each_choice_can_be_another() -> None:
    whole = cli.typed(cli.compose("run", ["experiment=paper"]))
    assert (whole.scale.name, whole.engine.name, whole.rollouts.name, whole.launcher.processes) == (
        "paper",
        "deepspeed",
        "vllm",
        8,
    )
    assert (whole.engine.stage, whole.rollouts.cache_gib) == (3, 16)  # the scale's own settings hold too
    other = cli.typed(cli.compose("run", ["experiment=paper", "rollouts=hf", "engine.stage=2"]))
    assert (other.rollouts.name, other.engine.stage, other.decomposer.name) == ("hf", 2, "qwen2_5_vl_7b")


@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_the_aggregation_of_the_loss_is_chosen_on_the_command_line(aggregation):
    for words in (["algo=grpo"], ["algo=dapo", "scale=paper"]):
        chosen = cli.typed(cli.compose("run", [*words, f"algo.aggregation={aggregation}"])).algo
        assert chosen.aggregation == aggregation
    with pytest.raises(BadInput, match="token, sequence, constant"):
        cli.typed(cli.compose("run", ["algo.aggregation=mean"]))
