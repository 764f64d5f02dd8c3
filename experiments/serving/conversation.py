"""What the page shows after everything that a person does: the workshop's answers as views. It knows no Gradio."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from agents.steps import Step
from common.errors import ImageEditError
from experiments.serving import cards, scenes
from experiments.serving.desk import Desk
from experiments.serving.limits import TooLarge
from experiments.serving.told import Told
from experiments.serving.workshop import Gone, Waiting, Workshop

LAST, ORIGINAL = "before this turn", "the original"  # what the picture is compared with
BUG = "something went wrong here that is not your fault; the terminal of the server says what"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """The plan whose steps can be changed. `again`: it was carried out as the last turn, which it would replace. `stamp` differs
    between moments, so that a page that shows the same plan anew forgets what was typed."""

    steps: tuple[str, ...] = ()
    request: str = ""
    again: bool = False
    stamp: str = ""
    touched: bool = False  # a person has changed it on the page


@dataclass(frozen=True)
class View:
    """Everything on the page that changes: HTML, except for the plan, the key and what can be done."""

    key: str = ""
    message: str = ""
    picture: str = ""
    steps: str = ""
    turns: str = ""
    download: str = ""
    examples: str = ""
    plan: Plan = field(default_factory=Plan)
    undo: bool = False
    redo: bool = False
    several: bool = False  # whether the original is another picture than that before the last turn
    running: bool = False
    request: str | None = None  # what the box of the request should hold; None: what it holds


class Conversation:
    """`owner` is always the browser's name, `key` that of its session ("" without one). Errors become the view's message."""

    def __init__(self, shop: Workshop, image_size: int = 64, random: Random | None = None) -> None:
        self.shop, self.image_size, self.random = shop, image_size, random or Random()

    def resume(self, owner: str, key: str) -> View:
        """The session as it was left, or the start where there is none any more."""
        try:
            return self._view(self.shop.desk(owner, key), LAST)
        except Gone:
            return View()

    def open(self, owner: str, path: str | None) -> View:
        """A session on an uploaded file, which is deleted as soon as it was read."""
        if not path:
            return View()
        try:
            file = Path(path)
            if file.stat().st_size > self.shop.limits.max_bytes:
                raise TooLarge(
                    f"{file.name} is larger than the {self.shop.limits.max_bytes / 1e6:g} MB that are allowed"
                )
            key, notes = self.shop.open(owner, file.read_bytes(), file.name)
        except ImageEditError as error:
            return View(message=cards.message(str(error)))
        except Exception:
            log.exception("opening a picture failed")
            return View(message=cards.message(BUG))
        finally:
            if os.path.exists(path):
                os.unlink(path)
        view = self._view(self.shop.desk(owner, key), LAST)
        return replace(view, message=cards.message(" ".join(notes), "note"))

    def scene(self, owner: str, seed: int | None = None) -> View:
        """A session on a scene of the sandbox; without `seed` on one that is drawn by chance."""
        chosen = self.random.randrange(scenes.SEEDS) if seed is None else seed
        start = scenes.start(chosen, self.image_size)
        key = self.shop.open_scene(owner, start.picture, f"scene {chosen}")
        view = self._view(self.shop.desk(owner, key), LAST)
        return replace(view, examples=cards.chips(start.examples), request="")

    def compare(self, owner: str, key: str, against: str) -> View:
        """The same, with the picture compared with another one."""
        return self._try(owner, key, against, lambda: None)

    def undo(self, owner: str, key: str, against: str) -> View:
        return self._try(owner, key, against, lambda: self.shop.undo(owner, key))

    def redo(self, owner: str, key: str, against: str) -> View:
        return self._try(owner, key, against, lambda: self.shop.redo(owner, key))

    def edit(self, owner: str, key: str, request: str, against: str) -> Iterator[View]:
        """One turn, with a view after every step."""
        return self._turn(owner, key, against, request, lambda: self.shop.edit(owner, key, request))

    def plan(self, owner: str, key: str, request: str, against: str) -> Iterator[View]:
        """The plan of a request, which is not carried out."""
        return self._turn(owner, key, against, request, lambda: self.shop.plan(owner, key, request))

    def carry_out(self, owner: str, key: str, plan: Plan, steps: Sequence[str], against: str) -> Iterator[View]:
        """A plan with its `steps` as a person left them; empty ones are left out."""
        wanted = [text for text in steps if text.strip()]
        work = lambda: self.shop.edit(owner, key, plan.request, wanted, plan.again)  # noqa: E731
        return self._turn(owner, key, against, plan.request, work)

    # --------------------------------------------------------------------------------------------------------- within
    def _turn(
        self, owner: str, key: str, against: str, request: str, work: Callable[[], Iterator[Step | Waiting]]
    ) -> Iterator[View]:
        told = Told(request.strip())
        if not key:
            yield View(message=cards.message("open a picture first, and then say what should change"))
            return
        try:
            desk = self.shop.desk(owner, key)
            before = self._view(desk, against)
            yield replace(before, steps=cards.steps(told, key), running=True, message="", plan=Plan())
            for step in work():
                told.hear(step)
                yield replace(before, steps=cards.steps(told, key), running=True, message="", plan=Plan())
        except Gone as error:
            yield View(message=cards.message(str(error)))
        except ImageEditError as error:
            yield replace(self._view(desk, against), message=cards.message(str(error)))
        except Exception:
            log.exception("a turn failed")
            yield replace(self._view(desk, against), message=cards.message(BUG))
        else:
            view = self._view(desk, against)
            if desk.draft is not None:
                told.running, told.plan = False, ()  # it stands where it can be changed
                view = replace(view, steps=cards.steps(told, key))
            yield replace(view, message=_outcome(desk), request=None if desk.draft is not None else "")

    def _try(self, owner: str, key: str, against: str, work: Callable[[], None]) -> View:
        said = ""
        try:
            desk = self.shop.desk(owner, key)
            work()
        except Gone as error:
            return View(message=cards.message(str(error)))
        except ImageEditError as error:
            said = str(error)
        return replace(self._view(desk, against), message=cards.message(said))

    def _view(self, desk: Desk, against: str) -> View:
        session, draft, last = desk.session, desk.draft, desk.last
        stamp = f"{desk.key} {len(session.turns)} {len(session.undone)}"
        if draft is not None:
            plan = Plan(draft.sub_requests, draft.request, False, f"{stamp} draft")
        elif last is not None:
            plan = Plan(last.sub_requests, session.turns[-1].request, True, stamp)
        else:
            plan = Plan()
        then = session.source_digest if against == ORIGINAL else (last.digests[0] if last else None)
        return View(
            key=desk.key,
            picture=cards.picture(desk, then if last else None),
            steps=cards.steps(Told.of(session.turns[-1]) if last else None, desk.key),
            turns=cards.turns(desk),
            download=cards.download(desk),
            plan=plan,
            undo=bool(session.turns),
            redo=bool(session.undone),
            several=len(session.turns) > 1,
            running=desk.turn is not None,
        )


def _outcome(desk: Desk) -> str:
    """What should be said of a turn that ended."""
    if desk.draft is not None or desk.last is None:
        return ""
    if desk.last.failure:
        return cards.message(f"the editor gave no picture, {desk.last.failure}; say it differently")
    if desk.last.digests[0] == desk.last.digests[-1]:
        return cards.message("the editor changed nothing: it found nothing to do on this picture", "note")
    return ""


__all__ = ["LAST", "ORIGINAL", "Conversation", "Plan", "View"]
