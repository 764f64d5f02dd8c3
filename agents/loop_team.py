"""The team in a closed loop: round by round an answer for every loop that is not over, and then its call of the editor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.decomposer import DecomposeResult, clean_request
from agents.editing import Call, EditingAgent, Seeds, call_seed, execute, seeds_of, unread
from agents.loop import MAX_CALLS, LoopState, Turn, read_decision
from agents.plan import MalformedDecomposition, parse_decomposition
from agents.sequencer import Sequenced, Sequencer, fallback
from agents.steps import Called, Decided, Watch
from agents.team import Team, picture_of
from agents.traces import Trace, digest
from benchmarks.base import Decomposition, EditSample
from common.errors import BadInput
from common.pictures import notes_of
from editors.base import Editor


@dataclass(frozen=True)
class Round:
    """The states after a round, and for each the notes on instructions that the editor did not read to their end."""

    states: list[LoopState]
    cuts: list[tuple[str, ...]]


def play_round(
    states: Sequence[LoopState],
    texts: Sequence[str],
    sequencer: Sequencer,
    editor: Editor,
    seed: Seeds = 0,
    ids: Sequence[str] | None = None,
    raw_request: bool = False,
    watch: Watch | None = None,
) -> Round:
    """Read one answer for each loop and make the calls in one batch. The seed of a call is a function of (the loop's seed, id,
    number of the call), with the samples' own ids unless `ids` are given.

    `raw_request`: a first answer that is malformed makes the request itself the only call, as teams without a loop do.
    `watch` hears of the answers and of the calls.
    """
    ids = [state.sample.id for state in states] if ids is None else ids
    seeds = seeds_of(seed, len(states))
    after: list[LoopState | None] = []
    planned: list[tuple[int, Turn, Decomposition]] = []
    calls: list[tuple[int, Turn]] = []
    for i, (state, text) in enumerate(zip(states, texts, strict=True)):
        after.append(None)
        try:
            decision = read_decision(text)
            base = state.base_of(decision)
        except MalformedDecomposition as error:
            if raw_request and not state.turns:
                request = fallback(state.sample.request, "").sub_requests
                calls.append((i, Turn(text, "malformed", str(error), request, base=0)))
            else:
                after[i] = state.ended(text, "malformed", str(error))
            continue
        if decision.edits is None:
            after[i] = state.ended(text, "stop")
        else:
            planned.append((i, Turn(text, decision.kind, base=base), decision.edits))
    if planned:
        given = [replace(states[i].now, picture=states[i].pictures[turn.base or 0]) for i, turn, _ in planned]
        plans = sequencer.sequence(given, [edits for _, _, edits in planned], "single")
        calls += [
            (i, replace(turn, sub_requests=p.sub_requests)) for (i, turn, _), p in zip(planned, plans, strict=True)
        ]
    if watch is not None:
        calling = dict(calls)
        for i, (id_, ended) in enumerate(zip(ids, after, strict=True)):
            turn = calling[i] if ended is None else ended.turns[-1]
            number = len(states[i].turns) + 1
            watch(Decided(id_, number, turn.kind, turn.text, turn.sub_requests, turn.error, turn.base))
    made = [Call("; ".join(turn.sub_requests), call_seed(seeds[i], ids[i], len(states[i].calls))) for i, turn in calls]
    results = execute(editor, [states[i].pictures[turn.base or 0] for i, turn in calls], [(call,) for call in made])
    cuts: list[tuple[str, ...]] = [()] * len(states)
    said = unread(editor, [(call,) for call in made])
    for (i, turn), call, result, cut in zip(calls, made, results, said, strict=True):
        picture = result.pictures[-1] if result.pictures else None
        after[i] = states[i].called(turn, call, picture, result.failure.removeprefix("call 1: "))
        number = len(states[i].calls) + 1
        if watch is not None:
            failure = "" if picture is not None else result.failure.removeprefix("call 1: ")
            watch(Called(ids[i], number, states[i].max_calls, call.instruction, picture, failure))
        cuts[i] = tuple(text.replace("call 1: ", f"call {number}: ", 1) for text in cut)
    return Round([state for state in after if state is not None], cuts)


@dataclass(frozen=True)
class LoopTeam(Team):
    """Needs a decomposer with `answer`. The editing agent's own execution is not used: every answer is one call."""

    max_calls: int = MAX_CALLS

    def __post_init__(self) -> None:
        if not hasattr(self.decomposer, "answer"):
            raise BadInput("execution=loop needs a decomposer that has answer(samples, steps); choose single or multi")

    def plan(
        self, samples: Sequence[EditSample], watch: Watch | None = None
    ) -> list[tuple[DecomposeResult | None, Sequenced]]:
        raise BadInput(
            "a closed loop decides after every call, so it has no plan ahead; choose execution=single or multi"
        )

    def _batch(
        self,
        samples: Sequence[EditSample],
        given: Sequence[Sequenced] | None,
        seeds: Sequence[int],
        watch: Watch | None,
    ) -> list[Trace]:
        if given is not None:  # nothing is left to decide
            steps = Team(None, self.sequencer, EditingAgent(self.editing.editor, "multi"), self.limit)
            return steps._batch(samples, given, seeds, watch)
        began = time.perf_counter()
        decomposer, deciding = self.decomposer, 0.0
        assert decomposer is not None
        read = [replace(_plain(s), request=clean_request(s.request, self.limit)[0]) for s in samples]
        states = [LoopState(s, (picture_of(s),), self.max_calls) for s in read]
        cuts: list[tuple[str, ...]] = [()] * len(states)
        while live := [i for i, state in enumerate(states) if not state.over]:
            start = time.perf_counter()
            texts = decomposer.answer([states[i].now for i in live], [states[i].steps for i in live])
            deciding += time.perf_counter() - start
            played = play_round(
                [states[i] for i in live],
                texts,
                self.sequencer,
                self.editing.editor,
                [seeds[i] for i in live],
                raw_request=True,
                watch=watch,
            )
            for i, state, cut in zip(live, played.states, played.cuts, strict=True):
                states[i], cuts[i] = state, (*cuts[i], *cut)
        whole = time.perf_counter() - began
        timings = {"decompose": deciding / len(samples), "edit": (whole - deciding) / len(samples)}
        return [
            loop_trace(state, sample, seed, clean_request(sample.request, self.limit)[1], cut, timings)
            for state, sample, cut, seed in zip(states, samples, cuts, seeds, strict=True)
        ]


