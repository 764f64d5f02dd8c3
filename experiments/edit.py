"""`python -m experiments.edit image=photo.jpg instruction="…" out=edited.png`: edit your own pictures with the team.

Shows the decomposition and the plan before the editing starts, and writes the picture, a sheet and a trace, of one picture or of
a folder. A trace's plan can be changed and carried out again (plan=<trace.json>). docs/own_pictures.md says more.
"""

from __future__ import annotations

from conf.schema import EditConfig
from experiments.runs.cli import command

# keys whose values are taken as they are
FREE_TEXT = ("image", "instruction", "instruction_file", "instructions", "plan", "out", "run")


def main(config: EditConfig) -> None:
    from experiments.editing.main import edit

    edit(config)


if __name__ == "__main__":
    command("edit", main, FREE_TEXT)
