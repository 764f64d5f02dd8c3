"""The demo with parts that need no models, for tests: a decomposer that answers by rule, and the real page on a free port."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image

from agents.backends.base import Completion, Sampling
from agents.decomposer import Decomposer
from agents.editing import EditingAgent
from agents.plan import write_decomposition
from agents.sequencer import RulesSequencer
from agents.team import Team
from benchmarks.base import Decomposition, Edit
from experiments.serving.limits import PictureLimits
from experiments.serving.workshop import Rules, Workshop

ALICE, BOB = "a" * 32, "b" * 32  # names of browsers
PATIENCE_S = 600.0  # only ever reached by a broken test
LIMITS = PictureLimits(2_000_000, 1_000_000)


class RemovesEachThing:
    """A model that removes, one by one, what stands in the request's last line between "and"s; "?" makes it babble."""

    def generate(self, requests: Any, n: int, sampling: Any) -> list[list[Completion]]:
        return [[Completion((1,), (0.0,), self.answer(r.text.splitlines()[-1]), "stop")] for r in requests]

    @staticmethod
    def answer(request: str) -> str:
        edits = [Edit("remove", word.strip()) for word in request.removeprefix("remove ").split(" and ")]
        return "hm" if "?" in request else write_decomposition(Decomposition.of(edits, f"{len(edits)} things go"))


class Identity:
    """An editor that changes nothing."""

    def edit(self, images: Sequence[Image.Image], instructions: Any, seeds: Any) -> list[Image.Image]:
        return list(images)


class Shift:
    """An editor that adds 1 to every value of every pixel, and waits for `go` before each call."""

    def __init__(self) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.go.set()
        self.calls: list[str] = []

    def edit(self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Any) -> list[Image.Image]:
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        self.calls += instructions
        return [image.point(lambda value: (value + 1) % 256) for image in images]


def team(editor: Any, execution: str = "multi") -> Team:
    decomposer = Decomposer(RemovesEachThing(), "{request}", Sampling(8, temperature=0.0))
    return Team(decomposer, RulesSequencer(), EditingAgent(editor, execution))


@contextmanager
def workshop(
    editor: Any = None, execution: str = "multi", rules: Rules | None = None, **more: Any
) -> Iterator[Workshop]:
    """A workshop that is closed at the end."""
    shop = Workshop(team(editor or Shift(), execution), more.pop("limits", LIMITS), rules, **more)
    try:
        yield shop
    finally:
        getattr(getattr(editor, "go", None), "set", lambda: None)()
        shop.close()


@contextmanager
def served(shop: Workshop, about: Any = None, password: str | None = None) -> Iterator[str]:
    """The address of the page over this workshop."""
    from experiments.serving.about import About
    from experiments.serving.server import listen
    from experiments.serving.web import Service, make_app, own_folder

    with own_folder():
        listener = listen("127.0.0.1", 0)
        app = make_app(shop, about or About("editor <b>test</b>", "small pictures", sandbox=True), password)
        service = Service(app, listener)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            shop.stop_all()
            service.stop()


def png(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def noise(seed: int, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """Random pixels."""
    import numpy as np

    bands = len(mode)
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    return Image.fromarray(values)


__all__ = ["ALICE", "BOB", "LIMITS", "PATIENCE_S", "Identity", "Shift", "noise", "png", "served", "team", "workshop"]
