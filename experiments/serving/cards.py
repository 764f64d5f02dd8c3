"""The page's own pieces of HTML: pictures, the steps of a turn, the turns of a session. Every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from benchmarks.base import says_no_goal
from experiments.serving.desk import DOWNLOAD, Desk, encode
from experiments.serving.told import Call, Told

PIXEL_ART = 160  # up to this side the pixels of a picture are shown as squares, not blurred
SOURCES = {
    "rules": "ordered by rules",
    "vlm": "ordered by a model",
    "request": "the request as it is",
    "given": "your own plan",
    "loop": "decided step by step",
}


def url(key: str, name: str) -> str:
    """Of a picture of a session, relative to the page."""
    return f"pictures/{key}/{name}.png"


def picture(desk: Desk, against: str | None) -> str:
    """The current picture; with a slider over the one `against` (a digest), where that is another one."""
    session = desk.session
    width, height = session.picture.size
    small = " small" if max(width, height) <= PIXEL_ART else ""
    shape = f'style="--ratio: {width} / {height}; --cut: 50%" data-key="{escape(desk.key)}"'
    now = f'<img class="now" src="{url(desk.key, session.picture_digest)}" alt="The picture as it is now">'
    caption = f"<figcaption>{escape(desk.title)} · {width} × {height} pixels</figcaption>"
    if against is None or against == session.picture_digest:
        return f'<figure class="canvas{small}" {shape}><div class="stack">{now}</div>{caption}</figure>'
    then = f'<img class="then" src="{url(desk.key, against)}" alt="The picture before">'
    slider = (
        '<input type="range" min="0" max="100" value="50" step="0.5" aria-label="How much of the picture before is shown" '
        "oninput=\"this.closest('figure').style.setProperty('--cut', this.value + '%')\">"
    )
    tags = '<span class="tag left">before</span><span class="tag right">after</span><i class="line"></i>'
    return f'<figure class="canvas{small}" {shape}><div class="stack">{now}{then}{slider}{tags}</div>{caption}</figure>'


def download(desk: Desk) -> str:
    """The link to the result as a PNG file."""
    return f'<a class="download" href="{url(desk.key, DOWNLOAD)}" download="{escape(desk.file_name)}">Download PNG</a>'


def message(text: str, kind: str = "error") -> str:
    """One sentence for the person: an "error", or a "note". Empty without a text."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="message {kind}" role="{role}">{escape(_sentence(text))}</p>' if text else ""


def steps(told: Told | None, key: str) -> str:
    """What was thought, decomposed, planned and done, as far as it happened."""
    if told is None:
        return ""
    parts = [f'<p class="request">{escape(told.request)}</p>']
    if told.intent and told.intent != told.request:
        parts.append(_part("Meant", f"<p>{escape(told.intent)}</p>", "with what was said before"))
    if told.said_as_it_is:
        parts.append(
            f'<p class="aside">The request is taken as it was said: {escape(_sentence(told.said_as_it_is))}</p>'
        )
    if told.think:
        parts.append(_part("Thinking", f"<p>{escape(told.think)}</p>"))
    if told.error:
        parts.append(_part("Decomposition", f"<p>It cannot be read: {escape(told.error)}</p>"))
    elif told.edits:
        rows = "".join(
            f'<li><b class="action">{escape(edit.action)}</b><span>{escape(edit.subject)}</span>'
            + ("" if says_no_goal(edit.goal) else f'<span class="goal">{escape(edit.goal or "")}</span>')
            + "</li>"
            for edit in told.edits
        )
        parts.append(_part("Decomposition", f'<ul class="edits">{rows}</ul>'))
    if told.decisions:
        rows = "".join(f"<li>{escape(text)}</li>" for text in told.decisions)
        parts.append(_part("Decisions", f'<ol class="decisions">{rows}</ol>'))
    if told.plan:
        parts.append(_part("Plan", _plan(told, key), SOURCES.get(told.source, told.source)))
    if told.calls and not _one_each(told):
        cards = "".join(_card(call.instruction, call, key) for call in told.calls)
        parts.append(_part("Edits", f'<ol class="cards">{cards}</ol>'))
    parts += [f'<p class="aside">{escape(_sentence(note))}</p>' for note in told.notes]
    if told.running:
        parts.append(f'<p class="busy">{_doing(told)}</p>')
    return f'<div class="told" aria-live="polite">{"".join(parts)}</div>'


def turns(desk: Desk) -> str:
    """The session so far: the picture after each turn with its request, undone ones too."""
    session = desk.session
    if not session.turns and not session.undone:
        return ""
    done = [(t.request, t.trace.digests[-1], "") for t in session.turns]
    undone = [(t.request, t.trace.digests[-1], " undone") for t in reversed(session.undone)]
    rows = [("as it was opened", session.source_digest, ""), *done, *undone]
    cells = "".join(
        f'<li class="turn{state}"><img src="{url(desk.key, name)}" alt="">'
        f"<span>{escape(request)}{' (undone)' if state else ''}</span></li>"
        for request, name, state in rows
    )
    return f'<ol class="strip">{cells}</ol>'


def chips(texts: Iterable[str]) -> str:
    """Example requests that can be clicked."""
    return "".join(f'<button type="button" class="chip" data-value="{escape(t)}">{escape(t)}</button>' for t in texts)


def scenes(shown: Sequence[tuple[int, Image.Image]]) -> str:
    """Pictures to start from that can be clicked."""
    return "".join(
        f'<button type="button" class="scene" data-value="{seed}" aria-label="Start from scene {seed}">'
        f'<img src="data:image/png;base64,{base64.b64encode(encode(image)).decode()}" alt=""></button>'
        for seed, image in shown
    )


def _part(title: str, body: str, aside: str = "") -> str:
    small = f" <small>{escape(aside)}</small>" if aside else ""
    return f"<section><h3>{title}{small}</h3>{body}</section>"


def _one_each(told: Told) -> bool:
    """Whether the calls are the steps of the plan, one each."""
    return bool(told.plan) and all(c.instruction == p for c, p in zip(told.calls, told.plan, strict=False))


def _plan(told: Told, key: str) -> str:
    calls: list[Call | None] = [*told.calls] if _one_each(told) else []
    calls += [None] * (len(told.plan) - len(calls))
    cards = "".join(_card(text, call, key) for text, call in zip(told.plan, calls, strict=False))
    return f'<ol class="cards">{cards}</ol>'


def _card(text: str, call: Call | None, key: str) -> str:
    """A step of a plan, or a call, with the picture it gave."""
    shown = state = ""
    if call is not None:
        state = "failed" if call.picture is None else "done"
        seconds = f"{call.seconds:.1f} s" if call.seconds is not None else ""
        shown = f"<small>{escape(call.failure) or seconds}</small>"
        if call.picture is not None:
            shown += f'<img src="{url(key, call.picture)}" alt="The picture after this step">'
    return f'<li class="{state}"><span>{escape(text)}</span>{shown}</li>'


def _doing(told: Told) -> str:
    """What happens now."""
    if told.before:
        return f"Waiting: {told.before} {'turn comes' if told.before == 1 else 'turns come'} first"
    if told.plan or told.decisions:
        done = len(told.calls)
        return "Editing" + (f", step {done + 1} of {len(told.plan)}" if _one_each(told) and len(told.plan) > 1 else "")
    return "Reading the request"


def _sentence(text: str) -> str:
    text = text.strip()
    if text.partition(" ")[0].rstrip(",;").isalpha():  # the name of a file keeps its letters
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


__all__ = ["chips", "download", "message", "picture", "scenes", "steps", "turns", "url"]
