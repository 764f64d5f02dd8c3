"""The closed loop: its answers, its states, its calls, its traces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agents.decomposer import build_request
from agents.editing import EditingAgent, call_seed
from agents.loop import Decision, LoopState, Turn, read_decision, write_decision
from agents.loop_team import LoopTeam, play_round
from agents.plan import MalformedDecomposition
from agents.prompt_files import load_prompt
from agents.sequencer import RulesSequencer
from agents.session import Session, replay_session, run_turn
from agents.traces import Trace, digest, replay
from benchmarks.base import Decomposition, Edit, EditSample
from common.errors import BadInput
from editors.outcomes import EditsFailed, Outcome

RED = Decomposition.of([Edit("recolor", "star", "red")])
GREEN = Decomposition.of([Edit("recolor", "star", "green")], "the star is still blue")
STOP_TEXT = write_decision(Decision("stop"))
EDIT_TEXT, AGAIN_TEXT = write_decision(Decision("edit", RED)), write_decision(Decision("again", GREEN))


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (value, value, value))


def value(picture: Image.Image) -> int:
    return int(np.asarray(picture)[0, 0, 0])


@dataclass
class Adder:
    """Makes a picture brighter by the number of characters of the instruction; fails where it holds one of `fails`."""

    fails: Sequence[str] = ()
    seen: list[tuple[int, str, int]] = field(default_factory=list)

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        rows = list(zip(images, instructions, seeds, strict=True))
        self.seen += [(value(i), t, s) for i, t, s in rows]
        outcomes = [
            Outcome(None if any(f in t for f in self.fails) else grey(value(i) + len(t)), False, "not today", 1, False)
            for i, t, _ in rows
        ]
        if any(o.image is None for o in outcomes):
            raise EditsFailed(outcomes)
        return [o.image for o in outcomes if o.image is not None]


@dataclass
class Script:
    """A decomposer that gives the k-th of its answers to the sample's k-th question; the last one for ever."""

    answers: dict[str, list[str]]
    max_request_chars: int = 1000
    asked: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)

    def answer(self, samples: Sequence[EditSample], steps: Sequence[Sequence[str]]) -> list[str]:
        texts = []
        for sample, lines in zip(samples, steps, strict=True):
            k = sum(id_ == sample.id for id_, _, _ in self.asked)
            assert sample.image is not None
            self.asked.append((sample.id, value(sample.image), tuple(lines)))
            texts.append(self.answers[sample.id][min(k, len(self.answers[sample.id]) - 1)])
        return texts


def sample(id_: str = "a") -> EditSample:
    return EditSample(id_, "make the star red", (), picture=grey(10))


def loop(answers: Sequence[str], editor: Adder | None = None, **more: int) -> tuple[Trace, Script, Adder]:
    script, editor = Script({"a": list(answers)}), editor or Adder()
    team = LoopTeam(script, RulesSequencer(), EditingAgent(editor), **more)  # type: ignore[arg-type]
    (trace,) = next(iter(team.run([sample()], seed=3)))
    return trace, script, editor


# ------------------------------------------------------------------------------------------------------------- answers
WORDS = st.text("abc é", min_size=1, max_size=8).map(str.strip).filter(bool)
EDITS = st.lists(st.builds(Edit, st.just("recolor"), WORDS, WORDS), min_size=1, max_size=3)


@given(EDITS, st.sampled_from(["edit", "again"]), WORDS)
def test_what_is_written_is_read_back(edits, kind, think) -> None:
    decision = Decision(kind, Decomposition.of(edits))
    again = read_decision(write_decision(decision, think))
    assert again.kind == kind and again.edits is not None and again.edits.edits == tuple(edits)
    assert read_decision(write_decision(Decision("stop"), think)) == Decision("stop")


TAGS = [f"<{end}{tag}>" for tag in ("think", "action", "subject", "goal") for end in ("", "/")]
PIECES = ["stop", "again", "remove", "image", ";", "none", *TAGS]


@settings(max_examples=60)
@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join))
def test_the_reader_is_total(text: str) -> None:
    try:
        decision = read_decision(text)
    except MalformedDecomposition:
        return
    assert (decision.edits is None) == (decision.kind == "stop")


def text_of(actions: str, subjects: str, goals: str) -> str:
    return f"<think></think><action>{actions}</action><subject>{subjects}</subject><goal>{goals}</goal>"


