"""`python -m experiments.session`: edit your own picture in several turns in the terminal, with undo and branches.

One request per line; /help lists the commands. Every turn is saved at once to out=<folder>, and the same command goes on from
there. Lines may come from a pipe as well. docs/own_pictures.md says more.
"""

from __future__ import annotations

from conf.schema import SessionConfig
from experiments.runs.cli import command

FREE_TEXT = ("image", "out", "run")  # keys whose values are taken as they are


def main(config: SessionConfig) -> None:
    from experiments.editing.playing import play

    play(config)


if __name__ == "__main__":
    command("session", main, FREE_TEXT)
