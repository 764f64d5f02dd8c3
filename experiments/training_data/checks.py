"""What must hold of the command line of `experiments.prepare` before anything is read."""

from __future__ import annotations

from benchmarks import catalogue
from common.errors import BadInput, MissingFile
from conf.schema import PrepareConfig
from experiments.preflight.machine import missing_of

SOURCES = ("psr", "requests", "mice", "complex_edit")
UNLABELLED = ("psr", "requests")  # sources that bring no labels
PICTURES = ("none", "keep", "send")
NO_AVOID = "none"  # the only entry of avoid where nothing is kept apart


def check(config: PrepareConfig) -> None:
    """Refuse what cannot work before anything is read. Raises BadInput, MissingFile."""
    if not config.sources:
        raise BadInput(f"sources=[…] names where requests come from: some of {', '.join(SOURCES)}")
    for name in config.sources:
        if name not in SOURCES:
            raise BadInput(f"sources: there is no {name!r}; choose from {', '.join(SOURCES)}")
        if name in UNLABELLED and not config.judge:
            raise BadInput(f"the requests of {name} carry no labels: choose a model that labels them, e.g. judge=gpt4o")
    check_avoid(config)
    if config.pictures not in PICTURES:
        raise BadInput(f"pictures={config.pictures} is unknown; choose {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
    if not 0 < config.near <= 1:
        raise BadInput(f"near={config.near} is no similarity; give more than 0 and at most 1")
    missing = missing_of(config.judge) if config.judge else []
    if missing and not config.dry_run:
        raise MissingFile(f"requests cannot be labelled; missing: {'; '.join(missing)}")


def check_avoid(config: PrepareConfig) -> None:
    """BadInput where requests of people would be gathered without a word on what is evaluated: nothing could then be kept
    apart, and public sets overlap (PSR-328 is of PSR's own subreddit)."""
    if list(config.avoid) == [NO_AVOID] or not (people := [s for s in config.sources if s in UNLABELLED]):
        return
    remedy = f"avoid=[{NO_AVOID}] goes without, and then no number on these sets means anything"
    if not config.avoid:
        raise BadInput(
            f"sources={people}: name what is evaluated, so that it is not trained on: avoid=[psr,realedit,…] (a benchmark, "
            f"<benchmark>:<path>, or a file of requests); {remedy}"
        )
    names = [entry.partition(":")[0] for entry in config.avoid]
    if "psr" in people and "psr" not in names and all(n in catalogue.NAMES for n in names):
        raise BadInput(f"sources=[psr] without psr among avoid: PSR-328 may be in the training set; {remedy}")


__all__ = ["NO_AVOID", "check", "check_avoid"]