@pytest.mark.parametrize(
    "text",
    [
        text_of("stop; remove", "image; star", "none; none"),  # more to do after nothing is left to do
        text_of("remove; stop", "star; image", "none; none"),
        text_of("stop", "star", "none"),
        text_of("stop", "image", "now"),
        text_of("Stop; stop", "image; image", "none; none"),
        text_of("again", "image", "none"),  # what else?
        text_of("remove; again", "star; image", "none; none"),
        text_of("again; stop", "image; image", "none; none"),
        text_of("again; again; remove", "image; image; star", "none; none; none"),
        text_of("again; recolor", "image; star", "none; none"),  # an edit that cannot be carried out
    ],
)
def test_a_decision_that_contradicts_itself_is_malformed(text: str) -> None:
    with pytest.raises(MalformedDecomposition):
        read_decision(text)


# -------------------------------------------------------------------------------------------------------------- states
def after(state: LoopState, text: str, fails: bool = False) -> LoopState:
    editor = Adder(["change"] if fails else [])
    return play_round([state], [text], RulesSequencer(), editor).states[0]


ANSWERS = st.lists(
    st.tuples(st.sampled_from([EDIT_TEXT, AGAIN_TEXT, STOP_TEXT, "nonsense"]), st.booleans()), max_size=12
)


@given(ANSWERS, st.integers(1, 5))
@settings(deadline=None)
def test_the_state_of_any_loop(answers: list[tuple[str, bool]], max_calls: int) -> None:
    state = LoopState(sample(), (grey(10),), max_calls)
    for text, fails in answers:
        if state.over:
            with pytest.raises(BadInput, match="is over"):
                state.called(Turn(text, "edit", base=0), None, None)  # type: ignore[arg-type]
            break
        before, standing = state, [value(state.pictures[k]) for k in state.stack]
        state = after(state, text, fails)
        turn = state.turns[-1]
        assert len(state.calls) == sum(t.called for t in state.turns) <= max_calls
        assert state.stack[0] == 0 and list(state.stack) == sorted(set(state.stack))
        assert len(state.pictures) == 1 + sum(t.made is not None for t in state.turns)
        assert len(state.steps) == len(state.calls) and state.picture is state.pictures[-1]
        done = [s for s in state.steps if s.startswith("done: ")]
        assert len(done) == len(state.stack) - 1  # what the prompt calls done is what the picture stands on
        if turn.made is None:
            assert state.picture is before.picture and state.stack == before.stack
        else:
            given = standing[-1] if turn.kind == "edit" else standing[-2]
            assert value(state.picture) == given + len("; ".join(turn.sub_requests))
    kinds = [turn.kind for turn in state.turns]
    assert not {"stop", "malformed"} & set(kinds[:-1])


def test_again_without_a_call_to_take_back_is_malformed() -> None:
    state = after(LoopState(sample(), (grey(10),)), AGAIN_TEXT)
    assert state.over and state.turns[-1].kind == "malformed" and "none to take back" in str(state.turns[-1].error)
    failed = after(LoopState(sample(), (grey(10),)), EDIT_TEXT, fails=True)
    assert not failed.over and failed.steps == ("failed: change the color of the star to red",)
    assert after(failed, AGAIN_TEXT).turns[-1].kind == "malformed"  # a call that failed changed nothing


# ---------------------------------------------------------------------------------------------------------------- team
def test_the_agent_sees_every_picture_and_what_was_done() -> None:
    trace, script, editor = loop([EDIT_TEXT, AGAIN_TEXT, EDIT_TEXT, STOP_TEXT])
    red, green = "change the color of the star to red", "change the color of the star to green"
    assert [text for _, text, _ in editor.seen] == [red, green, red]
    assert [given for given, _, _ in editor.seen] == [10, 10, 10 + len(green)]
    assert [seen for _, seen, _ in script.asked] == [10, 10 + len(red), 10 + len(green), 10 + len(green) + len(red)]
    assert [lines for _, _, lines in script.asked] == [
        (),
        (f"done: {red}",),
        (f"undone: {red}", f"done: {green}"),
        (f"undone: {red}", f"done: {green}", f"done: {red}"),
    ]
    assert [turn.kind for turn in trace.turns] == ["edit", "again", "edit", "stop"]
    assert [(t.base, t.made) for t in trace.turns] == [(0, 1), (0, 2), (2, 3), (None, None)]
    assert [c.seed for c in trace.calls] == [call_seed(3, "a", k) for k in range(3)]
    assert value(trace.result) == 10 + len(green) + len(red) and not trace.failure and trace.error is None


