"""`python -m experiments.publish run=outputs/<run> to=<folder>`: make a model folder of what a run trained, or
upload it to the Hugging Face Hub.

to=hub:<owner>/<name> uploads it (HF_TOKEN, or `hf auth login`), which is private; visibility=public shows it to everyone.
Other keys: part=<decomposer, rrm, intent or editor, or a folder below the run> where a run trained several; base=<owner>/<name> and
licence=<identifier, or other:<name>> of the model that training began with, where they are not known here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNSAID = ("<folder>", "<folder or hub:owner/name>", "the trained one", "as known")


@dataclass(frozen=True)
class Options:
    run: str = UNSAID[0]
    to: str = UNSAID[1]
    part: str = UNSAID[2]
    base: str = UNSAID[3]
    licence: str = UNSAID[3]
    visibility: str = "private"


def main(argv: Sequence[str]) -> None:
    from common.errors import BadInput
    from common.plain_command import read_options

    options = read_options(Options, argv, "experiments.publish")
    if options.run in UNSAID or options.to in UNSAID:
        raise BadInput(
            "say what and where: python -m experiments.publish run=outputs/<run> to=<folder or hub:owner/name>"
        )
    if options.visibility not in ("private", "public"):
        raise BadInput(f"visibility={options.visibility} is unknown; choose private or public")
    part, base, licence = ("" if value in UNSAID else value for value in (options.part, options.base, options.licence))
    publish(Path(options.run), options.to, part, base, licence, options.visibility == "public")


def publish(run: Path, to: str, part_name: str, base: str, licence: str, public: bool) -> None:
    """Everything that could be refused is checked before the first file is written."""
    import os
    import tempfile

    from common.errors import MissingFile
    from common.files import read_json
    from common.progress import say
    from experiments.publishing import hub
    from experiments.publishing.card import CardFacts
    from experiments.publishing.commands import command_of
    from experiments.publishing.folder import check_own, size_of, write_folder
    from experiments.publishing.numbers import numbers_of
    from experiments.publishing.origins import origin_of, start_of
    from experiments.publishing.parts import choose
    from experiments.runs.identity import load_config

    name = hub.repository(to)
    api = None if name is None else hub.connect()
    config = load_config(run)
    if not (run / "results.json").is_file():
        raise MissingFile(f"{run} has no results.json: the run has not ended; the command that made it goes on")
    part = choose(run, part_name)
    origin = origin_of(start_of(part, config), base, licence)
    results = read_json(run / "results.json")
    title = f"{run.resolve().name} {part.name.replace('/', ' ')}" if name is None else name.partition("/")[2]
    facts = CardFacts(title, part, config, origin, numbers_of(part, results), command_of(config), name or ".")
    say(
        f"{part.kind} of {run}: {part.folder} ({size_of(part) / 1e6:,.1f} MB), licence {origin.licence_name or origin.licence}"
    )
    if name is None:
        check_own(Path(to))
        out = write_folder(facts, run, Path(to))
        say(f"written: {out}; the card is {out / 'README.md'}")
        return
    hub.check_repository(api, name)
    with tempfile.TemporaryDirectory() as place:
        page = hub.upload(api, name, write_folder(facts, run, Path(place) / "model", os.symlink), public)
    say(f"uploaded: {page}")


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__)
