"""Editing sessions: a value with undo, redo and branches that saves and loads whole, and gives the team what benchmarks give."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from PIL import Image

from agents.backends.base import Completion, Sampling
from agents.decomposer import Decomposer, build_request
from agents.editing import EditingAgent
from agents.plan import write_decomposition
from agents.sequencer import RulesSequencer
from agents.session import FILE, PICTURES, Session, SessionTurn, replay_session, run_turn
from agents.team import Team
from benchmarks.base import Decomposition, Edit
from common.errors import BadData, BadInput, MissingFile
from editors.outcomes import EditsFailed, Outcome

SIZE = (3, 2)


class AddingEditor:
    """Adds numbers that depend on instruction and seed to the pixels, so that any mix-up shows; "tree" is refused."""

    def edit(self, images, instructions, seeds):
        rows = zip(images, instructions, seeds, strict=True)
        outcomes = [
            Outcome(None if "tree" in row[1] else self.one(*row), "tree" in row[1], "tree", 1, False) for row in rows
        ]
        if any(o.image is None for o in outcomes):
            raise EditsFailed(outcomes)
        return [o.image for o in outcomes]

    @staticmethod
    def one(image, instruction, seed):
        noise = np.random.default_rng([seed, *instruction.encode()]).integers(0, 256, (*SIZE[::-1], 3))
        return Image.fromarray(((np.asarray(image) + noise) % 256).astype(np.uint8))


class RemoveEveryWord:
    """A decomposer model that removes every word of its prompt's last line."""

    def generate(self, requests, n, sampling):
        edits = [[Edit("remove", word) for word in r.text.splitlines()[-1].split()] for r in requests]
        return [[Completion((1,), (0.0,), write_decomposition(Decomposition.of(e)), "stop")] for e in edits]


PROMPT = "{history}{request}"
TEAM = Team(Decomposer(RemoveEveryWord(), PROMPT, Sampling(8)), RulesSequencer(), EditingAgent(AddingEditor(), "multi"))


def picture(colour: int = 7) -> Image.Image:
    return Image.new("RGB", SIZE, (colour, 0, 0))


def pixels(image: Image.Image) -> bytes:
    return image.tobytes()


def after(*requests: str, id: str = "s", seed: int = 0) -> Session:
    session = Session.start(id, picture())
    for request in requests:
        (session,) = run_turn(TEAM, [session], [request], seed=seed)
    return session


