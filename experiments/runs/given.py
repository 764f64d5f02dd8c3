"""The words of the command line that this run was given, as they are in its configuration."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig

OF_HYDRA = ("cfg", "info", "hydra_help", "package", "config_path", "config_name", "config_dir", "experimental_rerun")
_words: list[str] | None = None  # of a run that Hydra did not start


def is_plain(args: Namespace) -> bool:
    """Whether there is one run to do, of which Hydra has nothing more to say than its configuration. Its runner composes that
    twice more, which takes a third of a second."""
    asked = args.multirun or any(getattr(args, flag, None) for flag in OF_HYDRA)
    return not asked and not any(word.lstrip("+~").startswith("hydra") for word in args.overrides)


@contextmanager
def single_run(words: Sequence[str]) -> Iterator[None]:
    """Within it `given_words` are these, and what libraries log is printed as it stands, as Hydra's runner does it."""
    global _words
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    _words = list(words)
    try:
        yield
    finally:
        _words = None


def given_words() -> list[str]:
    """The command line, of a sweep the job's part of it; empty outside of a command."""
    if _words is not None:
        return list(_words)
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


__all__ = ["given_words", "is_plain", "single_run"]
