"""Reading the sandbox's words: object phrases ('three small striped red circles'), places ('left of blue star'), names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.sandbox.scene import (
    CELL_NAMES,
    COLOURS,
    MATERIALS,
    MAX_COUNT,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
)
from common.errors import BadInput

ARTICLES = frozenset({"a", "an", "the", "some", "of"})
NUMBERS = {w: n for n, w in enumerate(("one", "two", "three", "four", "five"), 1)} | {str(n): n for n in range(1, 6)}
PLURALS = {f"{s}s": s for s in SHAPES} | {"crosses": "cross", "fishes": "fish"}
CELL_OF = {name: cell for cell, name in CELL_NAMES.items()} | {
    "middle": (1, 1),
    "middle center": (1, 1),
    "center left": (1, 0),
    "center right": (1, 2),
}


@dataclass(frozen=True)
class Look:
    """What a phrase says about a thing; None where it says nothing."""

    shape: str | None = None
    colour: str | None = None
    material: str | None = None
    size: str | None = None
    count: int | None = None

    def fits(self, thing: Thing) -> bool:
        return (
            self.shape in (None, thing.shape)
            and self.colour in (None, thing.colour)
            and self.material in (None, thing.material)
            and self.size in (None, thing.size)
            and self.count in (None, thing.count)
        )


@lru_cache(maxsize=65536)
def parse_look(phrase: str) -> Look:
    """The attributes a phrase names. Raises BadInput on a word outside the sandbox's vocabulary or one said twice."""
    attributes: dict[str, str | int] = {}
    for word in re.findall(r"[a-z0-9]+", phrase.lower()):
        word = {"grey": "gray"}.get(word, PLURALS.get(word, word))
        if word in ARTICLES:
            continue
        key, value = _attribute(word, phrase)
        if attributes.setdefault(key, value) != value:
            raise BadInput(f"'{phrase}' names two {key}s, {attributes[key]!r} and {value!r}; say one")
    if not attributes:
        raise BadInput(f"'{phrase}' names no object; say its colour and shape, e.g. 'red circle'")
    return Look(**attributes)  # type: ignore[arg-type]


def _attribute(word: str, phrase: str) -> tuple[str, str | int]:
    for key, words in (("shape", SHAPES), ("colour", COLOURS), ("material", MATERIALS), ("size", SIZES)):
        if word in words:
            return key, word
    if word in NUMBERS:
        return "count", NUMBERS[word]
    raise BadInput(f"unknown word '{word}' in '{phrase}'; objects are named by size, material, colour and shape")


def parse_count(text: str | None) -> int:
    """1..5 from a digit or a number word."""
    count = NUMBERS.get((text or "").strip().lower())
    if count is None:
        raise BadInput(f"count must be a number from 1 to {MAX_COUNT}, got {text!r}")
    return count


@lru_cache(maxsize=65536)
def parse_place(text: str) -> tuple[str, str] | tuple[int, int]:
    """A cell (row, col), or (relation, name of the anchor). Raises BadInput where it is neither."""
    place = re.sub(r"[\s-]+", " ", text.strip().lower()).replace("centre", "center")
    place = re.sub(r"^(to |at |in |on )?(the )?", "", place)
    if place in CELL_OF:
        return CELL_OF[place]
    for relation in RELATIONS:
        if place.startswith(relation + " "):
            return relation, place.removeprefix(relation + " ").removeprefix("the ")
    raise BadInput(f"unknown place '{text}'; use {', '.join(CELL_NAMES.values())}, or 'left of <object>' and the like")


def matches(things: Iterable[Thing], name: str) -> list[Thing]:
    """The things a name fits. A name that several fit but only one carries in full ('red circle' for the plain,
    medium one) means that one."""
    look, things = parse_look(name), list(things)
    fitting = [t for t in things if look.fits(t)]
    if len(fitting) > 1:
        exact = [t for t in fitting if parse_look(t.phrase) == look]
        if len(exact) == 1:
            return exact
    return fitting


def the_one(things: Sequence[Thing], name: str) -> Thing:
    """The single thing a name fits. Raises BadInput where none or several do."""
    fitting = matches(things, name)
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(t.phrase for t in things) or "no objects"
    if fitting:
        raise BadInput(
            f"'{name}' fits {len(fitting)} objects ({', '.join(t.phrase for t in fitting)}); say more about it"
        )
    raise BadInput(f"there is no '{name}' in the picture; it shows {shown}")


def find(scene: Scene, name: str) -> Thing:
    """The one thing of the scene that a name or phrase fits. Raises BadInput where none or several do."""
    return the_one(scene.things, name)