class SessionMachine(RuleBasedStateMachine):
    """A session against the plainest model of it: lists of requests and pixels. Saving and loading may happen at any time."""

    @initialize(colour=st.integers(0, 255))
    def start(self, colour: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.session = Session.start("s", picture(colour))
        self.source = pixels(picture(colour))
        self.model: list[tuple[str, bytes]] = []
        self.undone: list[tuple[str, bytes]] = []
        self.earlier: list[tuple[Session, list[str]]] = []  # sessions that nothing may change any more

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(
        request=st.sampled_from(["moon", "red star", "moon star", "tree"]), intent=st.sampled_from([None, None, "sun"])
    )
    def turn(self, request: str, intent: str | None) -> None:
        self.earlier.append((self.session, [r for r, _ in self.model]))
        (self.session,) = run_turn(TEAM, [self.session], [request], intents=[intent])
        before = self.model[-1][1] if self.model else self.source
        turn = self.session.turns[-1]
        assert turn.trace.request == (intent or request) and pixels(turn.trace.pictures[0]) == before
        self.model.append((request, pixels(turn.trace.pictures[-1])))
        self.undone.clear()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(1, len(self.model)))
        self.session = self.session.undo(n)
        for _ in range(n):
            self.undone.append(self.model.pop())

    @precondition(lambda self: self.undone)
    @rule(data=st.data())
    def redo(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(1, len(self.undone)))
        self.session = self.session.redo(n)
        for _ in range(n):
            self.model.append(self.undone.pop())

    @rule(data=st.data())
    def branch(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(0, len(self.model)))
        self.earlier.append((self.session, [r for r, _ in self.model]))
        parent = self.session
        self.session = parent.branch(n)
        assert all(a is b for a, b in zip(self.session.turns, parent.turns, strict=False))
        del self.model[n:]
        self.undone.clear()

    @rule()
    def save_and_load(self) -> None:
        self.session.save(self.folder)
        loaded = Session.load(self.folder)
        assert loaded == self.session and pixels(loaded.source) == self.source
        for ours, theirs in zip(self.session.turns, loaded.turns, strict=True):
            assert [pixels(p) for p in ours.trace.pictures] == [pixels(p) for p in theirs.trace.pictures]
        shown = {d for t in (*loaded.turns, *loaded.undone) for d in t.trace.digests} | {loaded.source_digest}
        assert {p.stem for p in (self.folder / PICTURES).iterdir()} == shown
        self.session = loaded

    @rule()
    def replay(self) -> None:
        assert replay_session(self.session, AddingEditor()).turns == self.session.turns

    @invariant()
    def the_session_is_what_the_model_says(self) -> None:
        assert self.session.history == tuple(r for r, _ in self.model)
        assert [pixels(t.picture) for t in self.session.turns] == [p for _, p in self.model]
        assert pixels(self.session.picture) == (self.model[-1][1] if self.model else self.source)
        assert [t.request for t in self.session.undone] == [r for r, _ in self.undone]
        sample = self.session.sample("next")
        assert sample.history == self.session.history and sample.image is self.session.picture
        assert sample.id == f"s-{len(self.model) + 1}"

    @invariant()
    def earlier_sessions_are_unchanged(self) -> None:
        assert all(list(session.history) == requests for session, requests in self.earlier)

    @invariant()
    def turns_share_their_pictures(self) -> None:
        held = [self.session.source, *(t.picture for t in self.session.turns)]
        assert all(t.trace.pictures[0] is given for t, given in zip(self.session.turns, held, strict=False))


SessionMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestSessions = SessionMachine.TestCase


def test_a_batch_of_rollouts_shares_its_prefix_and_differs_by_id() -> None:
    prefix = after("moon", "star")
    rollouts = run_turn(TEAM, [prefix.branch(id=f"s/{k}") for k in range(4)], ["sun"] * 4)
    for rollout in rollouts:
        assert all(a is b for a, b in zip(rollout.turns[:2], prefix.turns, strict=True))
        assert rollout.turns[2].trace.pictures[0] is prefix.picture  # no copy of a picture
    assert len({pixels(r.picture) for r in rollouts}) == 4
    alone = run_turn(TEAM, [prefix.branch(id="s/2")], ["sun"])[0]
    assert alone == rollouts[2]  # whatever else was in the batch
    assert prefix == after("moon", "star")


def test_the_history_is_what_the_sessions_of_mice_give(tmp_path: Path) -> None:
    from benchmarks import catalogue
    from benchmarks.sandbox.mice_export import write_sessions

    write_sessions(tmp_path, 2, 0)
    bench = catalogue.load("mice", path=str(tmp_path), split="all")
    for unit in (bench.unit(i) for i in range(len(bench))):
        session = Session.start(unit[0].session, unit[0].image)
        for item in unit:
            sample = session.sample(item.request)
            assert (sample.id, sample.request, sample.history) == (item.id, item.request, item.history)
            ours, theirs = build_request(PROMPT, sample), build_request(PROMPT, replace(item, picture=session.picture))
            assert ours.text == theirs.text
            (session,) = run_turn(Team(None, RulesSequencer(), EditingAgent(Unchanged())), [session], [item.request])


class Unchanged:
    def edit(self, images, instructions, seeds):
        return list(images)


def test_an_intent_stands_for_the_request_and_its_history() -> None:
    (session,) = run_turn(TEAM, [after("moon", "star")], ["do it again"], intents=["sun"])
    turn = session.turns[-1]
    assert turn.trace.calls[0].instruction == "remove the sun" and turn.trace.history == ()
    assert session.history == ("moon", "star", "do it again")  # rewards and later turns see what was said


