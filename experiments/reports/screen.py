"""Reports on the terminal: titles that no narrow table breaks, and lines that go on below their first word."""

from __future__ import annotations

import re

from rich.table import Table
from rich.text import Text

from common.progress import console

INTERVAL = re.compile(r"\S+ \[[^\]]*\]")  # with the number before it
UNBROKEN = "\ue000"  # a space at which no line is broken, as wide as one


def show_table(table: Table) -> None:
    """The table below its title. A title of a rich table is broken at the width of the table, this one at that of the terminal."""
    title, table.title = table.title, None
    if title:
        print_line(str(title), "", "italic")
    console.print(table)
    table.title = title


def print_line(text: str | Text, indent: str = "  ", style: str = "") -> None:
    """A line, broken between words where the terminal is narrower; what follows is indented two characters further."""
    whole = Text(text) if isinstance(text, str) else text.copy()
    if style:
        whole.stylize(style)
    whole.plain = INTERVAL.sub(lambda m: m[0].replace(" ", UNBROKEN), whole.plain)
    for n, line in enumerate(whole.wrap(console, max(20, console.width - len(indent) - 2))):
        line.rstrip()
        line.plain = line.plain.replace(UNBROKEN, " ")
        console.print(Text(indent + ("  " if n else "")).append_text(line), soft_wrap=True)


__all__ = ["print_line", "show_table"]
