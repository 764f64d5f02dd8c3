"""What every command says about itself: its own keys and choices and only those, the project's version, the list of commands."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.plain_command import plain_command
from common.version import version
from conf.comments import comments_of
from conf.schema import ROOTS, ScaleConfig
from experiments import __main__ as commands
from experiments.runs import cli

FILES = Path(commands.__file__).parent


def keys_in(text: str) -> list[str]:
    block = text.partition("Keys, with their values under these choices:\n")[2].partition("\nExamples:")[0]
    return [line.split("=")[0].strip() for line in block.splitlines() if "=" in line]


@pytest.mark.parametrize("name", ROOTS)
def test_help_lists_the_commands_own_keys_and_only_those(name: str) -> None:
    text = cli.help_of(name, [])
    keys, known = keys_in(text), set(cli.all_keys(name, []))
    assert keys and len(keys) == len(set(keys))
    assert set(keys) <= known
    leaves = {k for k in cli.static_keys(name) if not any(o.startswith(f"{k}.") for o in known)}
    chosen = {k for k in leaves if k not in cli.groups_of(name) and not k.endswith(".name")}
    assert chosen <= set(keys)
    assert "by_class" not in text and "$KEYS" not in text and "$APP" not in text


def test_help_lists_the_choices_of_the_command_and_no_other() -> None:
    text = cli.help_of("edit", [])
    assert "\n  editor " in text and "\n  rollouts " in text
    assert "\n  benchmark " not in text and "\n  tracker " not in text and "\n  metrics " not in text


def test_help_of_another_choice_has_its_keys() -> None:
    assert "editor.api.model" not in keys_in(cli.help_of("run", []))
    keys = keys_in(cli.help_of("run", ["editor=gpt_image"]))
    assert "editor.api.model" in keys and "editor.steps" not in keys


def test_a_comment_is_that_of_its_field() -> None:
    @dataclass
    class Numbers:
        a: int = 1  # beside it
        # above it,
        # in two lines
        b: int = 2
        c: int = 3
        d: float = 4.0  # type: ignore[misc]  # after a mark for the type checker
        f: int = field(
            default=5,
        )  # behind the last, too

    expected = {
        "a": "beside it",
        "b": "above it, in two lines",
        "d": "after a mark for the type checker",
        "f": "behind the last, too",
    }
    assert comments_of(Numbers) == expected
    assert comments_of(ScaleConfig)["image_size"].startswith("side of a sandbox picture, pixels")


def test_the_version_is_that_of_the_project(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = tomllib.loads((FILES.parent / "pyproject.toml").read_text())["project"]["version"]
    assert version() == stated
    for call in (
        lambda: cli.command("run", print),
        lambda: plain_command(print, ["--version"], "about"),  # type: ignore[arg-type]
        commands.main,
    ):
        monkeypatch.setattr(sys, "argv", ["x", "--version"])
        try:
            call()
        except SystemExit as end:
            assert not end.code
        assert capsys.readouterr().out == f"imageedit-r1 {stated}\n"


def test_the_list_of_commands_has_all_of_them_with_a_sentence_each(capsys: pytest.CaptureFixture[str]) -> None:
    known = commands.commands()
    assert set(ROOTS) | {"report"} <= set(known)
    for name, about in known.items():  # "Do this.", short enough for a line of a terminal
        assert re.fullmatch(r"[A-Z][a-z]+ .{10,105}\.", about), (name, about)
    listed = commands.listing()
    assert all(f"\n  {name} " in listed for name in known)
    for name in known:  # flat files of experiments/ are commands
        tree = ast.parse((FILES / f"{name}.py").read_text())
        assert any(isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in tree.body), name


def test_a_command_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    called: list[tuple[str, str, list[str]]] = []
    monkeypatch.setattr(
        runpy, "run_module", lambda module, run_name, alter_sys: called.append((module, run_name, sys.argv[1:]))
    )
    monkeypatch.setattr(sys, "argv", ["imageedit", "run", "seed=3"])
    commands.main()
    assert called == [("experiments.run", "__main__", ["seed=3"])]
    monkeypatch.setattr(sys, "argv", ["imageedit", "rum"])
    with pytest.raises(SystemExit) as end:
        commands.main()
    assert end.value.code == 2 and "nearest one is 'run'" in capsys.readouterr().err


def test_an_unknown_option_of_a_plain_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        plain_command(print, ["--foo"], "about")  # type: ignore[arg-type]
    assert (
        end.value.code == 2
        and capsys.readouterr().err == "error: there is no option --foo; options are --help and --version\n"
    )
