"""Atomic instructions: read where their words leave one reading, else not at all."""

from __future__ import annotations

import pytest

from benchmarks.atomic import ABOUT_EARLIER, NO_SEQUENCE, NOT_READ, read_sequence, read_step
from benchmarks.base import Edit


@pytest.mark.parametrize(
    ("said", "edit"),
    [
        ("Remove the butterflies.", Edit("remove", "butterflies")),
        ("Remove the red car from the image.", Edit("remove", "red car")),
        ("Replace the sunflower field with a grassy field.", Edit("replace", "sunflower field", "grassy field")),
        ("Change the color of the moon to a deep red.", Edit("recolor", "moon", "deep red")),
        ("Change the car's colour to blue", Edit("recolor", "car", "blue")),
        ("Change the material of the table to glass.", Edit("material", "table", "glass")),
        ("Change the background to a snowy forest.", Edit("background", "background", "snowy forest")),
        ("Replace the background with a beach.", Edit("background", "background", "beach")),
        ("Add a text saying 'Eerie Twilight'.", Edit("text", "image", "Eerie Twilight")),
        ("add text “HELLO”", Edit("text", "image", "HELLO")),
        ("Add a small red hat.", Edit("add", "small red hat")),
        # what could be read in two ways, or is of a kind that has no pattern
        ("Remove the man and the dog.", None),
        ("Add a bright full moon in the sky.", None),  # the thing and its place, or a thing with that name
        ("Add a man with a hat.", None),
        ("Replace the cat with a dog with a collar.", None),
        ("Change the color of the road to town to red.", None),
        ("Change the girl's dress to a gothic black dress.", None),
        ("Apply a twilight filter.", None),
        ("Remove the text, then add a logo.", None),
        ("Add a sign saying 'a; b'.", None),
        ("", None),
    ],
)
def test_one_step(said: str, edit: Edit | None) -> None:
    assert read_step(said) == edit


def test_a_sequence_is_read_whole_or_not_at_all() -> None:
    assert read_sequence(()) == (None, NO_SEQUENCE)
    assert read_sequence(("Remove the cat.", "Add a hat.")) == ((Edit("remove", "cat"), Edit("add", "hat")), "")
    assert read_sequence(("Remove the cat.", "Make it grim.")) == (None, NOT_READ)


@pytest.mark.parametrize(
    "steps",
    [
        ("Add a moon.", "Change the color of the moon to red."),  # the compound says "add a red moon": one edit
        ("Replace the cat with a dog.", "Remove the dog."),
        ("Change the color of the car to red.", "Change the material of the cars to wood."),
    ],
)
def test_steps_on_one_thing_are_left_to_a_labeller(steps: tuple[str, ...]) -> None:
    assert read_sequence(steps) == (None, ABOUT_EARLIER)
