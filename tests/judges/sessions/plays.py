"""Sessions of the sandbox played in known ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.base import Edit, EditSession
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxSample, make_session
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene
from common.errors import BadInput
from judges.sessions.base import PlayedSession

Play = Callable[[Scene, SandboxSample, int], Scene]  # the scene before turn k, the turn, k -> the scene after it


def picture(scene: Scene) -> Image.Image:
    return Image.fromarray(render(scene, 64))


def samples(session: EditSession) -> list[SandboxSample]:
    return [turn for turn in session.turns if isinstance(turn, SandboxSample)]


def perfect(session: EditSession) -> PlayedSession:
    turns = samples(session)
    return PlayedSession(session, turns[0].image, tuple(turn.target for turn in turns))


def played(session: EditSession, play: Play) -> PlayedSession | None:
    """Every turn on the result of the turn before; None where a turn cannot be played so."""
    turns = samples(session)
    scene, scenes = turns[0].before, []
    try:
        for k, turn in enumerate(turns):
            scene = play(scene, turn, k)
            scenes.append(scene)
    except BadInput:
        return None
    return PlayedSession(session, turns[0].image, tuple(picture(s) for s in scenes))


def without_rule(scene: Scene, turn: SandboxSample, k: int) -> Scene:
    return apply_edits(scene, turn.gold)


def as_meant(scene: Scene, turn: SandboxSample, k: int = 0) -> Scene:
    """The gold edit and the rule on what it touched."""
    after = apply_edits(scene, turn.gold)
    fresh = [t for t in after.things if t not in scene.things]
    if turn.rule is None or len(fresh) != 1:
        return after
    name = "colour" if turn.rule.action == "recolor" else "material"
    return after.with_thing(fresh[0], replace(fresh[0], **{name: turn.rule.goal}))


def sessions(kind: str, count: int, turns: int = 3, split: str = "test", seed: int = 3) -> list[EditSession]:
    """The first sessions of a kind, cm or cu."""
    found: list[EditSession] = []
    index = 0
    while len(found) < count:
        session = make_session(split, seed, index, turns)
        index += 1
        if session.turns[0].kind == kind:
            found.append(session)
    return found


def by_hand(scene: Scene, golds: Sequence[Edit], rule: Edit | None = None) -> EditSession:
    """A session of these edits played as meant."""
    turns: list[SandboxSample] = []
    for k, gold in enumerate(golds):
        turn = SandboxSample(
            f"hand-{k}", "as written", (gold,), "cu" if rule is None else "cm", before=scene, rule=rule
        )
        turns.append(replace(turn, after=as_meant(scene, turn)))
        scene = turns[-1].after
    return EditSession("hand", tuple(turns), None if rule is None else "from now on")


def tinted(image: Image.Image, rgb: tuple[int, int, int], share: float) -> Image.Image:
    pixels = (1 - share) * np.asarray(image, float) + share * np.array(rgb)
    return Image.fromarray(pixels.round().astype(np.uint8))


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    pixels = np.asarray(image, float)
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
