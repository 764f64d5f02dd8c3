"""A single run is started without Hydra's runner, and gets what that would give it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from experiments.runs import cli
from experiments.runs.given import given_words


@pytest.mark.parametrize("words", [["seed=3", "editor=sandbox", "algo.lr=1e-5"], ["reward=f1", "name=a b"]])
def test_a_run_gets_the_same_from_us_and_from_hydras_runner(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[Any, ...]] = []

    def main(config: Any) -> None:
        logging.getLogger("a.library").info("a line of a library")
        seen.append((config, given_words(), capsys.readouterr().out))

    for more in ([], ["hydra.verbose=false"]):  # a word about Hydra is left to Hydra
        monkeypatch.setattr(sys, "argv", ["run", *words, *more])
        cli.command("run", main)
        assert given_words() == []  # nothing is left of it
    ours, hydras = seen
    assert ours == hydras and ours[1:] == (words, "a line of a library\n")