def test_a_failed_turn_says_why_and_can_be_undone() -> None:
    session = after("moon", "star tree")
    turn = session.turns[-1]
    assert "refused" in turn.trace.failure and session.picture is turn.trace.pictures[1]
    assert session.undo().picture is session.turns[0].picture


@pytest.mark.parametrize("file", ["source", "result", "both turns"])
def test_a_changed_picture_is_refused(tmp_path: Path, file: str) -> None:
    session = after("moon", "star")
    session.save(tmp_path)
    name = {
        "source": session.source_digest,
        "both turns": session.turns[0].trace.digests[-1],
        "result": session.picture_digest,
    }
    picture(9).save(tmp_path / PICTURES / f"{name[file]}.png")
    with pytest.raises(BadData, match=f"pixels of .*{name[file]}.png are not those that were recorded"):
        Session.load(tmp_path)
    (tmp_path / PICTURES / f"{name[file]}.png").unlink()
    with pytest.raises(MissingFile, match=f"{name[file]}.png is gone"):
        Session.load(tmp_path)


def test_changed_words_are_refused(tmp_path: Path) -> None:
    path = after("moon", "star").save(tmp_path)
    raw = json.loads(path.read_text())
    raw["turns"][0]["request"] = "sun"
    path.write_text(json.dumps(raw))
    with pytest.raises(BadData, match="turn 1: the trace answers 'moon'"):
        Session.load(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["", "id", "source", "turns", "undone", "format", "turn", "request", "trace", "digests"]),
    value=JSON,
)
def test_no_file_makes_loading_crash(tmp_path: Path, key: str, value: object) -> None:
    path = after("moon").save(tmp_path)
    raw = json.loads(path.read_text())
    if key == "":
        raw = value
    elif key == "turn":
        raw["turns"] = [value]
    elif key in ("request", "trace"):
        raw["turns"][0][key] = value
    elif key == "digests":
        raw["turns"][0]["trace"][key] = value
    else:
        raw[key] = value
    path.write_text(json.dumps(raw))
    with suppress(BadData, MissingFile):
        Session.load(tmp_path)


def test_what_is_not_there_and_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no session at"):
        Session.load(tmp_path)
    (tmp_path / FILE).write_bytes(b"\xff{")
    with pytest.raises(BadData, match="is not a session"):
        Session.load(tmp_path)
    session = after("moon")
    for wrong in (lambda: session.undo(2), lambda: session.redo(), lambda: session.branch(2), lambda: session.undo(-1)):
        with pytest.raises(BadInput, match="'s' has [01] (undone )?turns"):
            wrong()
    with pytest.raises(BadInput, match="'s-2'.*empty"):
        run_turn(TEAM, [session], [" "])
    with pytest.raises(BadInput, match="another picture"):
        Session.start("s", picture(8)).append(session.turns[0])
    with pytest.raises(BadInput, match="turn 2: the trace answers 'moon' after 0 earlier requests"):
        session.append(session.turns[0])
    without = SessionTurn("moon", replace(session.turns[0].trace, pictures=()))
    with pytest.raises(BadInput, match="without its pictures"):
        Session.start("s", picture()).append(without)


def test_a_kill_while_saving_leaves_the_session_saved_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = after("moon")
    first.save(tmp_path)
    second = run_turn(TEAM, [first.undo()], ["star"])[0]
    real = os.replace
    left = iter(())

    def replace_or_die(draft: object, path: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(draft, path)

    monkeypatch.setattr(os, "replace", replace_or_die)
    for files in range(3):  # one new picture, then the JSON
        left = iter(range(files))
        if files < 2:
            with pytest.raises(KeyboardInterrupt):
                second.save(tmp_path)
            assert Session.load(tmp_path) == first
        else:
            second.save(tmp_path)
            assert Session.load(tmp_path) == second
