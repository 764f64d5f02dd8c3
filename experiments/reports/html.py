"""The page of a report: one file, no script, no link to anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from common.statistics import Mean

CSS = Path(__file__).with_name("report.css")


def page(title: str, body: Iterable[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{CSS.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[tuple[Sequence[str], bool]], narrow: bool = False) -> str:
    """`rows` are (cells, whether to stress the row); cells are HTML already."""
    best = ' class="best"'
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    lines = "".join(
        f"<tr{best if stressed else ''}>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
        for cells, stressed in rows
    )
    kind = ' class="narrow"' if narrow else ""
    return f"<table{kind}><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def card(number: str, label: str) -> str:
    return f'<div class="card"><b>{number}</b><span>{escape(label)}</span></div>'


def image(path: Path) -> str:
    """The picture inside the page; an empty box where the file is gone."""
    if not path.is_file():
        return "<div></div>"
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'


def interval(m: Mean, form: str = ".2f") -> str:
    """The mean with its interval in small type."""
    if m.n == 0:
        return "–"
    return f"{format(m.value, form)} <small>[{format(m.low, form)}, {format(m.high, form)}]</small>"
