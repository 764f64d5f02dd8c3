"""The generated pages say everything that the schema has, and the hand-written ones only what is so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from common.places import ROOT
from common.ranges import number
from experiments.__main__ import commands as all_commands
from experiments.runs import cli
from experiments.site import commands, groups
from experiments.site.options import options_in, table

DOCS = ROOT / "docs"
FOLDERS = ("agents", "benchmarks", "common", "conf", "editors", "experiments", "judges", "rewards", "rl")


@cache
def generated() -> dict[str, str]:
    return groups.pages()


@pytest.mark.parametrize("name", cli.ROOTS)
def test_every_key_of_every_command_is_on_a_page(name: str) -> None:
    """Those of the default choices, as `--help` prints them."""
    text = cli.help_of(name, [])
    block = text.partition("Keys, with their values under these choices:\n")[2].partition("\nExamples:")[0]
    keys = {line.split("=")[0].strip() for line in block.splitlines() if "=" in line and line.startswith("  ")}
    hidden = {k for k in keys if f"`{k}`" not in every_key() and not k.startswith("paths.")}
    assert len(keys) > 5 and not hidden


def test_every_choice_has_a_page_and_a_description() -> None:
    for group in groups.groups():
        text = generated()[f"{groups.FOLDER}/{groups.page_name(group)}"]
        for choice in groups.choices(group):
            row = re.search(rf"\| `{re.escape(groups.dotted(group))}={re.escape(choice)}` \| (.*) \|", text)
            assert row and len(row[1]) > 10, (group, choice)
        for choice in cli.groups_of(groups.groups()[group][0]).get(group, ()):
            assert f"={choice}`" in text


def test_every_option_says_what_it_is() -> None:
    """Also those of parts within a choice's own file. Of a class that is no dataclass, its docstring does."""
    options = re.findall(r"^ *\| `([\w.]+)` \| .* \| (?:`.*`|\*required\*) \| (.*) \|$", every_key(), re.MULTILINE)
    silent = {key for key, meaning in options if not meaning.strip()}
    assert silent == {"judge.rubric.both_orders", "judge.rubric.scoring"}
    assert {"tracker.wandb.project", "judge.vlm.base_url", "algo.lr"} <= {key for key, _ in options}


@dataclass
class Inner:
    depth: int = 2  # how deep


@dataclass
class Part:
    must: str  # what it needs
    size: int = number(3, 1, 9)  # pieces
    kind: Literal["a", "b"] = "a"
    rest: list[float] | None = None  # 1 | 2, <x>
    words: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)


def test_options_have_type_default_meaning_and_range() -> None:
    found = {o.key: (o.type, o.default, o.meaning) for o in options_in(Part, "part.")}
    assert found == {
        "part.must": ("text", "", "what it needs"),
        "part.size": ("whole number", "3", "pieces; 1 or more and at most 9"),
        "part.kind": ("a or b", "a", ""),
        "part.rest": ("list of numbers, or null", "null", "1 | 2, <x>"),
        "part.words": ("list of texts", "[]", ""),
        "part.inner.depth": ("whole number", "2", "how deep"),
    }
    text = table(list(options_in(Part, "part.")))
    assert "*required*" in text and "1 \\| 2, &lt;x&gt;" in text
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in text.splitlines())


def test_a_class_that_is_no_dataclass_has_the_options_of_its_constructor() -> None:
    class Part:
        def __init__(self, limit: int = 5, mode: Literal["fast", "slow"] = "fast") -> None: ...

    assert [(o.key, o.type, o.default) for o in options_in(Part, "reward.")] == [
        ("reward.limit", "whole number", "5"),
        ("reward.mode", "fast or slow", "fast"),
    ]


def test_the_page_of_commands_has_every_command_and_no_open_code() -> None:
    text = commands.page()
    for name in all_commands():
        assert f"\n## {name}\n" in text and f"(#{name})" in text
    assert text.count("\n```") % 2 == 0


# ------------------------------------------------------------------------------------------------------- hand-written
@cache
def messages() -> list[str]:
    """Every text in the code, with … for what is filled in."""
    found = []
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    found.append("".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values))  # type: ignore[misc]
    return [" ".join(text.split()) for text in found]


def headings() -> list[str]:
    return re.findall(r"^### `(.*)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("said", headings())
def test_every_message_of_the_troubleshooting_page_is_in_the_code(said: str) -> None:
    """Its pieces between the marks stand in one message, in this order."""
    pieces = [re.escape(piece.strip()) for piece in said.split("…") if piece.strip()]
    pattern = re.compile(".*".join(pieces))
    assert any(pattern.search(message) for message in messages())


def test_there_are_messages_to_look_for() -> None:
    assert len(headings()) > 20


def test_commands_in_the_pages_exist_and_their_keys_are_known() -> None:
    """Every `python -m experiments.x key=value` of the hand-written pages that I can check without a run."""
    known, roots = all_commands(), cli.ROOTS
    for page, line in lines_of_commands():
        name, *words = re.sub(r"\s+#.*", "", line).split()
        assert name in known, f"{page}: {line}"
        if name not in roots or any(w.startswith(("hydra.", "-")) or "mypkg" in w for w in words):
            continue
        choices = cli.groups_of(name)
        for word in words:
            key, equals, value = word.partition("=")
            if equals and key in choices and re.fullmatch(r"[\w,]+", value):
                assert set(value.split(",")) <= set(choices[key]), f"{page}: {line}"
            elif equals and re.fullmatch(r"[a-z][\w.]*", key):
                assert key in choices or f"`{key}`" in every_key(), f"{page}: {line}: there is no key {key}"


@cache
def every_key() -> str:
    return "".join(generated().values()) + commands.page()


def lines_of_commands() -> Iterator[tuple[str, str]]:
    for page in sorted([*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]):
        for line in re.findall(r"python -m experiments\.(?!benches\.)(\w+[^`\n]*)", page.read_text(encoding="utf-8")):
            yield page.name, line


def test_environment_variables_of_the_page_are_used() -> None:
    text = (DOCS / "machine.md").read_text(encoding="utf-8").partition("## Environment variables")[2]
    named = re.findall(r"`([A-Z][A-Z_]+)`", text.partition("## Completion")[0])
    libraries = {"HF_TOKEN", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS"}
    code = "".join(f.read_text(encoding="utf-8") for d in FOLDERS for f in (ROOT / d).rglob("*.[py]*[yl]"))
    assert len(named) > 6 and all(f'"{name}"' in code or name in code for name in set(named) - libraries)


@pytest.mark.parametrize("page", sorted((DOCS / "extending").glob("*.md")), ids=lambda p: p.stem)
def test_a_page_on_extending_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) < 60
