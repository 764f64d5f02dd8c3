"""Explicit instructions to edits: the language of `explicit_instruction` and its plain variations, nothing vaguer.

A clause that is not understood is left out; no meaning is ever guessed.
"""

from __future__ import annotations

import re

from benchmarks.base import Edit
from benchmarks.sandbox.phrases import parse_look
from benchmarks.sandbox.scene import BACKGROUNDS, COLOURS, LIGHTS, MATERIALS, RELATIONS, TONES
from common.errors import BadInput

_VERBS = (
    "add|put|place|draw|insert|write|remove|delete|erase|replace|change|recolou?r|paint|colou?r|make|turn|set|move|shift"
    "|zoom|brighten|darken|convert|swap|exchange|give|take|bring|turn|switch|let|get"
)
_SPLIT = re.compile(
    r"\s*(?:;|\n|\.(?=\s|$))\s*"  # sentences
    r"|,?\s*(?:\band\s+)?\bthen\b,?\s*"  # ", then", "and then"
    rf"|\s*,\s*(?:and\s+)?(?=(?:please\s+)?(?:{_VERBS})\b)"  # "..., remove ..."
    rf"|\s+and\s+(?=(?:please\s+)?(?:{_VERBS})\b)"  # "... and remove ..."
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\u2018[^\u2019]*\u2019|\u201c[^\u201d]*\u201d")
MAX_CHARACTERS = 10_000

_IMAGE = r"(?:the )?(?:whole |entire )?(?:image|picture|photo|scene)"
_THING = r"(?:the )?(?P<s>[a-z0-9 ]+?)"
_INTO = r"(?:in)?to|as|with"
_PATTERNS: tuple[tuple[str, str], ...] = (  # (what it means, the whole clause); the first that fits is taken
    (
        "caption",
        rf"(?:add|put|write|draw|insert) (?:the )?(?:text |caption |words? )?<(?P<g>\d+)> (?:to|on|in|at) {_IMAGE}",
    ),
    ("caption", rf"change the (?:text|caption)(?: (?:of|on|in) {_IMAGE})? (?:{_INTO}) <(?P<g>\d+)>"),
    ("text", rf"(?:change|set) the (?:text|label) (?:on|of) {_THING} (?:{_INTO}) <(?P<g>\d+)>"),
    ("text", rf"(?:add|put|write) (?:the )?(?:text |label )?<(?P<g>\d+)> (?:to|on) {_THING}"),
    ("zoom", rf"zoom in(?: (?:on|to)|to) (?:the )?(?P<g>[a-z -]+?)(?: of {_IMAGE})?"),
    ("light", r"(?P<g>brighten|darken) " + _IMAGE),
    ("grade", rf"(?:make|turn|convert) {_IMAGE} (?:(?:in)?to )?(?P<g>black and white|[a-z]+)"),
    ("grade", rf"give {_IMAGE} an? (?P<g>[a-z]+) (?:tone|look|light)"),
    (
        "background",
        r"(?:change|set|make|turn|replace) the background (?:(?:in)?to |with |by )?(?:an? |the )?(?P<g>[a-z]+)",
    ),
    (
        "add",
        r"(?:add|put|place|draw|insert) (?:an? |another |one more )?(?P<s>[a-z0-9 ]+?)"
        rf"(?: (?:to|in) {_IMAGE})?(?: (?P<p><place>.+))?",
    ),
    ("remove", rf"(?:remove|delete|erase) {_THING}"),
    ("replace", rf"(?:replace|swap|exchange) {_THING} (?:with|by|for) (?:an? |the )?(?P<g>[a-z0-9 ]+)"),
    ("recolor", rf"change the colou?r of {_THING} (?:{_INTO}) (?P<g>[a-z]+)"),
    ("recolor", rf"(?:recolou?r|paint|colou?r) {_THING} (?:(?:{_INTO}) )?(?P<g>{'|'.join(COLOURS)}|grey)"),
    ("material", rf"change the (?:material|texture|pattern) of {_THING} (?:{_INTO}) (?P<g>[a-z]+)"),
    ("count", rf"(?:change|set) the (?:count|number) of {_THING} (?:{_INTO}) (?P<g>[a-z0-9]+)"),
    ("move", rf"(?:move|shift) {_THING} (?P<p><place>.+)"),
    ("move", rf"change the position of {_THING} (?P<p><place>.+)"),
    ("become", rf"(?:turn|change|make|convert|set) {_THING} (?:(?:{_INTO}) )(?:an? )?(?P<g>[a-z0-9 ]+)"),
    ("become", rf"(?:turn|make|paint|colou?r) {_THING} (?P<g>{'|'.join((*COLOURS, *MATERIALS))}|grey)"),
)
_PLACE = (
    r"(?:(?:to|on|at|in) )?(?:the )?(?:(?P<rel>left|right)(?: side)? of|(?P<rel2>above|below)) (?:the )?(?P<anchor>[a-z0-9 ]+)",
    r"(?:to|at|in|on|into) (?:the )?(?P<cell>[a-z -]+?)(?: (?:corner|cell|side))?",
)
_STARTS_PLACE = r"(?=(?:to|at|in|on|into|above|below|left|right)\b)"
_COMPILED = tuple((kind, re.compile(p.replace("<place>", _STARTS_PLACE))) for kind, p in _PATTERNS)


def parse_instruction(text: str) -> list[Edit]:
    """The edits an instruction says explicitly, in order; clauses that say none are left out."""
    text = text[:MAX_CHARACTERS]
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:  # quoted words are data: no splitting, no matching inside them
        quotes.append(match.group()[1:-1])
        return f"<{len(quotes) - 1}>"

    plain = re.sub(r"[^\S\n]+", " ", _QUOTED.sub(keep, text)).lower()
    edits = (_parse_clause(clause, quotes) for clause in _SPLIT.split(plain))
    return [edit for edit in edits if edit is not None]


def _parse_clause(clause: str, quotes: list[str]) -> Edit | None:
    clause = re.sub(r"^(?:please|also|next|finally|first)\b[ ,]*", "", clause.strip(" ,.!\n")).strip()
    clause = re.sub(r"[ ,]+(?:please|now)$", "", clause)
    for kind, pattern in _COMPILED:
        match = pattern.fullmatch(clause)
        if match and (edit := _edit(kind, match.groupdict(), quotes)) is not None:
            return edit
    return None


def _edit(kind: str, groups: dict[str, str | None], quotes: list[str]) -> Edit | None:
    subject, goal = groups.get("s") or "", (groups.get("g") or "").strip()
    match kind:
        case "caption" | "text":
            return Edit("text", "image" if kind == "caption" else subject, quotes[int(goal)])
        case "light":
            return Edit("relight", "image", {"brighten": "brighter", "darken": "darker"}[goal])
        case "grade":
            goal = {"greyscale": "grayscale", "black and white": "grayscale"}.get(goal, goal)
            if goal in LIGHTS:
                return Edit("relight", "image", goal)
            return Edit("tone", "image", goal) if goal in TONES else None
        case "background":
            return Edit("background", "background", goal) if goal in BACKGROUNDS else None
        case "zoom":
            return Edit("zoom", "image", goal)
        case "add" | "move":
            place_words = groups.get("p")
            place = _place(place_words) if place_words else None
            if place_words and place is None or kind == "move" and place is None:
                return None
            return Edit(kind, subject, place)
        case "become":
            return _become(subject, goal)
        case _:
            return Edit(kind, subject, goal or None)


def _become(subject: str, goal: str) -> Edit | None:
    """'turn X into Y': Y with a shape is another thing, else a colour or a material."""
    if subject in ("background", "image", "picture", "photo", "color of", "it"):
        return None
    try:
        look = parse_look(goal)
    except BadInput:  # not in the world's vocabulary, so not explicit
        return None
    if look.shape:
        return Edit("replace", subject, goal)
    if look.colour and not look.material:
        return Edit("recolor", subject, look.colour)
    return Edit("material", subject, look.material) if look.material and not look.colour else None


def _place(text: str) -> str | None:
    for pattern in _PLACE:
        if match := re.fullmatch(pattern, text.strip()):
            groups = match.groupdict()
            if "anchor" in groups:
                side = f"{groups['rel']} of" if groups["rel"] else groups["rel2"]
                return f"{side} {groups['anchor']}" if side in RELATIONS else None
            return groups["cell"]
    return None


__all__ = ["MAX_CHARACTERS", "parse_instruction"]
