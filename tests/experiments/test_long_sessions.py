"""Sessions of many turns: what is measured, on editors whose decay is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from common.errors import BadInput
from editors.sandbox import SandboxEditor
from experiments import long_sessions as command
from experiments.evaluation import long_sessions as L
from experiments.preflight.command_limits import check_long_sessions
from experiments.reports import long_sessions as R


class Blurring:
    """Does nothing but to blur the picture a little each time."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        return [image.filter(ImageFilter.GaussianBlur(0.4)) for image in images]


def value(turns: L.ByTurn, name: str) -> list[float]:
    return [turn[name].value or 0.0 for turn in turns]


def test_an_exact_editor_changes_nothing_that_no_turn_touches() -> None:
    sessions = L.long_sessions(3, 12)
    shown = L.play(SandboxEditor(), sessions, "exact")
    for way in L.WAYS:
        turns = L.decay(sessions, shown[way])
        assert len(turns) == 12
        assert value(turns, "psnr") == [100] * 12 and value(turns, "sharpness") == value(turns, "exact") == [1] * 12
    assert [cell.value for cell in L.identity(SandboxEditor(), sessions, 3)] == [0, 0, 0]
    assert all(len(set(s.instructions)) > 6 and 0.2 < s.region.mean() < 1 for s in sessions)


def test_a_blurring_editor_decays_and_anchoring_holds() -> None:
    sessions = L.long_sessions(3, 6)
    shown = L.play(Blurring(), sessions, "blurring")
    plain, anchored = (L.decay(sessions, shown[way]) for way in L.WAYS)
    for name in ("psnr", "sharpness"):
        assert (
            value(plain, name) == sorted(value(plain, name), reverse=True)
            and value(plain, name)[-1] < value(plain, name)[0]
        )
        assert value(anchored, name)[-1] > value(plain, name)[-1]
    changes = [cell.value or 0.0 for cell in L.identity(Blurring(), sessions, 5)]
    assert changes == sorted(changes, reverse=True) and changes[-1] > 0


def test_sharpness_falls_with_blur_and_hardly_with_noise() -> None:
    (session,) = L.long_sessions(1, 3)
    noise = np.random.default_rng(0).normal(0, 20, (64, 64, 3))
    noisy = Image.fromarray(np.clip(np.asarray(session.source) + noise, 0, 255).astype(np.uint8))
    (clean,), (rough,), (soft,) = (
        value(L.decay([session], [[p]]), "sharpness")
        for p in (session.source, noisy, session.source.filter(ImageFilter.GaussianBlur(1)))
    )
    assert clean == 1 and rough == pytest.approx(1, abs=0.1) and soft < 0.6


def test_the_figure_and_the_numbers_are_written(tmp_path: Path) -> None:
    sessions = L.long_sessions(2, 3)
    shown = L.play(Blurring(), sessions, "blurring")
    decayed = R.Decayed({way: L.decay(sessions, shown[way]) for way in L.WAYS}, L.identity(Blurring(), sessions, 2))
    R.draw({"a": decayed, "b": decayed}, tmp_path / "decay.png")
    assert Image.open(tmp_path / "decay.png").width > 1000
    numbers = json.loads(json.dumps(R.as_dict(decayed)))
    assert len(numbers["plain"]) == 3 and len(numbers["identity_change"]) == 2
    sheet = R.strip(sessions, shown)
    assert sheet.width == 4 * 132 and sheet.height == 4 * 132  # the source and three turns; two sessions in two ways


@pytest.mark.parametrize("word", ["sessions=0", "turns=none", "steps=3"])
def test_what_cannot_be_read_is_named(word: str) -> None:
    with pytest.raises(BadInput, match="usage"):
        command.main([word])


def test_what_the_machine_cannot_do_is_refused() -> None:
    check_long_sessions(6, 20, 10, 2)
    with pytest.raises(BadInput, match="sessions=1000000000"):
        check_long_sessions(10**9, 20, 10, 2)
