"""`python -m experiments`, or `imageedit` where the project is installed: every command and what it does.

`imageedit run seed=3` is `python -m experiments.run seed=3`.
"""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

from common.dotted import nearest
from common.pipes import print_whole
from common.version import version_line

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """Every command with the first sentence of its description; nothing is imported."""
    files = sorted(f for f in HERE.glob("*.py") if not f.name.startswith("__"))
    return {f.stem: first_sentence(ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))) or "") for f in files}


def first_sentence(text: str) -> str:
    """Of a command's docstring, without the command line it may begin with."""
    text = re.sub(r"^`python -m [^`]*`[.:]\s*", "", " ".join(text.split()))
    first = re.split(r"(?<=[^.])\.(?:\s|$)", text)[0].strip()
    return first[:1].upper() + first[1:] + "."


def listing() -> str:
    known = commands()
    wide = max(map(len, known))
    lines = [f"  {name:<{wide}}  {about}" for name, about in known.items()]
    end = "imageedit <command> --help, or python -m experiments.<command> --help, lists its choices and keys."
    return "\n".join(
        [f"{version_line()}: image editing agents trained with reinforcement learning", "", *lines, "", end]
    )


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "--version"):
        print_whole(version_line() if name == "--version" else listing())
    elif name not in commands():
        print(
            f"error: there is no command '{name}'{nearest(name, list(commands()), all_of_them=True)}", file=sys.stderr
        )
        sys.exit(2)
    else:
        del sys.argv[1]
        runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
