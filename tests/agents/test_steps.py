"""Watching a run and steering it: events in order, traces that do not change by it, plans that a person gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.editing import EditingAgent, call_seed
from agents.loop_team import LoopTeam
from agents.sequencer import RulesSequencer
from agents.session import Session, replay_session, run_turn
from agents.steps import Called, Decided, Decomposed, Planned, Step
from agents.team import Team
from agents.traces import Trace, replay
from common.errors import BadInput
from tests.agents.test_loop import AGAIN_TEXT, EDIT_TEXT, STOP_TEXT, Adder, Script, grey
from tests.agents.test_loop import sample as loop_sample
from tests.agents.test_session import AddingEditor
from tests.agents.test_team import HashEditor, flat, samples, team

WORDS = st.lists(st.sampled_from(["moon", "star", "?", "tree"]), min_size=1, max_size=4)


def told(traces: Sequence[Trace], steps: Sequence[Step]) -> None:
    """The events are what the traces say, in order for each sample."""
    for trace in traces:
        own = [s for s in steps if s.sample_id == trace.sample_id]
        decomposed, planned, *called = own
        assert decomposed == Decomposed(trace.sample_id, trace.text or "", trace.decomposition, trace.error)
        assert isinstance(planned, Planned) and planned.sub_requests == trace.sub_requests
        assert planned.source == trace.source and set(planned.notes) <= set(trace.notes)
        n = len(trace.calls)
        assert called == [Called(trace.sample_id, k, n, c.instruction, None) for k, c in enumerate(trace.calls, 1)]
        assert [s.picture for s in called if isinstance(s, Called)] == list(trace.pictures[1:])


@settings(max_examples=20, deadline=None)
@given(requests=st.lists(WORDS, min_size=1, max_size=4), execution=st.sampled_from(["single", "multi"]))
def test_a_watched_run_is_the_same_run_told_in_order(requests: list[list[str]], execution: str) -> None:
    work, steps = samples(*map(" ".join, requests)), list[Step]()
    watched = flat(team(execution).run(work, 3, 2, watch=steps.append))
    assert watched == flat(team(execution).run(work, 3, 2))
    told(watched, steps)


def test_steps_are_told_as_they_happen() -> None:
    editor, seen = HashEditor(), []
    list(team("multi", editor).run(samples("moon star"), watch=lambda s: seen.append((type(s), len(editor.batches)))))
    assert seen == [(Decomposed, 0), (Planned, 0), (Called, 1), (Called, 2)]


def test_an_editor_that_keeps_its_working_size_tells_of_each_call_too() -> None:
    class Chain(HashEditor):
        def edit_chain(self, images: Any, instructions: Any, seeds: Any, on_call: Any = None) -> Any:
            chains = []
            for b, (image, texts, own) in enumerate(zip(images, instructions, seeds, strict=True)):
                chain = [image]
                for k, (text, seed) in enumerate(zip(texts, own, strict=True)):
                    chain.append(self.one(chain[-1], text, seed))
                    if on_call is not None:
                        on_call(b, k, chain[-1])
                chains.append(chain[1:])
            return chains

    steps: list[Step] = []
    told(flat(team("multi", Chain()).run(samples("moon star", "tree"), watch=steps.append)), steps)


def test_a_failed_call_is_told_with_its_reason() -> None:
    steps: list[Step] = []
    plain = Team(None, RulesSequencer(), EditingAgent(AddingEditor()))
    (trace,) = flat(plain.run(samples("tree"), watch=steps.append))
    planned, called = steps  # nobody decomposed
    assert isinstance(planned, Planned) and isinstance(called, Called)
    assert called.picture is None and f"call 1: {called.failure}" == trace.failure


def test_a_watcher_that_raises_ends_the_run() -> None:
    editor = HashEditor()

    def give_up(step: Step) -> None:
        if isinstance(step, Planned):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(team("multi", editor).run(samples("moon"), watch=give_up))
    assert editor.batches == []


def test_a_loop_tells_its_decisions_before_their_calls() -> None:
    def play(watch: Any = None) -> Trace:
        answers = Script({"a": [EDIT_TEXT, AGAIN_TEXT, STOP_TEXT]})
        looped = LoopTeam(answers, RulesSequencer(), EditingAgent(Adder()))  # type: ignore[arg-type]
        return flat(looped.run([loop_sample()], seed=3, watch=watch))[0]

    steps: list[Step] = []
    trace = play(steps.append)
    assert trace == play()
    assert [type(s) for s in steps] == [Decided, Called, Decided, Called, Decided]
    decided = [s for s in steps if isinstance(s, Decided)]
    assert [(d.number, d.kind, d.sub_requests, d.base) for d in decided] == [
        (k, t.kind, t.sub_requests, t.base) for k, t in enumerate(trace.turns, 1)
    ]
    assert [s.picture for s in steps if isinstance(s, Called)] == list(trace.pictures[1:])


def test_a_loop_tells_of_malformed_answers() -> None:
    steps: list[Step] = []
    looped = LoopTeam(Script({"a": ["hm"]}), RulesSequencer(), EditingAgent(Adder()))  # type: ignore[arg-type]
    list(looped.run([loop_sample()], watch=steps.append))
    first, called = steps
    assert isinstance(first, Decided) and first.kind == "malformed" and first.error and isinstance(called, Called)


@settings(max_examples=20, deadline=None)
@given(requests=st.lists(WORDS, min_size=1, max_size=3), execution=st.sampled_from(["single", "multi"]))
def test_carrying_out_the_plan_of_a_run_gives_its_pictures(requests: list[list[str]], execution: str) -> None:
    work = samples(*map(" ".join, requests))
    run = flat(team(execution).run(work, seed=4))
    planned = team(execution).plan(work)
    assert [p.sub_requests for _, p in planned] == [t.sub_requests for t in run]
    steps: list[Step] = []
    again = flat(
        team(execution).carry_out(work, [t.sub_requests for t in run], seed=4, batch_size=1, watch=steps.append)
    )
    for first, second in zip(run, again, strict=True):
        assert (second.digests, second.calls, second.source) == (first.digests, first.calls, "given")
        assert (second.text, second.decomposition, second.error) == (None, None, None)
    assert not any(isinstance(s, Decomposed) for s in steps)


def test_a_given_plan_is_kept_replayed_and_never_cut(tmp_path: Any) -> None:
    plan = ("make it  darker", "add a\ttree, " + "very " * 300 + "tall")
    (trace,) = flat(team().carry_out(samples("moon"), [plan], seed=2))
    assert trace.sub_requests == tuple(" ".join(text.split()) for text in plan) and trace.request == "moon"
    assert [c.seed for c in trace.calls] == [call_seed(2, "a/0", k) for k in range(2)]
    assert Trace.load(trace.save(tmp_path).parent) == trace
    assert replay(trace, HashEditor())[-1] == trace.result


def test_a_loop_carries_a_given_plan_out_step_by_step_and_has_none_of_its_own() -> None:
    looped = LoopTeam(Script({"a": [STOP_TEXT]}), RulesSequencer(), EditingAgent(Adder()))  # type: ignore[arg-type]
    (trace,) = flat(looped.carry_out([loop_sample()], [["ab", "abc"]]))
    assert trace.pictures[1:] == (grey(12), grey(15)) and not trace.turns and trace.execution == "multi"
    with pytest.raises(BadInput, match="no plan ahead"):
        looped.plan([loop_sample()])


@pytest.mark.parametrize("plans", [[], [[]], [["moon", " \u200b "]], [["a"], ["b"]]])
def test_bad_plans_are_refused_before_anything_runs(plans: list[list[str]]) -> None:
    editor = HashEditor()
    with pytest.raises(BadInput):
        team(editor=editor).carry_out(samples("moon"), plans)
    assert editor.batches == []


def test_turns_of_sessions_are_watched_and_take_plans() -> None:
    steps: list[Step] = []
    plain = Team(None, RulesSequencer(), EditingAgent(AddingEditor(), "multi"))
    start = Session.start("s", samples("x")[0].image.resize((3, 2)))  # type: ignore[union-attr]
    (one,) = run_turn(plain, [start], ["moon"], watch=steps.append)
    assert [type(s) for s in steps] == [Planned, Called] and one == run_turn(plain, [start], ["moon"])[0]
    (two,) = run_turn(plain, [one], ["sun"], plans=[["remove the sun", "add a star"]])
    assert (
        two.turns[1].trace.source == "given" and two.history == ("moon", "sun") and len(two.turns[1].trace.calls) == 2
    )
    assert replay_session(two, AddingEditor()) == two
