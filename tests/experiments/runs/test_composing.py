"""The quick way of composing gives what Hydra gives."""

from __future__ import annotations

import shlex

import pytest
from omegaconf import OmegaConf

from common.errors import BadInput
from experiments.runs import composing
from experiments.runs.cli import compose, typed

COMMANDS = (
    ("run", ""),
    ("run", "seed=3 algo.lr=1e-5 algo.betas=[0.8,0.9] editor.steps=2 paths.outputs='a b' algo.dual_clip=null name=x"),
    (
        "run",
        "reward=f1 reward.weights={action:0.5,subject:2} scale.needs.gpus=1 decomposer.checkpoint='${paths.assets}/a'",
    ),
    ("run", "editor=flux_kontext algo=dapo execution=multi algo.lora.rank=4 benchmark=prepared benchmark.path=/there"),
    ("run", "experiment=paper benchmark=sandbox judge=gpt4o judge.rubric=gedit"),
    ("run", "experiment=mice_text 'job=[supervised]' seed=1 seed=2"),
    ("evaluate", "run=none arms=all benchmark=folder benchmark.path=there judge=gpt4o out=x metrics=full editor=qwen"),
    ("evaluate", "run=outputs/x benchmark.path=there out=x editor.steps=3"),
    ("edit", "image=a.png instruction='${raw:0}' out=b.png"),
    ("prepare", "out=x sources=[mice] mice.path=there"),
)


@pytest.mark.parametrize("name, line", COMMANDS)
def test_the_quick_way_gives_what_hydra_gives(name: str, line: str) -> None:
    words = composing.by_class(shlex.split(line))
    quick, slow = composing._quickly(name, words), composing._by_hydra(name, words)
    composing._give_types(slow, name)
    assert quick is not None
    assert OmegaConf.to_yaml(quick) == OmegaConf.to_yaml(slow)
    assert quick == slow
    for group in composing.part_groups(composing.ROOTS[name]):
        assert OmegaConf.get_type(quick, group) is OmegaConf.get_type(slow, group)


def test_a_configuration_keeps_nothing_of_the_one_before() -> None:
    first = compose("run", ["algo.lr=1e-3", "algo.betas=[0.1,0.2]"])
    typed(first).algo.betas.append(7.0)
    first.algo.betas.append(0.3)
    assert compose("run", ["algo.lr=1e-3"]).algo.betas == compose("run", []).algo.betas != first.algo.betas


@pytest.mark.parametrize(
    "word", ["+seed=1", "~tracker", "hydra.searchpath=[]", "seed=1,2", "reward._target_=a.B", "seed=[", "sed=1"]
)
def test_what_is_more_than_plain_values_goes_to_hydra(word: str) -> None:
    assert composing._quickly("run", composing.by_class([word])) is None


def test_hydra_reads_a_choice_of_groups_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compose("run", ["seed=1", "editor=sandbox"])
    monkeypatch.setattr(composing, "_by_hydra", lambda *_: pytest.fail("read again"))
    assert compose("run", ["editor=sandbox", "seed=2"]).seed == 2


def test_groups_are_listed_as_hydra_lists_them() -> None:
    assert composing.groups_of("run") == composing.groups_of("run", ["hydra.searchpath=[]"])


def test_a_value_that_does_not_fit_is_named_with_its_key() -> None:
    with pytest.raises(BadInput, match=r"algo\.lora\.rank=x: .*key algo\.lora\.rank"):
        compose("run", ["algo.lora.rank=x"])


def test_what_is_missing_is_named_where_a_choice_was_composed_before() -> None:
    compose("agreement", ["data=sandbox", "judge=sandbox", "out=there"])
    with pytest.raises(BadInput, match="missing: out=…"):
        compose("agreement", ["judge=sandbox"])
