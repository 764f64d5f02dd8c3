"""The layout of the page, and which part of it calls what. Everything it shows comes from `conversation.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from experiments.serving import cards, scenes
from experiments.serving.about import About
from experiments.serving.conversation import LAST, ORIGINAL, Conversation, Plan, View
from experiments.serving.gate import browser_of

STYLE = Path(__file__).with_name("page.css")
MOST_STEPS = 20  # of a plan that is changed by hand
# a click on one of the buttons in a piece of HTML tells which
CLICKS = (
    "element.addEventListener('click', e => { const b = e.target.closest('[data-value]'); "
    "if (b) trigger('click', {value: b.dataset.value}); });"
)
# the tab remembers its session, so that a page that is loaded again goes on with it
KEEP = (
    "watch('value', () => { const f = element.querySelector('[data-key]'); "
    "if (f) sessionStorage.setItem('imageedit', f.dataset.key); });"
)
# the workshop has the line, and the page says itself what happens
QUIET: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
Listener = Callable[..., Any]
KEPT = "() => sessionStorage.getItem('imageedit') || ''"


def theme() -> gr.themes.Base:
    """Fonts of the system: nothing is loaded from elsewhere."""
    plain, mono = gr.themes.Font("sans-serif"), gr.themes.Font("monospace")
    return gr.themes.Default(font=[plain], font_mono=[mono], primary_hue="blue", neutral_hue="slate")


class Page:
    def __init__(self, talk: Conversation, about: About) -> None:
        self.talk, self.about = talk, about
        with gr.Blocks(
            title="Image editing agents", analytics_enabled=False, delete_cache=(600, 600), fill_width=True
        ) as self.blocks:
            self.key, self.plan_state, self.kept = gr.State(""), gr.State(Plan()), gr.Textbox(visible=False)
            gr.HTML(f"<h1>Image editing agents</h1><p>{about.parts}</p>", elem_classes="title")
            self.notice = gr.HTML(cards.message(scenes.known(), "note"), visible=about.tiny)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=6, min_width=340):
                    self._left()
                with gr.Column(scale=5, min_width=340):
                    self._right()
            self._wire()

    def _left(self) -> None:
        with gr.Column(visible=True) as self.start:
            if self.about.sandbox:
                shown = [(seed, scenes.start(seed, self.talk.image_size).picture) for seed in scenes.FIXED]
                gr.HTML("<h2>Start from a scene</h2>")
                self.fixed = gr.HTML(cards.scenes(shown), js_on_load=CLICKS, elem_classes="scenes")
                self.new = gr.Button("New scene", size="sm")
                gr.HTML("<h2>or from a picture of yours</h2>")
            self.upload = gr.File(
                label="A picture: drop it here, or click", file_count="single", type="filepath", height=170
            )
            gr.HTML(f'<p class="aside">{self.about.limits}</p>')
        with gr.Column(visible=False) as self.work:
            self.picture = gr.HTML(js_on_load=KEEP, elem_classes="picture")
            with gr.Row(elem_classes="tools"):
                self.undo = gr.Button("Undo", size="sm", min_width=70, interactive=False)
                self.redo = gr.Button("Redo", size="sm", min_width=70, interactive=False)
                self.download = gr.HTML(elem_classes="download-box")
                self.other = gr.Button("Another picture", size="sm", min_width=120)
            self.against = gr.Radio([LAST, ORIGINAL], value=LAST, label="Compare with", visible=False)
            self.turns = gr.HTML(visible=False)

    def _right(self) -> None:
        self.message = gr.HTML(visible=False, elem_id="message")
        self.request = gr.Textbox(
            label="What should change?",
            placeholder="Say it in a sentence",
            lines=2,
            max_lines=6,
            elem_id="request",
            interactive=True,
        )
        with gr.Row(elem_classes="tools"):
            self.edit = gr.Button("Edit", variant="primary", min_width=90, elem_id="edit")
            self.plan = gr.Button("Plan first", min_width=90, visible=self.about.plans, elem_id="plan")
            self.stop = gr.Button("Stop", variant="stop", min_width=90, visible=False, elem_id="stop")
        self.examples = gr.HTML(visible=False, js_on_load=CLICKS, elem_classes="chips")
        self.steps = gr.HTML(visible=False, elem_id="steps")
        again = gr.render([self.plan_state], [self.plan_state.change], show_progress="hidden", concurrency_limit=None)
        again(self._plan_cards)

    # --------------------------------------------------------------------------------------------------------- events
    @property
    def outputs(self) -> list[Any]:
        """What `updates` are for, in the same order."""
        return [
            *(self.key, self.plan_state, self.message, self.start, self.work, self.picture, self.undo, self.redo),
            *(self.download, self.against, self.turns, self.request, self.edit, self.plan, self.stop, self.examples),
            self.steps,
        ]

    def updates(self, view: View) -> list[Any]:
        opened, idle = bool(view.key), not view.running
        box = gr.update() if view.request is None else gr.update(value=view.request)
        return [
            view.key,
            view.plan,
            shown(view.message),
            gr.update(visible=not opened),
            gr.update(visible=opened),
            view.picture,
            gr.update(interactive=view.undo and idle),
            gr.update(interactive=view.redo and idle),
            view.download,
            gr.update(visible=view.several),
            shown(view.turns),
            box,
            gr.update(interactive=idle),
            gr.update(interactive=idle),
            gr.update(visible=view.running),
            shown(view.examples) if view.examples or not opened else gr.update(),
            shown(view.steps),
        ]

    def _on(self, listen: Listener, do: Callable[..., View], inputs: Sequence[Any], js: str | None = None) -> Any:
        """`do(owner, *inputs)` gives the page's next view."""

        def handler(request: gr.Request, *values: Any) -> list[Any]:
            return self.updates(do(owner_of(request), *values))

        return self._listen(listen, handler, inputs, js=js)

    def _stream(self, listen: Listener, do: Callable[..., Iterator[View]], inputs: Sequence[Any]) -> None:
        """`do(owner, *inputs)` gives view after view."""

        def handler(request: gr.Request, *values: Any) -> Iterator[list[Any]]:
            for view in do(owner_of(request), *values):
                yield self.updates(view)

        self._listen(listen, handler, inputs)

    def _listen(self, listen: Listener, handler: Callable[..., Any], inputs: Sequence[Any], **more: Any) -> Any:
        return listen(handler, inputs=list(inputs), outputs=self.outputs, **QUIET, **more)

    def _wire(self) -> None:
        talk, turn = self.talk, [self.key, self.request, self.against]
        self._listen(self.blocks.load, self._resume, [self.kept], js=KEPT)
        opened = self._on(self.upload.upload, talk.open, [self.upload])
        opened.then(lambda: None, None, [self.upload], **QUIET)  # ready for the next one
        self._on(self.undo.click, talk.undo, [self.key, self.against])
        self._on(self.redo.click, talk.redo, [self.key, self.against])
        self._on(self.against.input, talk.compare, [self.key, self.against])
        self._on(self.other.click, lambda owner: View(), [], js="() => sessionStorage.removeItem('imageedit')")
        for listen in (self.edit.click, self.request.submit):
            self._stream(listen, talk.edit, turn)
        self._stream(self.plan.click, talk.plan, turn)
        self.stop.click(self._stop, [self.key], [], **QUIET)
        self.examples.click(clicked, None, [self.request], **QUIET)
        if self.about.sandbox:
            self._on(self.new.click, talk.scene, [])
            self._listen(self.fixed.click, self._scene, [])

    def _resume(self, request: gr.Request, kept: str) -> list[Any]:
        """Nothing changes where there is no session to go on with: a click may have come before this."""
        view = self.talk.resume(owner_of(request), kept)
        return self.updates(view) if view.key else [gr.skip() for _ in self.outputs]

    def _stop(self, request: gr.Request, key: str) -> None:
        self.talk.shop.stop(owner_of(request), key)

    def _scene(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        return self.updates(self.talk.scene(owner_of(request), int(event.value)))

    # ----------------------------------------------------------------------------------------------------------- plan
    def _plan_cards(self, plan: Plan) -> None:
        """The steps of a plan, each of which can be changed, moved and taken out. Where it is drawn anew, Gradio reuses the parts
        that stood at the same places, and what is not said of a part stays as it was of the other: so all is said of each."""
        if not plan.steps or self.about.plans is False:
            return
        boxes: list[Any] = []
        moves: list[tuple[Any, Callable[[list[str]], list[str]]]] = []
        with gr.Accordion(
            "Change this plan" if plan.again else "The plan", open=plan.touched or not plan.again, elem_id="plan-cards"
        ):
            for i, text in enumerate(plan.steps):
                with gr.Row(elem_classes="step"):
                    box = gr.Textbox(
                        text,
                        label=f"Step {i + 1}",
                        container=False,
                        max_lines=4,
                        scale=8,
                        min_width=120,
                        elem_classes="say",
                        interactive=True,
                        elem_id=f"step-{i}",
                    )
                    boxes.append(box)
                    for name, sign, change in (
                        ("up", "↑", moved(i, -1)),
                        ("down", "↓", moved(i, 1)),
                        ("out", "✕", taken_out(i)),
                    ):
                        button = gr.Button(
                            sign,
                            size="sm",
                            min_width=34,
                            scale=0,
                            elem_classes=f"small {name}",
                            interactive=True,
                            elem_id=f"step-{i}-{name}",
                        )
                        moves.append((button, change))
            with gr.Row(elem_classes="tools"):
                add = gr.Button(
                    "Add a step",
                    size="sm",
                    min_width=100,
                    scale=1,
                    elem_classes="add",
                    interactive=True,
                    elem_id="add-step",
                )
                go = gr.Button(
                    "Run again with this plan" if plan.again else "Carry out this plan",
                    variant="primary",
                    size="sm",
                    min_width=160,
                    scale=1,
                    elem_classes="go",
                    interactive=True,
                    elem_id="carry-out",
                )
        for button, change in (*moves, (add, added)):
            button.click(partial(changed, plan, change), boxes, [self.plan_state], **QUIET)

        def carry_out(owner: str, key: str, against: str, *texts: str) -> Iterator[View]:
            return self.talk.carry_out(owner, key, plan, texts, against)

        self._stream(go.click, carry_out, [self.key, self.against, *boxes])


def shown(html: str) -> Any:
    """An empty piece takes no room."""
    return gr.update(value=html, visible=bool(html))


def changed(plan: Plan, change: Callable[[list[str]], list[str]], *texts: str) -> Plan:
    """The plan with what was typed, and then changed. The stamp makes it a new one even where nothing moved."""
    return replace(plan, steps=tuple(change(list(texts))), stamp=f"{plan.stamp}'", touched=True)


def moved(i: int, by: int) -> Callable[[list[str]], list[str]]:
    def change(texts: list[str]) -> list[str]:
        if 0 <= (j := i + by) < len(texts):
            texts[i], texts[j] = texts[j], texts[i]
        return texts

    return change


def taken_out(i: int) -> Callable[[list[str]], list[str]]:
    return lambda texts: texts[:i] + texts[i + 1 :] if len(texts) > 1 else [""]


def added(texts: list[str]) -> list[str]:
    return [*texts, ""] if len(texts) < MOST_STEPS else texts


def clicked(event: gr.EventData) -> str:
    """The text of the example that was clicked."""
    return str(event.value)


def owner_of(request: gr.Request) -> str:
    """The browser's name, which the gate gave it."""
    return browser_of(dict(request.headers).get("cookie", "")) or ""


__all__ = ["Page", "STYLE", "theme"]
