"""The gallery: requests with the given picture, what each arm made of it, its plan, its scores, and what judges said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from experiments.evaluation.gallery import BEST, DISPUTED, WORST, groups
from experiments.evaluation.layout import Key
from experiments.evaluation.listing import Listed
from experiments.evaluation.load import OVERALL, Column, Section
from experiments.evaluation.names import arm_name
from experiments.evaluation.verdict_files import words_of
from experiments.reports.html import thumbnail

WHAT = {
    BEST: "Best: the highest mean over judges and arms.",
    WORST: "Worst: the lowest mean over judges and arms.",
    DISPUTED: "Most disputed: where judges lie furthest apart on one picture; with one judge, where arms do.",
    "shown": "Items evenly spaced over the benchmark; nobody chose them.",
}
THUMBNAIL = 448  # pixels of the longest side of a picture; larger ones are shrunk
LONGEST_REPLY = 1500  # characters of a judge's words


def gallery(section: Section, count: int) -> list[str]:
    parts = groups(section, count) if count else {}
    keys = {s.key for part in parts.values() for s in part}
    if not keys:
        return []
    items = {i.key: i for i in section.listing.items}
    words = read_words(section, keys)
    out = [f"<h3>Gallery: {escape(section.name)}</h3>"]
    for name, part in parts.items():
        if part:
            out.append(f'<p class="muted">{escape(WHAT[name])}</p>')
            out += [strip(section, items[s.key], name, words) for s in part]
    return out


def read_words(section: Section, keys: set[Key]) -> dict[tuple[str, str, Key], Any]:
    """{(judge, arm, item): what it said}"""
    return {
        (column.label, arm, key): reply
        for column in section.columns
        for arm in section.arms
        for key, reply in words_of(section.layout.verdicts(column.label, arm), keys)
    }


def strip(section: Section, item: Listed, group: str, words: Mapping[Any, Any]) -> str:
    turn = f"turn {item.key[1] + 1}" if item.session else ""
    kind = " · ".join(filter(None, [group, item.kind.replace("_", " ")]))
    head = " · ".join(filter(None, [f"<b>{escape(kind)}</b>", escape(item.id), turn]))
    # a later turn is edited from what the arm made of the turn before: every arm then has a given picture of its own
    given = section.layout.source((item.key[0], 0))
    pictures = [picture(section, given, "given" if not item.key[1] else "given in turn 1", "", "", f"given: {item.id}")]
    for arm in section.arms:
        if (edit := section.edits[arm].get(item.key)) is not None:
            path = section.layout.picture(arm, item.key)
            pictures.append(
                picture(
                    section, path, arm_name(arm), marks(section, arm, item), plan(edit), f"{arm_name(arm)}: {item.id}"
                )
            )
    opinions = judged(section, item, words)
    return (
        f'<div class="strip"><div class="kind">{head}</div><div class="ask">“{escape(item.request)}”</div>'
        f'<div class="pics few">{"".join(pictures)}</div>{opinions}</div>'
    )


def marks(section: Section, arm: str, item: Listed) -> str:
    """The arm's overall by each judge."""
    out = []
    for column in section.columns:
        row = column.rows[arm].get(item.key)
        mark = "not judged" if row is None else f"{row['scores'][OVERALL]:.1f}" if row["valid"] else "invalid"
        whose = "" if len(section.columns) == 1 else f"{escape(column.title)} "
        out.append(f'{whose}<span class="score">{mark}</span>')
    return "<br>".join(["", *out] if len(out) > 1 else out)


def plan(edit: Mapping[str, Any]) -> str:
    if edit.get("failure"):
        return f'<div class="plan bad">{escape(edit["failure"])}</div>'
    if edit.get("file"):
        return f'<div class="plan">{escape(edit["file"])}</div>'
    calls = list(edit.get("calls", ()))
    text = "the raw request" if edit.get("source") == "request" else "; ".join(edit.get("sub_requests", ()))
    if len(calls) > 1:
        text = "".join(f"<li>{escape(c)}</li>" for c in calls)
        return f'<ol class="plan">{text}</ol>'
    bad = f'<div class="plan bad">unreadable decomposition: {escape(edit["error"])}</div>' if edit.get("error") else ""
    return f'<div class="plan">{escape(text)}</div>{bad}'


def judged(section: Section, item: Listed, words: Mapping[Any, Any]) -> str:
    lines = []
    for column in section.columns:
        for arm in section.arms:
            row = column.rows[arm].get(item.key)
            if row is not None:
                lines.append(opinion(column, arm, row, words.get((column.label, arm, item.key))))
    return (
        f'<details><summary>What the judges said</summary><div class="said">{"".join(lines)}</div></details>'
        if lines
        else ""
    )


def opinion(column: Column, arm: str, row: Mapping[str, Any], reply: Any) -> str:
    scores = (
        ", ".join(f"{n.replace('_', ' ')} {v:.1f}" for n, v in row["scores"].items()) if row["valid"] else "invalid"
    )
    rest = "; ".join(filter(None, [row["reason"], in_words(reply)]))
    return f"<p><b>{escape(column.title)}, {escape(arm_name(arm))}:</b> {escape(scores)}. {escape(rest)}</p>"


def in_words(reply: Any) -> str:
    """A judge's reply as text, whatever its shape: every text in it, or else its measurements."""
    if reply is None:
        return ""
    if isinstance(reply, Mapping) and "replies" in reply:  # a model's: what it answered to each question
        texts = [f"{r.get('question', '')}: {r['text']}" for r in reply["replies"] if r.get("text")]
    else:
        texts = list(_texts(reply))
    text = " / ".join(texts) if texts else json.dumps(reply, ensure_ascii=False)
    return text if len(text) <= LONGEST_REPLY else text[:LONGEST_REPLY] + " …"


def _texts(reply: Any) -> Sequence[str]:
    if isinstance(reply, str):
        return [reply.strip()] if len(reply.split()) > 2 else []
    if isinstance(reply, Mapping):
        return [t for v in reply.values() for t in _texts(v)]
    return [t for v in reply for t in _texts(v)] if isinstance(reply, list) else []


def picture(section: Section, path: Path, name: str, score: str, below: str, alt: str) -> str:
    """`score` and `below` are HTML; `alt` says what the picture shows."""
    link = path.relative_to(section.layout.out).as_posix()
    shown = (
        f'<a href="{escape(link)}">{thumbnail(path, alt, THUMBNAIL)}</a>'
        if path.is_file()
        else '<div class="none">no picture</div>'
    )
    return f'<div class="pic">{shown}<div class="name">{escape(name)} {score}</div>{below}</div>'


__all__ = ["gallery", "in_words"]
