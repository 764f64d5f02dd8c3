"""Views of what happens: escaped, in order, with one clear message for whatever goes wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from experiments.serving.cards import message, steps
from experiments.serving.conversation import LAST, ORIGINAL, Conversation, Plan, View
from experiments.serving.told import Told
from tests.demo_page import ALICE, BOB, Identity, noise, png, workshop

NASTY = "<img src=x onerror=alert(1)> & \"quotes\" 'single'"


def opened(talk: Conversation, folder: Path, name: str = "a.png") -> View:
    (folder / name).write_bytes(png(noise(0)))
    return talk.open(ALICE, str(folder / name))


def test_every_text_is_escaped(tmp_path: Path) -> None:
    with workshop() as shop:
        talk = Conversation(shop)
        start = opened(talk, tmp_path, "a<b onload=x>&.png")
        assert "<b " not in start.picture and "a&lt;b onload=x&gt;" in start.picture
        for view in talk.edit(ALICE, start.key, f"{NASTY}?", LAST):
            shown = view.picture + view.steps + view.turns + view.message + view.download
            assert "onerror" in shown or not view.steps
            assert not re.search(r"<[^>]*onerror", shown) and NASTY not in shown
        assert "&lt;" in view.steps and "&amp;" in view.turns
    assert "<b>" not in message("<b>") and "<i>" not in steps(Told("<i>", think="<i>", error="<i>"), "k")


def test_an_upload_is_deleted_whatever_it_was(tmp_path: Path) -> None:
    with workshop() as shop:
        talk = Conversation(shop)
        assert opened(talk, tmp_path).key and not (tmp_path / "a.png").exists()
        (tmp_path / "b.png").write_bytes(b"odd")
        view = talk.open(ALICE, str(tmp_path / "b.png"))
        assert not view.key and "b.png cannot be used" in view.message and not (tmp_path / "b.png").exists()
        (tmp_path / "c.png").write_bytes(b"0" * 3_000_000)
        assert "2 MB" in talk.open(ALICE, str(tmp_path / "c.png")).message and not (tmp_path / "c.png").exists()
        assert talk.open(ALICE, None) == View()


def test_a_turn_shows_what_runs_and_then_what_can_be_done(tmp_path: Path) -> None:
    with workshop() as shop:
        talk = Conversation(shop)
        key = opened(talk, tmp_path).key
        views = list(talk.edit(ALICE, key, "remove tree and moon", LAST))
        assert [v.running for v in views] == [True] * 5 + [False]
        assert [v.steps.count('class="done"') for v in views] == [0, 0, 0, 1, 2, 2]
        last = views[-1]
        assert last.undo and not last.redo and not last.several and last.request == ""
        assert last.plan.steps == ("remove the tree", "remove the moon") and last.plan.again
        undone = talk.undo(ALICE, key, LAST)
        assert not undone.undo and undone.redo and undone.plan == Plan() and "(undone)" in undone.turns
        assert talk.redo(ALICE, key, LAST).plan == last.plan
        (*_, second) = talk.edit(ALICE, key, "remove star", ORIGINAL)
        assert second.several and shop.desk(ALICE, key).session.source_digest in second.picture
        assert shop.desk(ALICE, key).session.source_digest not in talk.compare(ALICE, key, LAST).picture


def test_a_draft_is_carried_out_once_and_then_replaced(tmp_path: Path) -> None:
    with workshop() as shop:
        talk = Conversation(shop)
        key = opened(talk, tmp_path).key
        (*_, view) = talk.plan(ALICE, key, "remove tree and moon", LAST)
        assert not view.plan.again and view.plan.steps and not view.undo and view.request is None
        (*_, done) = talk.carry_out(ALICE, key, view.plan, ["", "remove the star", "  "], LAST)
        assert done.plan.steps == ("remove the star",) and done.plan.again and "your own plan" in done.steps
        (*_, again) = talk.carry_out(ALICE, key, done.plan, ["remove the moon"], LAST)
        assert again.plan.steps == ("remove the moon",) and len(shop.desk(ALICE, key).session.turns) == 1
        (*_, empty) = talk.carry_out(ALICE, key, again.plan, [" "], LAST)
        assert "The plan is empty" in empty.message and empty.plan == again.plan


@pytest.mark.parametrize("execution", ["single", "multi"])
def test_what_was_told_live_is_what_the_trace_tells(execution: str, tmp_path: Path) -> None:
    with workshop(execution=execution) as shop:
        key = shop.open(ALICE, png(noise(0)), "a.png")[0]
        told = Told("remove tree and moon")
        for step in shop.edit(ALICE, key, told.request):
            told.hear(step)
        after = Told.of(shop.desk(ALICE, key).session.turns[-1])
        assert (told.think, told.edits, told.plan, told.source) == (after.think, after.edits, after.plan, after.source)
        assert [(c.instruction, c.picture) for c in told.calls] == [(c.instruction, c.picture) for c in after.calls]


def test_other_peoples_sessions_and_missing_ones_are_one_message(tmp_path: Path) -> None:
    with workshop() as shop:
        talk = Conversation(shop)
        key = opened(talk, tmp_path).key
        for owner, wrong in ((BOB, key), (ALICE, "nowhere")):
            assert talk.resume(owner, wrong) == View()
            for view in (talk.undo(owner, wrong, LAST), *talk.edit(owner, wrong, "remove tree", LAST)):
                assert view.key == "" and "this session is closed" in view.message.lower()
        assert talk.resume(ALICE, key).key == key
        (view,) = talk.edit(ALICE, "", "remove tree", LAST)
        assert "Open a picture first" in view.message


def test_a_bug_is_told_apart_without_its_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def edit(self, *_: Any) -> Any:
            raise ZeroDivisionError("secret path /home/x")

    with workshop(Broken()) as shop:
        talk = Conversation(shop)
        key = opened(talk, tmp_path).key
        (*_, view) = talk.edit(ALICE, key, "remove tree", LAST)
        assert "terminal of the server" in view.message and "secret" not in view.message and not view.running
        assert "ZeroDivisionError" in caplog.text


def test_an_edit_that_changed_nothing_is_said(tmp_path: Path) -> None:
    with workshop(Identity()) as shop:
        talk = Conversation(shop)
        (*_, view) = talk.edit(ALICE, opened(talk, tmp_path).key, "remove tree", LAST)
        assert "changed nothing" in view.message and "alert" not in view.message
