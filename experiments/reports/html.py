"""The page of a report: one file, no script, no link to anywhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from common.cells import Cell, remarks
from common.pictures import fitted, load_image
from experiments.reports.glossary import meaning

CSS = Path(__file__).with_name("report.css")


def page(title: str, body: Iterable[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{CSS.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[tuple[Sequence[str], bool]], kind: str = "") -> str:
    """`rows` are (cells, whether it is a difference that is significant after correction); cells are HTML already. Words of the
    head that the glossary explains have its text where the pointer rests on them. A table that is wider than the page scrolls
    in a box of its own. `kind`: "narrow" for one that is no wider than its cells, "textlast" where the last column is prose."""
    top = "".join(f"<th>{explained(h)}</th>" for h in head)
    lines = "".join(
        f"<tr{_SIGNIFICANT if significant else ''}>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
        for cells, significant in rows
    )
    name = f' class="{kind}"' if kind else ""
    return boxed(f"<table{name}><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>")


NOTHING = frozenset({"–", "0", "0 %", "0 + 0", "$0.00", ""})


def without_empty(
    head: Sequence[str], rows: Sequence[tuple[Sequence[str], bool]], optional: Iterable[str]
) -> tuple[list[str], list[tuple[list[str], bool]]]:
    """The head and the rows without those of the `optional` columns in which every cell is 0 or a dash."""
    names = set(optional)
    kept = [i for i, h in enumerate(head) if h not in names or any(cells[i] not in NOTHING for cells, _ in rows)]
    return [head[i] for i in kept], [([cells[i] for i in kept], significant) for cells, significant in rows]


_SIGNIFICANT = ' class="significant"'


def boxed(content: str) -> str:
    """Scrolls by itself where it is wider than the page, also from the keyboard."""
    return f'<div class="wide" tabindex="0">{content}</div>'


def explained(word: str) -> str:
    """A word as HTML, with its meaning as hover text where the glossary has it."""
    text = meaning(word)
    return f'<abbr title="{escape(text)}">{escape(word)}</abbr>' if text else escape(word)


def card(number: str, label: str) -> str:
    return f'<div class="card"><b>{number}</b><span>{escape(label)}</span></div>'


def image(path: Path, alt: str) -> str:
    """The picture inside the page; an empty box where the file is gone. `alt` says what it shows."""
    if not path.is_file():
        return '<div class="none">no picture</div>'
    return inline(path.read_bytes(), "png", alt)


def thumbnail(path: Path, alt: str, side: int) -> str:
    """A PNG file inside the page: as it is where no side has more than `side` pixels, else shrunk to that and as JPEG, so that a
    page of many photographs stays small."""
    picture = load_image(path)
    if (smaller := fitted(picture, side)) is picture:
        return inline(path.read_bytes(), "png", alt)
    buffer = io.BytesIO()
    smaller.save(buffer, "JPEG", quality=88)
    return inline(buffer.getvalue(), "jpeg", alt, "photo")


def inline(data: bytes, kind: str, alt: str, name: str = "") -> str:
    """A picture's bytes as an <img>; `name`: a class of its style."""
    style = f' class="{name}"' if name else ""
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{escape(alt)}"{style} src="data:image/{kind};base64,{encoded}">'


def interval(cell: Cell, digits: int = 2, sign: bool = False, counts: bool = False) -> str:
    """The mean with its interval in small type. What a star stands for shows where the pointer rests on it; with `counts` so
    do n and the invalid ones."""
    value, under = cell.parts(digits, sign)
    text = escape(value) + (f" <small>{escape(under)}</small>" if under else "")
    hover = "; ".join(filter(None, [cell.counts() if counts else "", "" if cell.partial else cell.note]))
    return f'<span title="{escape(hover)}">{text}</span>' if hover else text


def starred(cells: Iterable[Cell]) -> str:
    """A line under a table with what its stars stand for; nothing where there are none."""
    lines = remarks(cells)
    return f'<p class="muted">{escape("; ".join(lines))}.</p>' if lines else ""


__all__ = [
    "boxed",
    "card",
    "explained",
    "image",
    "inline",
    "interval",
    "page",
    "starred",
    "table",
    "thumbnail",
    "without_empty",
]
