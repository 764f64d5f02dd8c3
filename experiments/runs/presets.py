"""The presets of conf/experiment: what each one is for, and the jobs of those that hold a whole table.

A table's grid is Hydra's own: `hydra.sweeper.params` in the preset's file, which `-m` runs. What the command line says of the same
key wins over it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from experiments.runs.composing import CONF

FOLDER = CONF / "experiment"
HEAD = re.compile(r"(python -m experiments\.run.*?) — (.*?) ?(Expect .*?\.) (Costs .*)")


@dataclass(frozen=True)
class Preset:
    """`command` and what is said of it, from the comment at the head of its file; `grid`: the values of the keys that the table
    varies, empty for a single run."""

    name: str
    command: str
    about: str
    expect: str
    costs: str
    grid: dict[str, list[str]]

    @property
    def jobs(self) -> list[list[str]]:
        """The words of each run of the table, as on a command line; of a single run its own."""
        return [
            [f"experiment={self.name}", *(f"{key}={value}" for key, value in zip(self.grid, values, strict=True))]
            for values in product(*self.grid.values())
        ]


def presets() -> list[Preset]:
    """All of them, in the order of their names."""
    return [read_preset(path.stem) for path in sorted(FOLDER.glob("*.yaml"))]


def read_preset(name: str) -> Preset:
    """Raises ValueError where the head of the file does not say the command, what to expect and what it costs."""
    path = FOLDER / f"{name}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines[1:]:  # the first is Hydra's @package
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    said = HEAD.match(" ".join(comment))
    if not said:
        raise ValueError(f"{path} must begin with `# <command> — <what it is> Expect <what>. Costs <what>`")
    params = OmegaConf.select(OmegaConf.load(path), "hydra.sweeper.params") or {}
    parser = OverridesParser.create()
    grid = {}
    for key, value in params.items():
        override = parser.parse_override(f"{key}={value}")
        swept = override.is_sweep_override()
        grid[str(key)] = list(map(str, override.sweep_string_iterator())) if swept else [str(value)]
    command, about, expect, costs = said.groups()
    return Preset(name, command, about, expect, costs, grid)


__all__ = ["Preset", "presets", "read_preset"]
