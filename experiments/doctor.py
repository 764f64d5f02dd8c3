"""`python -m experiments.doctor`: check what this machine has and can do: hardware, packages, models, data and keys.

Nothing is sent anywhere, and of keys only the names are told. format=json prints the same for programs. Exit code 2 where a first
run would not work.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    format: str = "text"


def main(argv: Sequence[str]) -> None:
    import json

    from common.errors import BadInput
    from common.plain_command import read_options
    from experiments.health.findings import as_json, faults
    from experiments.health.packages import core

    options = read_options(Options, argv, "experiments.doctor")
    if options.format not in ("text", "json"):
        raise BadInput(f"format={options.format} is unknown; choose text or json")
    if broken := [f for f in core() if f.status == "fault"]:  # the rest of this command needs some of them
        raise BadInput(f"a first run will not work here: packages {broken[0].text}; {broken[0].remedy}")
    from experiments.health.examine import examine
    from experiments.health.screen import show

    sections = examine()
    if options.format == "json":
        print(json.dumps(as_json(sections), indent=1, ensure_ascii=False))
    else:
        show(sections)
    if wrong := faults(sections):
        raise BadInput(f"a first run will not work here; mend first: {', '.join(f.name for f in wrong)}")


if __name__ == "__main__":
    from common.plain_command import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