def loop_trace(
    state: LoopState,
    sample: EditSample,
    seed: int,
    request_cuts: Sequence[str] = (),
    cuts: Sequence[str] = (),
    timings: dict[str, float] | None = None,
) -> Trace:
    """The trace of a loop. Its result is the last picture that was made: `again` makes a new one in place of the one it takes
    back. `failure` is set where no call gave a picture, though one was made."""
    first, last = (state.turns[0], state.turns[-1]) if state.turns else (Turn("", "stop"),) * 2
    called = [turn for turn in state.turns if turn.called]
    failed = [f"call {k}: {turn.failure}" for k, turn in enumerate(called, 1) if turn.made is None]
    return Trace(
        sample_id=sample.id,
        request=sample.request,
        history=sample.history,
        text=first.text,
        decomposition=None if first.kind == "malformed" else parse_decomposition(first.text),
        error=last.error,
        source="request" if any(turn.kind == "malformed" for turn in called) else "loop",
        notes=tuple(dict.fromkeys((*notes_of(state.pictures[0]), *request_cuts, *cuts, *failed))),
        sub_requests=tuple("; ".join(turn.sub_requests) for turn in called),
        execution="loop",
        seed=seed,
        calls=state.calls,
        digests=tuple(digest(p) for p in state.pictures),
        pictures=state.pictures,
        timings=timings or {},
        failure=failed[-1] if failed and len(state.pictures) == 1 else "",
        cut=len(request_cuts) + len(cuts),
        turns=state.turns,
    )


def _plain(sample: EditSample) -> EditSample:
    """Without what a benchmark's own samples know besides: the agent sees the picture of each moment."""
    return EditSample(sample.id, sample.request, sample.gold, sample.kind, sample.history, sample.image)


__all__ = ["LoopTeam", "Round", "loop_trace", "play_round"]
