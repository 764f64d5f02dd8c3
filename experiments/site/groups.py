"""A page for each group of the configuration: what it is, its choices, and the options of their classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from conf.options import TARGET, class_at, dataclass_in, hints_of, path_of
from conf.schema import NESTED, ROOTS
from experiments.runs.composing import CONF, groups_of
from experiments.site.options import options_in, table

FOLDER = "options"  # of the pages, below docs/


def pages() -> dict[str, str]:
    """{place below docs/: Markdown}, an index first."""
    return {f"{FOLDER}/index.md": index()} | {f"{FOLDER}/{page_name(group)}": page(group) for group in groups()}


@cache
def groups() -> dict[str, list[str]]:
    """{group: commands that have it}, in the order of the commands' files."""
    found: dict[str, list[str]] = {}
    for name in ROOTS:
        for group in groups_of(name):
            if not group.startswith(("hydra", "paths")):
                found.setdefault(group, []).append(name)
    for folder in NESTED.values():  # parts within a part, which a command's list of defaults need not name
        found.setdefault(folder, found[folder.partition("/")[0]])
    return dict(sorted(found.items(), key=lambda pair: (list(found).index(pair[0].partition("/")[0]), pair[0])))


def page_name(group: str) -> str:
    return f"{group.replace('/', '_')}.md"


def index() -> str:
    rows = "\n".join(f"| [`{dotted(g)}`]({page_name(g)}) | {about(g)} | {', '.join(groups()[g])} |" for g in groups())
    return (
        "# Options\n\nEvery choice is a group, and every group a page. These pages are made from the typed dataclasses in "
        "`conf/schema/` and from the classes that the files in `conf/` name; `--help` prints the same in a terminal. "
        "`<group>=<choice>` picks a choice, `<group>.<key>=<value>` sets an option. "
        "An unknown key is refused, and the nearest one named.\n\n"
        f"| group | what it is | commands |\n|---|---|---|\n{rows}\n\nThe other keys of each command are on the page of the "
        "[commands](../commands.md).\n"
    )


def page(group: str) -> str:
    known = choices(group)
    lines = [f"# {dotted(group)}", f"{about(group)[:1].upper()}{about(group)[1:]}.", f"Commands: {_commands(group)}."]
    rows = "\n".join(f"| `{dotted(group)}={name}` | {first_comment(path)} |" for name, path in known.items())
    lines.append(f"## Choices\n\n| choice | what it is |\n|---|---|\n{rows}")
    plain = []
    for cls, names in classes(group).items():
        sets = ", ".join(f"`{name}`" for name in names)
        if options := list(options_in(cls, f"{dotted(group)}.")):
            lines.append(f"## Options of {sets}\n\n{_docstring(cls)}Class: `{path_of(cls)}`.\n\n{table(options)}")
        else:
            plain.append(f"{sets} (`{path_of(cls)}`)")
    for key, cls in parts_within(group).items():
        lines.append(
            f"## Options of `{key}`\n\n{_docstring(cls)}Class: `{path_of(cls)}`.\n\n{table(list(options_in(cls, f'{key}.')))}"
        )
    if plain:
        lines.append(f"## Choices without options\n\n{', '.join(plain)}.")
    if not classes(group) and (shared := schema_class(group)):
        lines.append(f"## Options\n\n{table(list(options_in(shared, f'{group}.')))}")
    lines.append("## What each choice sets\n")
    for name, path in known.items():
        for file in [path, *_by_scale(group, name)]:
            text = file.read_text(encoding="utf-8").rstrip()
            body = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
            lines.append(f'??? note "{file.relative_to(CONF.parent)}"\n\n    ```yaml\n{body}\n    ```\n')
    return "\n\n".join(lines) + "\n"


def dotted(group: str) -> str:
    """As it is written on a command line: `judge.rubric` for the folder judge/rubric."""
    return next((key for key, folder in NESTED.items() if folder == group), group)


def choices(group: str) -> dict[str, Path]:
    """{choice: its file}."""
    return {path.stem: path for path in sorted((CONF / group).glob("*.yaml"))}


def classes(group: str) -> dict[type, list[str]]:
    """{class: choices that name it}."""
    found: dict[type, list[str]] = {}
    for name, path in choices(group).items():
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(said, dict) and TARGET in said:
            found.setdefault(class_at(said[TARGET], group), []).append(name)
    return found


def parts_within(group: str) -> dict[str, type]:
    """{dotted key: class} of parts that a choice's file holds itself, such as tracker.wandb of tracker=many; parts that are chosen
    from a group of their own are on that group's page."""
    found: dict[str, type] = {}
    for path in choices(group).values():
        text = path.read_text(encoding="utf-8")
        said = {} if text.startswith("# @package _global_") else yaml.safe_load(text) or {}
        for key, value in said.items():
            place = f"{dotted(group)}.{key}"
            if isinstance(value, dict) and TARGET in value and place not in NESTED:
                found[place] = class_at(value[TARGET], place)
    return found


def schema_class(group: str) -> type | None:
    """Of a group without classes of its own (scale, execution): the dataclass in a command's schema."""
    for root in ROOTS.values():
        if group in {f.name for f in fields(root)}:
            return dataclass_in(hints_of(root)[group])
    return None


@cache
def about(group: str) -> str:
    """What the first command that has it says of it, in its list of defaults."""
    for name in groups()[group]:
        text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
        if match := re.search(rf"^  - {group}: \S+ *# *(.+)$", text, re.MULTILINE):
            return match[1].removeprefix(f"{dotted(group)}=<name>: ").strip().replace("|", "\\|")
    return f"choices of `{dotted(group)}`"


def first_comment(file: Path) -> str:
    """The first sentence or two at the head of a yaml: its leading comment lines, up to an empty comment or the first key."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    text = lines[0] if lines else ""
    if len(lines) > 1 and not text.endswith((".", ":")):  # a sentence that goes on in the next line
        text = re.split(r"(?<=[a-z0-9)])\. ", f"{text} {lines[1]}")[0]
    return text.replace("|", "\\|").replace("<", "&lt;")


def _by_scale(group: str, name: str) -> Iterator[Path]:
    """Values that depend on the scale: conf/editor/qwen/tiny.yaml of editor=qwen."""
    folder = CONF / group / name
    if folder.is_dir() and f"{group}/{name}" not in groups():
        yield from sorted(folder.glob("*.yaml"))


def _docstring(cls: Any) -> str:
    text = (cls.__doc__ or "").split("\n\n")[0]
    if not text or text.startswith(f"{cls.__name__}("):  # what dataclass writes where nobody has
        return ""
    return " ".join(text.split()).replace("<", "&lt;") + "\n\n"


def _commands(group: str) -> str:
    return ", ".join(f"[`{name}`](../commands.md#{name})" for name in groups()[group])


__all__ = ["FOLDER", "about", "choices", "classes", "first_comment", "groups", "page", "page_name", "pages"]
