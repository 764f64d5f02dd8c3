"""The list on a terminal."""

from __future__ import annotations

from rich.text import Text

from common.progress import console
from experiments.health.findings import Sections

MARKS = {"ok": ("✓", "green"), "absent": ("–", "dim"), "warning": ("!", "yellow"), "fault": ("✗", "bold red")}


def show(sections: Sections) -> None:
    """A line or more for each finding, broken between words; the remedy stands behind an arrow."""
    wide = max(len(f.name) for found in sections.values() for f in found)
    for title, found in sections.items():
        console.print(Text(f"\n{title[:1].upper()}{title[1:]}", "bold"))
        for finding in found:
            mark, style = MARKS[finding.status]
            head = Text("  ").append(mark, style).append(f" {finding.name:<{min(wide, 24)}}  ")
            _wrapped(head, Text(finding.text, "dim" if finding.status == "absent" else ""))
            if finding.remedy:
                _wrapped(Text(" " * len(head)), Text(f"→ {finding.remedy}"))
    counts = {status: sum(f.status == status for found in sections.values() for f in found) for status in MARKS}
    console.print(
        Text(
            f"\n{counts['ok']} in order, {counts['absent']} not here, {counts['warning']} to look at, {counts['fault']} to mend"
        )
    )


def _wrapped(head: Text, text: Text) -> None:
    room = max(30, console.width - len(head))
    for n, line in enumerate(text.wrap(console, room)):
        line.rstrip()
        console.print((head if n == 0 else Text(" " * len(head))).copy().append_text(line), soft_wrap=True)


__all__ = ["show"]
