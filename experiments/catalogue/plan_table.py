"""What a cleaning removes, as a table for the terminal."""

from __future__ import annotations

from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from experiments.catalogue.cleaning import Plan, freed
from experiments.catalogue.sizes import age_text, size_text


def plan_table(planned: Plan) -> Table:
    """A line for each run and kind of thing in it."""
    out = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for name in ("run", "state", "age", "what goes", "frees"):
        out.add_column(name, justify="right" if name in ("age", "frees") else "left", overflow="fold")
    for entry, several in planned.removed:
        first = [entry.name, entry.state.word, age_text(entry.age)]
        for kind, group in groupby(several, lambda item: item.kind):
            paths = [item.path for item in group]
            names = ", ".join(str(p.relative_to(entry.folder)) for p in paths[:4]) + (" …" if len(paths) > 4 else "")
            what = Text(f"{len(paths)} {kind}{'s' * (len(paths) > 1)}").append(f"\n{names}", "dim")
            out.add_row(*map(Text, first), what, size_text(freed(paths)))
            first = ["", "", ""]
    return out


__all__ = ["plan_table"]
