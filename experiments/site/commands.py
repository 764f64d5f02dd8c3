"""The page of all commands, from their docstrings and the schema."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

from conf.options import dataclass_in, hints_of
from conf.schema import ROOTS
from experiments.__main__ import HERE, commands
from experiments.site.groups import dotted, groups, page_name
from experiments.site.options import Option, options_in, table

HEAD = """# Commands

`python -m experiments.<command>`, or `imageedit <command>` in the environment that `make setup` made. Each takes `key=value`
words; `--help` lists its choices and keys, `--version` the version. Exit codes: 0 done, 2 something that you can mend (one line
says what), 130 interrupted.

| command | what it does |
|---|---|
"""


def page() -> str:
    known = commands()
    rows = "\n".join(f"| [`{name}`](#{name}) | {_escaped(text)} |" for name, text in known.items())
    return HEAD + rows + "\n\n" + "\n".join(_section(name) for name in known)


def _section(name: str) -> str:
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or ""
    parts = [f"## {name}\n", _described(text), ""]
    if name in ROOTS:
        own = [g for g, names in groups().items() if name in names]
        links = ", ".join(f"[`{dotted(g)}`](options/{page_name(g)})" for g in own)
        parts.append(f"Groups: {links}.\n" if links else "")
        keys = table(keys_of_command(ROOTS[name]))
        parts.append(
            '??? note "Keys beside those of the groups"\n\n'
            + "\n".join(f"    {line}" for line in keys.splitlines())
            + "\n"
        )
    return "\n".join(parts)


def keys_of_command(root: type) -> list[Option]:
    """Without the groups, which have pages of their own."""
    of_groups = {f.name for f in fields(root) if f.name in groups() or f.metadata.get("part")}
    hints = hints_of(root)
    nested = {f.name for f in fields(root) if dataclass_in(hints[f.name]) is not None}
    return [
        option
        for option in options_in(root)
        if option.key.partition(".")[0] not in of_groups
        and (option.key in hints or option.key.partition(".")[0] in nested)
    ]


def _described(text: str) -> str:
    """A docstring as Markdown: lines that are commands become code, everything else stays text."""
    out: list[str] = []
    inside = False
    for line in text.splitlines():
        command = line.startswith(("python -m ", "    ", "imageedit "))
        if command != inside:
            out += ["```" if inside else "\n```"]
            inside = command
        out.append(line if inside else _escaped(line))
    return "\n".join([*out, *(["```"] if inside else [])])


def _escaped(text: str) -> str:
    """Angle brackets outside of code are no HTML."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else p.replace("<", "&lt;").replace("|", "\\|") for p in parts)


__all__ = ["keys_of_command", "page"]
