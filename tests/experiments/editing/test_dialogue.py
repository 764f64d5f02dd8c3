"""A session line by line: turns, undo, branches, plans, saving; whatever is typed, the session stays whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agents.intent import Intent
from agents.session import Session
from common.errors import BadData, BadInput, MissingFile
from common.pictures import Picture, load_picture
from experiments.editing.dialogue import Dialogue
from experiments.editing.plan_editing import change
from experiments.editing.screen import Screen
from experiments.editing.store import BRANCHES, Store, opened
from tests.experiments.editing.stand_ins import loader, team, terminal


class Script:
    """Lines as from a pipe, or as typed at a terminal; an exception in their place is raised."""

    def __init__(self, lines: list[str | BaseException], interactive: bool = False) -> None:
        self.lines, self.interactive = iter(lines), interactive
        self.prompts: list[str] = []

    def read(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        line = next(self.lines, None)
        if isinstance(line, BaseException):
            raise line
        return line


def picture() -> Picture:
    return Picture(Image.fromarray(np.random.default_rng(2).integers(0, 256, (4, 6, 3), dtype=np.uint8)))


def played(
    folder: Path, *lines: Any, interactive: bool = False, writer: Any = None, own: Any = None
) -> tuple[Store, str]:
    """The session after these lines, and what was printed. An earlier one in the folder is gone on with."""
    console, text = terminal()
    with opened(folder) as stored:
        store = stored or Store.new(folder, "s", picture(), None)
        reader: Any = Script(list(lines), interactive)
        Dialogue(loader(own or team(), writer), store, Screen(console, "multi"), reader, None).run()
    return store, text.getvalue()


def requests(store: Store) -> tuple[str, ...]:
    return store.session.history


def test_turns_undo_redo_and_branches(tmp_path: Path) -> None:
    store, text = played(
        tmp_path, "moon", "star sun", "/undo", "/branch b", "tree", "/switch main", "/redo", "/history"
    )
    assert requests(store) == ("moon", "star sun") and store.sessions["b"].history == ("moon", "tree")
    assert "decomposition" in text and "call 2 of 2" in text and "branches: main (here), b" in text
    assert store.sessions["b"].turns[1].trace.sample_id == "s/b-2"  # other seeds than the branch it came from
    assert load_picture(store.picture_path).rgb == store.session.picture


def test_everything_is_there_again(tmp_path: Path) -> None:
    first, _ = played(tmp_path, "moon", "star", "/undo", "/branch b", "sun")
    again, _ = played(tmp_path)
    assert again.sessions == first.sessions and again.current == "b" and again.given.rgb == first.given.rgb
    on, _ = played(tmp_path, "/switch main", "/redo")
    assert requests(on) == ("moon", "star")


def test_a_plan_is_changed_before_it_is_carried_out(tmp_path: Path) -> None:
    lines = ["/plan", "moon star", "2 remove the sun", "+ add a tree", "- 1", "- 7", "?", ""]
    store, text = played(tmp_path, *lines)
    trace = store.session.turns[0].trace
    assert (
        trace.sub_requests == ("remove the sun", "add a tree")
        and trace.source == "given"
        and trace.request == "moon star"
    )
    assert "no step 7" in text and "cannot read '?'" in text
    store, _ = played(tmp_path, "/plan moon", "/cancel", "/plan moon", "- 1", "", "/cancel", "/plan moon")
    assert len(store.session.turns) == 1  # dropped, empty and dropped, and ended with the input


def test_errors_are_one_line_and_the_session_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [
        "/udo",
        "/undo",
        "undo",
        "/undo x",
        "/switch x",
        "/branch",
        "/branch a/b",
        "/branch main",
        "/save x.xyz",
        "\u200b",
        "refused",
    ]
    store, text = played(tmp_path, *bad, "/branch MAIN", "//slash moon")
    errors = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in errors) and len(errors) == 11
    assert "/undo" in errors[0] and "no picture, call 1: refused" in text
    assert requests(store) == ("/slash moon",) and list(store.sessions) == ["main"]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lines=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "moon",
                    "star",
                    "refused",
                    "/undo",
                    "/redo",
                    "/branch b",
                    "/switch b",
                    "/switch main",
                    "/plan",
                    "+ x",
                    "",
                ]
            ),
            st.text(max_size=8),
        ),
        max_size=8,
    )
)
def test_no_lines_break_a_session(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    store, _ = played(folder, *(line for line in lines if "/save" not in line))
    again = Store.load(folder)
    assert again.sessions == store.sessions and again.current == store.current


def test_ctrl_c_gives_up_the_turn_alone(tmp_path: Path) -> None:
    class Slow:
        def edit(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    played(tmp_path, "moon")
    store, text = played(tmp_path, "star", KeyboardInterrupt(), interactive=True, own=team(editor=Slow()))
    assert requests(store) == requests(Store.load(tmp_path)) == ("moon",)
    assert "given up; the session is as it was" in text and "(/quit ends the session)" in text
    with pytest.raises(KeyboardInterrupt):  # a script is ended by it
        played(tmp_path, "star", own=team(editor=Slow()))


def test_intents_are_shown_and_kept(tmp_path: Path) -> None:
    class Writer:
        def write(self, samples: Any) -> list[Intent]:
            return [Intent("<think></think>sun", "sun") if s.history else Intent("", s.request) for s in samples]

    store, text = played(tmp_path, "moon", "remove it", "/history", writer=Writer())
    assert [turn.intent for turn in store.session.turns] == [None, "sun"]
    assert (
        re.search(r"intent \(\d.* s\): sun", text) and text.count("intent: sun") == 1
    )  # as it is written, and in the history
    assert store.session.turns[1].trace.request == "sun" and requests(store) == ("moon", "remove it")


def test_saving_puts_the_transparency_back_and_never_writes_over_the_given_picture(tmp_path: Path) -> None:
    source = tmp_path / "given.png"
    rgba = picture().rgb.convert("RGBA")
    rgba.putpixel((0, 0), (0, 0, 0, 0))
    rgba.save(source)
    console, text = terminal()
    store = Store.new(tmp_path / "s", "s", load_picture(source), source)
    lines: Any = Script(["moon", f"/save {tmp_path / 'out.png'}", "/save", f"/save {source}"])
    Dialogue(loader(team()), store, Screen(console), lines, str(source)).run()
    assert Image.open(tmp_path / "out.png").mode == "RGBA" and (tmp_path / "s" / "main.png").is_file()
    assert Image.open(source).getpixel((0, 0)) == (0, 0, 0, 0) and text.getvalue().count("saved: ") == 2
    again = Store.load(tmp_path / "s")
    assert again.given.alpha is not None and (tmp_path / "s" / "given.png").read_bytes() == source.read_bytes()


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    played(tmp_path, "moon", "/branch b")
    (tmp_path / BRANCHES / "b" / "session.json").unlink()
    with pytest.raises(MissingFile, match="branch 'b'.*gone"):
        Store.load(tmp_path)
    for text in (
        "{",
        "[]",
        '{"format": 9}',
        '{"format": 1, "current": 3, "given": "x"}',
        '{"format": 1, "current": "main", "given": "../x"}',
    ):
        (tmp_path / "session.json").write_text(text)
        with pytest.raises(BadData):
            Store.load(tmp_path)


def test_one_folder_has_one_process(tmp_path: Path) -> None:
    with (
        opened(tmp_path),
        pytest.raises(BadInput, match="in use by another process.*choose another out"),
        opened(tmp_path),
    ):
        pass


def test_a_session_that_cannot_be_saved_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = played(tmp_path, "moon")

    def full(self: Session, folder: Any) -> Any:
        from common.errors import SaveFailed

        raise SaveFailed("No space left on device")

    monkeypatch.setattr(Session, "save", full)
    after, _ = played(tmp_path, "star", "/undo")
    assert requests(after) == ("moon",)


@given(steps=st.lists(st.just("a"), max_size=4), line=st.text(max_size=8))
def test_no_line_breaks_a_plan(steps: list[str], line: str) -> None:
    own = list(steps)
    try:
        change(own, line.strip())
    except BadInput:
        assert own == steps
    else:
        assert all(step.strip() for step in own) and abs(len(own) - len(steps)) <= 1


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_in_a_request_is_markup(tmp_path: Path, is_terminal: bool) -> None:
    from agents.steps import Called, Decided, Decomposed, Planned

    console, text = terminal(is_terminal)
    with Screen(console) as screen:
        screen.begin()
        screen(Decomposed("s", "?", None, "no [bold]tags[/]"))
        screen(Planned("s", ("make [red]it[/red] [/]",), "request"))
        screen(Decided("s", 1, "again", "?", ("[x]",), None, 0))
        screen(Called("s", 1, 2, "[i]", None, "[why]"))
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue())
    for said in ("no [bold]tags[/]", "1. make [red]it[/red] [/]", "again, on picture 0: [x]", "failed: [why]"):
        assert said in plain
    assert ("\x1b[" in text.getvalue()) == is_terminal


def test_a_caught_interrupt_does_not_end_python_by_a_signal(tmp_path: Path) -> None:
    """Also one that went through code run by exec(), as in libraries."""
    import subprocess
    import sys

    code = """
from pathlib import Path
from tests.experiments.editing.test_dialogue import played, team
class Slow:
    def edit(self, *_):
        exec("raise KeyboardInterrupt")
played(Path("s"), "star", interactive=True, own=team(editor=Slow()))
"""
    (tmp_path / "play.py").write_text(code)
    root = str(Path(__file__).parents[3])
    ended = subprocess.run([sys.executable, "play.py"], cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True)
    assert ended.returncode == 0, ended.stderr
