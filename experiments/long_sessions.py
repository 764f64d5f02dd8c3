"""`python -m experiments.long_sessions`: measure how a picture decays over many turns.

Plain instructions on held-out scenes, each on the result of the one before it. Writes decay.json, decay.png and, for each editor,
turns_<editor>.png into `out`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    editors: str = "qwen,flux_kontext"
    sessions: int = 6
    turns: int = 20
    passes: int = 10  # of the same request, whose answer is the picture as it is
    out: str = "outputs/long_sessions"


def main(argv: Sequence[str]) -> None:
    from common.plain_command import read_options
    from experiments.preflight.command_limits import check_long_sessions

    options = read_options(Options, argv, "experiments.long_sessions")
    names = options.editors.split(",")
    check_long_sessions(
        options.sessions, options.turns, options.passes, len(names)
    )  # before what takes seconds to import
    from common.files import write_json
    from common.progress import console
    from experiments.build.device import use_threads
    from experiments.build.editors import make_editor
    from experiments.evaluation.long_sessions import WAYS, decay, identity, long_sessions, play
    from experiments.reports.long_sessions import Decayed, as_dict, draw, print_table, strip
    from experiments.runs.cli import compose, typed
    from experiments.runs.libraries import libraries_in_log

    sessions, out = long_sessions(options.sessions, options.turns), Path(options.out)
    results = {}
    with libraries_in_log(out):
        for name in names:
            config = typed(compose("run", [f"editor={name}"]))
            use_threads(config.engine)
            editor = make_editor(config.editor, config.engine)
            shown = play(editor, sessions, name)
            by_turn = {way: decay(sessions, shown[way]) for way in WAYS}
            results[name] = Decayed(by_turn, identity(editor, sessions, options.passes))
            strip(sessions[:3], shown).save(out / f"turns_{name}.png")
    print_table(results)
    draw(results, out / "decay.png")
    numbers = {name: as_dict(decayed) for name, decayed in results.items()}
    write_json(out / "decay.json", {"sessions": len(sessions), "turns": options.turns, "editors": numbers})
    console.print(f"written: {out / 'decay.json'}, decay.png, " + ", ".join(f"turns_{name}.png" for name in names))


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
