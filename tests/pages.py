"""What every page of the project must keep, read from its HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class _Faults(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.pictures = 0
        self.last = ("", dict[str, str | None]())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.pictures += tag in ("img", "svg")
        if tag == "img" and not (values.get("alt") or "").strip():
            self.found.append("a picture without words")
        if tag == "img" and "loading" in values:
            self.found.append("a picture that may be missing in print")
        if tag == "svg" and (values.get("role") != "img" or not values.get("aria-label")):
            self.found.append("a figure without words")
        if (tag == "table" or (tag == "svg" and "min-width" in (values.get("style") or ""))) and not (
            self.last[0] == "div" and self.last[1].get("class") == "wide" and "tabindex" in self.last[1]
        ):
            self.found.append(f"a {tag} outside a box that scrolls")
        if any((values.get(k) or "").startswith(("http", "//")) for k in ("src", "href")) or tag == "script":
            self.found.append(f"a <{tag}> that needs more than the page")
        self.last = (tag, values)


def faults(page: str) -> list[str]:
    """What is wrong with a page: pictures without words, tables and wide figures that would make it wider than the screen, colours
    of figures that a dark page does not change, a minus before a zero, parts from elsewhere."""
    reader = _Faults()
    reader.feed(page)
    for figure in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        if re.search(r"#[0-9a-f]{6}\b", figure):
            reader.found.append("a figure with a colour that stays as it is on a dark page")
    if re.search(
        r"(?<![\w.])[-−]0(\.0*)?(?![\w.])", re.sub(r"<(svg|style).*?</\1>|src=\"[^\"]*\"", "", page, flags=re.DOTALL)
    ):
        reader.found.append("a minus before a zero")
    return reader.found


__all__ = ["faults"]
