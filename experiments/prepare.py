"""`python -m experiments.prepare out=<folder> sources=[psr,mice,…] avoid=[…]`: prepare a training
set for the decomposer.

Requests are gathered, those too near to evaluation items removed, the rest labelled (by the data, or by a model), and
`records.jsonl` written with a `manifest.json` that says where everything came from and what was left out and why. What it
will cost is said before it starts; `dry_run=true` says only that. The same command again goes on, and asks nothing twice.
"""

from __future__ import annotations

from pathlib import Path

from conf.schema import PrepareConfig
from experiments.runs.cli import command

FREE_TEXT = ("out",)  # keys whose values are taken as they are


def main(config: PrepareConfig) -> None:
    from common.files import locked
    from experiments.training_data.checks import check
    from experiments.training_data.preparation import Preparation, labeller

    check(config)
    out = Path(config.out)
    if not config.verbose:
        import datasets

        datasets.disable_progress_bars()
    client = labeller(config) if config.judge else None
    if config.dry_run:
        Preparation(config, out, client).run()
        return
    with locked(out):
        Preparation(config, out, client).run()


if __name__ == "__main__":
    command("prepare", main, FREE_TEXT)