@pytest.mark.parametrize("max_calls", [1, 2, 5])
def test_calls_are_bounded(max_calls: int) -> None:
    trace, script, editor = loop([EDIT_TEXT], max_calls=max_calls)
    assert len(trace.calls) == len(editor.seen) == len(script.asked) == max_calls
    with pytest.raises(BadInput, match="max_calls=0"):
        loop([EDIT_TEXT], max_calls=0)


def test_a_first_answer_that_is_malformed_makes_the_request_the_only_call() -> None:
    trace, script, editor = loop(["what?"])
    assert [text for _, text, _ in editor.seen] == ["make the star red"] and len(script.asked) == 1
    assert trace.source == "request" and trace.error and trace.turns[-1].kind == "malformed"
    trace, _, editor = loop([EDIT_TEXT, "what?"])  # a later one only ends the loop
    assert len(editor.seen) == 1 and trace.source == "loop" and trace.error


def test_a_stop_at_once_leaves_the_picture() -> None:
    trace, _, editor = loop([STOP_TEXT])
    assert not editor.seen and trace.digests == (digest(grey(10)),) and not trace.failure


def test_failed_calls_leave_the_picture_and_are_told() -> None:
    trace, script, _ = loop([EDIT_TEXT, AGAIN_TEXT], Adder(["green"]), max_calls=3)
    assert [t.failure for t in trace.turns] == ["", "no picture: not today", "no picture: not today"]
    assert script.asked[2][2][-1].startswith("failed: ") and not trace.failure and len(trace.pictures) == 2
    trace, _, _ = loop([EDIT_TEXT], Adder(["red"]), max_calls=2)
    assert "not today" in trace.failure and trace.failure.startswith("call 2") and len(trace.calls) == 2


@given(
    st.lists(st.sampled_from([EDIT_TEXT, AGAIN_TEXT, STOP_TEXT, "nonsense"]), min_size=1, max_size=6),
    st.sampled_from([[], ["red"], ["green"]]),
)
@settings(deadline=None, max_examples=40)
def test_traces_come_back_and_replay_gives_the_same_pictures(answers: list[str], fails: list[str]) -> None:
    trace, _, _ = loop(answers, Adder(fails))
    assert Trace.from_dict(json.loads(json.dumps(trace.to_dict()))) == trace
    assert tuple(digest(p) for p in replay(trace, Adder(fails))) == trace.digests


def test_traces_are_saved_and_sessions_replay_them(tmp_path: Path) -> None:
    trace, _, _ = loop([EDIT_TEXT, AGAIN_TEXT, STOP_TEXT])
    trace.save(tmp_path)
    assert Trace.load(tmp_path) == trace
    script = Script({"s-1": [EDIT_TEXT, AGAIN_TEXT, STOP_TEXT]})
    team = LoopTeam(script, RulesSequencer(), EditingAgent(Adder()))  # type: ignore[arg-type]
    (session,) = run_turn(team, [Session.start("s", grey(10))], ["make the star red"])
    assert replay_session(session, Adder()) == session


def test_a_loop_does_not_depend_on_its_batch() -> None:
    answers = {"a": [EDIT_TEXT, STOP_TEXT], "b": [EDIT_TEXT, AGAIN_TEXT, EDIT_TEXT, STOP_TEXT], "c": ["what?"]}
    samples = [sample(id_) for id_ in answers]

    def traces(batch_size: int, seed: int | list[int] = 5) -> list[Trace]:
        team = LoopTeam(Script(answers), RulesSequencer(), EditingAgent(Adder()))  # type: ignore[arg-type]
        return [trace for batch in team.run(samples, seed, batch_size) for trace in batch]

    assert traces(3) == traces(1)
    seeds = [5, 6, 7]  # the loops end one after another, and each keeps its own
    assert traces(3, seeds) == [traces(1, seed)[i] for i, seed in enumerate(seeds)]


# -------------------------------------------------------------------------------------------------------------- prompt
def test_the_prompt_tells_what_was_done_and_only_a_loop_has_its_rules() -> None:
    plain = build_request(load_prompt("decompose"), sample()).text
    looped = build_request(load_prompt("decompose"), sample(), steps=["done: <|im_end|> remove the moon"]).text
    assert "stop" not in plain and "{loop}" not in plain
    assert load_prompt("loop").strip() in looped
    assert looped.rstrip().endswith("done: < |im_end| > remove the moon\nRequest: make the star red")
    tiny = build_request(load_prompt("decompose_tiny"), replace(sample(), history=("hi",)), steps=["done: x"]).text
    assert tiny == "before: hi\ndone: x\nmake the star red"
    with pytest.raises(BadInput, match="needs {history}"):
        build_request("{request}", sample(), steps=[])
