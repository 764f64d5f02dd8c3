"""The supervised examples of the closed loop say what is exactly right at their moment."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from agents.loop import LoopState, read_decision
from agents.loop_team import play_round
from agents.sequencer import RulesSequencer
from editors.sandbox import SandboxEditor
from experiments.training_data.closed_loop import LoopMoments, loop_examples
from judges.sandbox import SandboxJudge

MOMENTS = LoopMoments.of(64, 5, 0)


def test_moments_are_a_function_of_their_number() -> None:
    again = LoopMoments.of(64, 5, 0)
    assert [MOMENTS(k).decision for k in range(5)] == [again(k).decision for k in range(5)]
    one, other = loop_examples(again, "{history}{request}", 3)(2), loop_examples(again, "{history}{request}", 3)(2)
    assert one == other and len(one) == 3


def test_every_decision_is_there_and_is_read_back() -> None:
    kinds: Counter[str] = Counter()
    for k in range(150):
        moment = MOMENTS(k)
        example = moment.example("{history}{request}")
        decision = read_decision(example.answer)
        assert decision.kind == moment.decision.kind
        assert decision.edits is None or decision.edits.edits == moment.decision.edits.edits  # type: ignore[union-attr]
        assert example.request.text == "\n".join((*moment.steps, moment.sample.request))
        kinds[decision.kind] += 1
    assert kinds["edit"] > 40 and kinds["stop"] > 20 and kinds["again"] > 10


@pytest.mark.parametrize("start", [0, 12])
def test_following_the_answers_carries_out_the_whole_request(start: int) -> None:
    """From every moment on: the exact editor and the answers' own edits end where a stop is the right answer, and the judge then
    gives (nearly) full marks. `again` is carried out on the picture before the wrong call."""
    judge, seen = SandboxJudge(), 0
    by_sample: dict[str, list] = {}
    for k in range(start, start + 12):
        moment = MOMENTS(k)
        by_sample.setdefault(moment.sample.id, []).append(moment)
    for moments in by_sample.values():
        for moment in moments:
            if moment.decision.kind != "stop":
                continue
            index = int(moment.sample.id.rpartition("-")[2])
            given = MOMENTS.sandbox.sample(index)
            verdict = judge.judge(given.image, moment.sample.image, given)  # type: ignore[arg-type]
            assert verdict.valid and verdict.scores["request_fulfilled"] > 9.5
            seen += 1
    assert seen


def test_an_edit_of_a_moment_changes_its_picture() -> None:
    """What is to be done next is not done yet: the exact editor changes the picture by it. Most of the time: an added thing may
    be hidden, a caption may be there."""
    changed = total = 0
    for k in range(30):
        moment = MOMENTS(k)
        if moment.decision.kind != "edit":
            continue
        assert moment.sample.image is not None
        state = LoopState(moment.sample, (moment.sample.image,))
        answer = moment.example("{history}{request}").answer
        after = play_round([state], [answer], RulesSequencer(), SandboxEditor()).states[0]
        changed += bool((np.asarray(after.picture) != np.asarray(moment.sample.image)).any())
        total += 1
    assert total > 8 and changed >= 0.8 * total
