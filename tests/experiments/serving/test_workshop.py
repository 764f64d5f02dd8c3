"""The workshop: turns step by step, plans that a person changes, several people at once, limits, and giving up."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agents.intent import Intent
from agents.steps import Called, Decomposed, Intended, Planned
from benchmarks.base import EditSample
from common.errors import BadInput
from experiments.serving import cards
from experiments.serving.desk import DOWNLOAD
from experiments.serving.limits import PictureLimits, TooLarge
from experiments.serving.told import Told
from experiments.serving.workshop import Gone, Rules, Stopped, Waiting, Workshop
from tests.demo_page import ALICE, BOB, PATIENCE_S, Identity, Shift, noise, png, workshop


@pytest.fixture
def shop() -> Iterator[Workshop]:
    with workshop() as made:
        yield made


def opened(shop: Workshop, owner: str = ALICE, seed: int = 0) -> str:
    return shop.open(owner, png(noise(seed)), f"{seed}.png")[0]


def same(left: Image.Image, right: Image.Image) -> bool:
    return left.mode == right.mode and np.array_equal(np.asarray(left), np.asarray(right))


def shifted(image: Image.Image, by: int) -> Image.Image:
    return image.point(lambda value: (value + by) % 256)


def result(shop: Workshop, key: str, owner: str = ALICE) -> Image.Image:
    data = shop.png(owner, key, DOWNLOAD)
    assert data is not None
    return Image.open(io.BytesIO(data))


def test_a_turn_is_told_step_by_step_and_can_be_undone_and_redone(shop: Workshop) -> None:
    key = opened(shop)
    steps = list(shop.edit(ALICE, key, "remove tree and moon"))
    assert [type(step) for step in steps] == [Decomposed, Planned, Called, Called]
    assert same(result(shop, key), shifted(noise(0), 2))
    shop.undo(ALICE, key)
    assert same(result(shop, key), noise(0))
    shop.redo(ALICE, key)
    assert same(result(shop, key), shifted(noise(0), 2))
    with pytest.raises(BadInput, match="nothing to redo"):
        shop.redo(ALICE, key)


def test_pictures_of_calls_can_be_had_as_soon_as_they_are_told(shop: Workshop) -> None:
    from agents.traces import digest

    key = opened(shop)
    for step in shop.edit(ALICE, key, "remove tree and moon"):
        if isinstance(step, Called) and step.picture is not None:
            data = shop.png(ALICE, key, digest(step.picture))
            assert data is not None and same(Image.open(io.BytesIO(data)), step.picture)


def test_a_plan_is_made_changed_and_carried_out_and_then_changed_again(shop: Workshop) -> None:
    key = opened(shop)
    list(shop.plan(ALICE, key, "remove tree and moon"))
    desk = shop.desk(ALICE, key)
    assert desk.draft is not None and desk.draft.sub_requests == ("remove the tree", "remove the moon")
    assert not desk.session.turns and same(result(shop, key), noise(0))
    list(shop.edit(ALICE, key, desk.draft.request, ["remove the moon", "make it red", "remove the tree"]))
    assert desk.draft is None and desk.last is not None
    assert (desk.last.source, desk.last.sub_requests[1]) == ("given", "make it red")
    assert same(result(shop, key), shifted(noise(0), 3))
    list(shop.edit(ALICE, key, "remove tree and moon", ["remove the moon"], again=True))
    assert len(desk.session.turns) == 1 and same(result(shop, key), shifted(noise(0), 1))


def test_a_writer_says_what_a_later_turn_means_and_its_plan_keeps_it() -> None:
    class Writer:
        def write(self, samples: Sequence[EditSample]) -> list[Intent]:
            said = {
                "it": Intent("…</think>remove moon", "remove moon"),
                "?": Intent("hm", "?", "the reply has no </think>"),
            }
            return [said[s.request] if s.history else Intent("", s.request) for s in samples]

    writer: Any = Writer()
    with workshop(writer=writer) as shop:
        key = opened(shop)
        assert not any(isinstance(step, Intended) for step in shop.edit(ALICE, key, "remove tree"))
        steps = list(shop.edit(ALICE, key, "it"))
        assert steps[0] == Intended(f"{shop.desk(ALICE, key).session.id}-2", "remove moon")
        list(shop.edit(ALICE, key, "it", ["remove the star"], again=True))
        shop.undo(ALICE, key)
        list(shop.plan(ALICE, key, "it"))
        desk = shop.desk(ALICE, key)
        assert desk.draft is not None and desk.draft.sub_requests == ("remove the moon",)
        list(shop.edit(ALICE, key, "it", desk.draft.sub_requests))
        list(shop.edit(ALICE, key, "?"))
        turns = desk.session.turns
        assert [(turn.request, turn.intent) for turn in turns] == [
            ("remove tree", None),
            ("it", "remove moon"),
            ("?", "?"),
        ]
        shown = cards.steps(Told.of(turns[1]), key)
        assert "Meant" in shown and "remove moon" in shown and "Meant" not in cards.steps(Told.of(turns[2]), key)


def test_twenty_turns_that_change_nothing_leave_every_pixel() -> None:
    with workshop(Identity()) as shop:
        key = shop.open(ALICE, png(noise(1, (61, 37))), "odd.png")[0]
        for _ in range(20):
            list(shop.edit(ALICE, key, "remove nothing"))
            key = shop.open(ALICE, shop.png(ALICE, key, DOWNLOAD) or b"", "again.png")[0]
        assert same(result(shop, key), noise(1, (61, 37)))


def test_transparency_comes_back_in_the_download() -> None:
    with workshop(Identity()) as shop:
        image = noise(2, mode="RGBA")
        image.putalpha(Image.new("L", image.size, 255))
        image.paste((0, 0, 0, 0), (0, 0, 5, 5))
        key, notes = shop.open(ALICE, png(image), "a.png")
        assert any("transparency" in note for note in notes)
        list(shop.edit(ALICE, key, "remove nothing"))
        alpha = result(shop, key).getchannel("A")
        assert same(alpha, image.getchannel("A"))


@pytest.mark.parametrize("owner", [BOB, "", "x"])
def test_nobody_else_sees_or_changes_a_session(shop: Workshop, owner: str) -> None:
    key = opened(shop)
    name = shop.desk(ALICE, key).session.source_digest
    assert shop.png(ALICE, key, name) is not None and shop.png(owner, key, name) is None
    assert shop.png(ALICE, key, "0" * 32) is None and shop.png(ALICE, "../" + key, name) is None
    for act in (shop.undo, shop.redo, shop.desk):
        with pytest.raises(Gone):
            act(owner, key)
    with pytest.raises(Gone):
        list(shop.edit(owner, key, "remove tree"))


def test_many_people_at_once_each_get_their_own_pictures() -> None:
    with workshop(rules=Rules(queue=50)) as shop:

        def person(number: int) -> bool:
            owner, key = f"{number:032}", opened(shop, f"{number:032}", number)
            for _ in range(3):
                list(shop.edit(owner, key, "remove " + " and ".join(["tree", "moon", "star"][: 1 + number % 3])))
            return same(result(shop, key, owner), shifted(noise(number), 3 * (1 + number % 3)))

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(person, range(24)))


def test_turns_wait_in_a_line_of_limited_length() -> None:
    editor = Shift()
    editor.go.clear()
    with workshop(editor, rules=Rules(queue=1)) as shop:
        keys = [opened(shop, seed=n) for n in range(3)]
        first = shop.edit(ALICE, keys[0], "remove tree")
        next(first)
        assert editor.began.wait(PATIENCE_S)
        second = shop.edit(ALICE, keys[1], "remove tree")
        assert next(second) == Waiting(1)
        with pytest.raises(BadInput, match="1 turns are waiting already"):
            next(shop.edit(ALICE, keys[2], "remove tree"))
        with pytest.raises(BadInput, match="a turn is in progress"):
            shop.undo(ALICE, keys[0])
        with pytest.raises(BadInput, match="a turn is in progress"):
            next(shop.edit(ALICE, keys[1], "remove tree"))
        editor.go.set()
        list(first), list(second)
        list(shop.edit(ALICE, keys[2], "remove tree"))
        assert [same(result(shop, k), shifted(noise(n), 1)) for n, k in enumerate(keys)] == [True] * 3


def test_a_turn_that_is_stopped_leaves_the_picture() -> None:
    editor = Shift()
    with workshop(editor) as shop:
        key = opened(shop)
        editor.go.clear()
        steps = shop.edit(ALICE, key, "remove tree and moon and star")
        next(steps)
        assert editor.began.wait(PATIENCE_S)
        shop.stop(BOB, key)  # not hers
        shop.stop(ALICE, key)
        editor.go.set()
        with pytest.raises(Stopped, match="the picture is as it was"):
            list(steps)
        assert len(editor.calls) == 1 and same(result(shop, key), noise(0))
        list(shop.edit(ALICE, key, "remove tree"))  # the next one is not stopped


def test_whoever_goes_away_costs_no_more_calls() -> None:
    editor = Shift()
    with workshop(editor) as shop:
        key, other = opened(shop), opened(shop, seed=1)
        editor.go.clear()
        left, waits = shop.edit(ALICE, key, "remove tree and moon"), shop.edit(ALICE, other, "remove star")
        next(left), next(waits)
        assert editor.began.wait(PATIENCE_S)
        waits.close()  # while it waits
        left.close()  # while it is carried out
        editor.go.set()
        list(shop.edit(ALICE, other, "remove heart"))
        assert editor.calls == ["remove the tree", "remove the heart"] and not shop.desk(ALICE, key).session.turns


def test_closing_ends_what_is_in_progress_and_what_waits() -> None:
    editor = Shift()
    with workshop(editor) as shop:
        key, other = opened(shop), opened(shop, seed=1)
        editor.go.clear()
        first, second = shop.edit(ALICE, key, "remove tree and moon"), shop.edit(ALICE, other, "remove star")
        next(first), next(second)
        assert editor.began.wait(PATIENCE_S)
        closing = threading.Thread(target=shop.close)
        closing.start()
        editor.go.set()
        closing.join(60)
        assert not closing.is_alive() and len(editor.calls) == 1
        for steps in (first, second, shop.edit(ALICE, key, "remove tree")):
            with pytest.raises(Stopped):
                list(steps)


def test_bad_files_requests_and_plans_are_refused_with_their_reason(shop: Workshop) -> None:
    for data, reason in ((b"", "empty"), (b"GIF89a", "no picture"), (png(noise(0))[:200], "damaged|no picture")):
        with pytest.raises(BadInput, match=f"odd.png cannot be used: it is .*({reason})"):
            shop.open(ALICE, data, "odd.png")
    key = opened(shop)
    for request in ("", " \u200b "):
        with pytest.raises(BadInput, match="empty"):
            list(shop.edit(ALICE, key, request))
    with pytest.raises(BadInput, match="the plan is empty"):
        list(shop.edit(ALICE, key, "remove tree", []))
    list(shop.edit(ALICE, key, "what?"))  # the decomposer babbles: the request is used as it is
    assert shop.desk(ALICE, key).last.source == "request"  # type: ignore[union-attr]


def test_what_is_too_large_is_refused_and_a_session_has_an_end() -> None:
    with workshop(limits=PictureLimits(10_000, 300), rules=Rules(turns=2)) as shop:
        with pytest.raises(TooLarge, match="20x16 pixels"):
            shop.open(ALICE, png(noise(0, (20, 16))), "a.png")
        key = shop.open(ALICE, png(noise(0, (15, 20))), "a.png")[0]
        for _ in range(2):
            list(shop.edit(ALICE, key, "remove tree"))
        with pytest.raises(BadInput, match="at most 2 turns"):
            list(shop.edit(ALICE, key, "remove tree"))
        list(shop.edit(ALICE, key, "remove tree", ["remove the tree"], again=True))  # no further turn


def test_sessions_that_nobody_uses_are_closed() -> None:
    now = [0.0]
    with workshop(rules=Rules(sessions=2, idle_s=10), clock=lambda: now[0]) as shop:
        first, second = opened(shop), opened(shop, seed=1)
        shop.desk(ALICE, first)  # used last
        third = opened(shop, seed=2)
        with pytest.raises(Gone):
            shop.desk(ALICE, second)
        now[0] = 11
        shop.desk(ALICE, third)
        fourth = opened(shop, seed=3)
        with pytest.raises(Gone):
            shop.desk(ALICE, first)
        assert shop.desk(ALICE, third) and shop.desk(ALICE, fourth)
    with workshop(rules=Rules(held=3 * 24 * 16)) as shop:  # bytes of one picture
        first, second = opened(shop), opened(shop, seed=1)
        with pytest.raises(Gone):
            shop.desk(ALICE, first)
        assert shop.desk(ALICE, second)
