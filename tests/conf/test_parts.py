"""The rule by which a class becomes a part: its constructor's parameters are its options, ours and a user's alike."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from common.errors import BadInput
from conf.options import TARGET, class_at, class_of, options_of, parameters
from conf.parts import build, config_values, loose, to_object, with_keys
from conf.schema import RunConfig
from experiments.runs import cli
from experiments.runs.composing import by_class

PAGE = Path(__file__).parents[2] / "docs" / "extending" / "part.md"
OURS = [
    (path.parent.name, path.stem)
    for path in sorted(cli.CONF.glob("*/*.yaml"))
    if f"\n{TARGET}: " in path.read_text() and path.parent.name != "metrics"
]


def example() -> dict[str, str]:
    """The files and commands of the page's example, by their first line or kind."""
    text = PAGE.read_text(encoding="utf-8")
    part = text.partition("<!-- example: part -->")[2].partition("<!-- /example -->")[0]
    blocks = re.findall(r"```(\w*)\n(.*?)```", part, flags=re.S)
    return {kind or "commands": body for kind, body in blocks}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's example, written as it says; its folder is the current one."""
    for kind in ("python", "yaml"):
        body = example()[kind]
        path = tmp_path / body.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(parents=True)
        path.write_text(body)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [m for m in sys.modules if m.partition(".")[0] == "mypkg"]:
        del sys.modules[name]
    sys.path[:] = [p for p in sys.path if p != str(tmp_path)]


@pytest.mark.parametrize("line", [0, 1])
def test_the_pages_example_is_a_reward_of_a_run(package: Path, line: int) -> None:
    command = example()["commands"].splitlines()[line].removeprefix("python -m experiments.run ")
    words = command.replace("file://myconf", f"file://{package}/myconf").split()
    config = cli.typed(cli.compose("run", words))
    assert config.reward.limit == 100 and config.reward.name == ("short", "ShortAnswers")[line]
    assert build(config.reward)([], ["x" * 50, "x" * 200], [0, 0]) == [1.0, 0.5]
    values = config_values(config)
    assert values["reward"][TARGET] == "mypkg.rewards.ShortAnswers"
    again = to_object(OmegaConf.merge(loose(RunConfig), OmegaConf.create(values)))
    assert again == config  # as a run's folder keeps it


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reward.limt=3", "'reward.limt'; the nearest one is 'reward.limit'"),
        ("reward.limit=many", "'many'"),
        ("reward._target_=mypkg.rewards.ShortAnswer", "nearest one is 'ShortAnswers'"),
        ("reward._target_=nowhere.Reward", "no module nowhere"),
        ("reward._target_=Reward", "package.module.Class"),
    ],
)
def test_what_is_wrong_with_a_users_part_is_said_as_for_ours(package: Path, words: str, said: str) -> None:
    target = [] if TARGET in words else ["reward._target_=mypkg.rewards.ShortAnswers"]
    with pytest.raises(BadInput, match=re.escape(said)):
        cli.check("run", [*target, words])


@pytest.mark.parametrize(("group", "name"), OURS)
def test_the_options_of_our_classes_are_their_constructors_parameters(group: str, name: str) -> None:
    path = re.search(rf"^ *{TARGET}: (\S+)$", (cli.CONF / group / f"{name}.yaml").read_text(), re.M)
    assert path is not None
    cls = class_at(path[1], group)
    assert {f.name for f in fields(options_of(cls))} == {TARGET, "name", *(n for n, *_ in parameters(cls))}


def test_other_values_of_some_keys_are_checked() -> None:
    editor = cli.typed(cli.compose("run", ["editor=qwen"])).editor
    other = with_keys(editor, "editor", {"steps": 7})
    assert (other.steps, editor.steps, class_of(other)) == (7, 4, class_of(editor))
    with pytest.raises(BadInput, match="nearest one is 'editor.steps'"):
        with_keys(editor, "editor", {"stepz": 7})


def test_a_class_chosen_before_a_flag_is_chosen() -> None:
    """argparse takes no override behind a flag, so that what is added must stand before it."""
    words = ["reward._target_=a.B", "judge.rubric._target_=a.C", "reward.limit=3", "--cfg", "job"]
    added = ["reward=by_class", "judge/rubric=by_class"]
    assert by_class(words) == [words[0], added[0], words[1], added[1], *words[2:]]
    assert by_class(["reward._target_=a.B", "reward=f1"]) == ["reward._target_=a.B", "reward=f1"]


@pytest.mark.parametrize("group", ["reward", "editor", "sequencer", "judge", "tracker", "launcher", "engine"])
def test_a_class_without_the_groups_method_is_refused_before_anything_is_loaded(group: str) -> None:
    words = [f"{group}._target_=collections.OrderedDict"]
    with pytest.raises(BadInput, match=f"OrderedDict is no {group}: it needs a method "):
        cli.typed(cli.compose("run", words))
