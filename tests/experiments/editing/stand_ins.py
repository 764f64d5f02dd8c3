"""A team without models for tests of what is around it: every word of a request becomes an edit, and pictures change by text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from agents.backends.base import Sampling
from agents.decomposer import Decomposer
from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer
from agents.team import Team
from editors.outcomes import EditsFailed, Outcome
from tests.agents.test_session import RemoveEveryWord


class NoisyEditor:
    """Pictures of any size that depend on every pixel, the instruction and the seed; "refused" is refused."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        self.told += instructions
        outcomes = []
        for image, text, seed in zip(images, instructions, seeds, strict=True):
            noise = np.random.default_rng([seed, *text.encode()]).integers(0, 256, (image.height, image.width, 3))
            made = Image.fromarray(((np.asarray(image) + noise) % 256).astype(np.uint8))
            refused = "refused" in text
            outcomes.append(Outcome(None if refused else made, refused, "not this", 1, False))
        if any(o.image is None for o in outcomes):
            raise EditsFailed(outcomes)
        return [o.image for o in outcomes if o.image is not None]


def team(execution: str = "multi", editor: Any = None) -> Team:
    decomposer = Decomposer(RemoveEveryWord(), "{history}{request}", Sampling(8))
    return Team(decomposer, RulesSequencer(), EditingAgent(editor or NoisyEditor(), execution))


def terminal(is_terminal: bool = False) -> tuple[Console, io.StringIO]:
    """A console, and what it wrote."""
    text = io.StringIO()
    return Console(file=text, force_terminal=is_terminal, width=100, highlight=False), text


def loader(own: Team, writer: Any = None) -> Any:
    """As `experiments.runs.team_loader.TeamLoader`, with nothing to check."""
    return SimpleNamespace(
        team=own, writer=writer, config=SimpleNamespace(seed=0), allowed=lambda pictures, texts: [], check_machine=print
    )
