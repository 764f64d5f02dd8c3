"""The judge of sessions over all three scores: what is asked and looked for, votes, rules, failures and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.base import EditSession
from benchmarks.item import Item
from common.errors import BadInput
from judges.cache import ReplyCache
from judges.question import BudgetSpent, JudgeSampling, Question, Reply, Usage
from judges.sessions.base import PlayedSession
from judges.sessions.detector import Box, Look
from judges.sessions.kept import Kept, KeptDetector
from judges.sessions.mice import MiceJudge
from judges.sessions.votes import Votes, share_of
from tests.judges.sessions.mean_colours import MeanColours

RED, BLUE = (255, 0, 0), (0, 0, 255)
SAMPLING = JudgeSampling(temperature=0.6)
YES, NO = "<answer_final> yes </answer_final>", "<answer_final> no </answer_final>"
EVERYWHERE = Box(0, 0, 32, 64, 0.9)


class Answers:
    """A client that answers by a function of the question and the repeat."""

    model, concurrency = "scripted", 4

    def __init__(self, answer: Callable[[Question, int], str | Reply]) -> None:
        self.answer, self.asked = answer, list[tuple[Question, int]]()

    def ask(self, question: Question, sampling: JudgeSampling, repeat: int = 0) -> Reply:
        assert sampling == SAMPLING
        self.asked.append((question, repeat))
        answer = self.answer(question, repeat)
        return answer if isinstance(answer, Reply) else Reply(answer)

    @property
    def usage(self) -> Usage:
        return Usage(len(self.asked))


class Finds:
    """A detector that finds these names in the left half of every picture, and counts what it is asked."""

    def __init__(self, *names: str) -> None:
        self.names, self.looks = names, list[Look]()

    def detect(self, looks: Sequence[Look]) -> list[tuple[Box, ...]]:
        self.looks += looks
        return [tuple(EVERYWHERE for name in look.names if name in self.names) for look in looks]


def halves(left: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (64, 64), BLUE)
    picture.paste(left, (0, 0, 32, 64))
    return picture


def session(*turns: tuple[str, str], kind: str = "cu", played: int | None = None, **facts: object) -> PlayedSession:
    values = {"unchanged_objects": ("cup",), "all_objects": ("cup",), "bg_consistency": True} | facts
    items = tuple(
        Item(f"s-{k}", f"say {k}", (), kind, facts={"task_type": t, "formatted_instruction": f, **values}, turn=k)
        for k, (t, f) in enumerate(turns)
    )
    count = len(turns) if played is None else played
    return PlayedSession(EditSession("s", items), halves(RED), tuple(halves(RED) for _ in range(count)))


COLOR = ("color_alter", "Change the color of [cup] to [red]")
REMOVE = ("subject_remove", "Remove [cup]")


def judge(answers: Answers, detector: Finds | KeptDetector | None = None, **changed: object) -> MiceJudge:
    how = {"votes": 4} | changed
    votes = Votes(answers, SAMPLING, how.pop("votes"), bool(how.pop("retry", False)))  # type: ignore[arg-type]
    return MiceJudge(detector or Finds("cup"), MeanColours, "colours", votes, **how)  # type: ignore[arg-type]


def agreeing(question: Question, repeat: int) -> str:
    return "Yes" if question.name == "if" else YES


def test_every_score_of_every_turn() -> None:
    answers = Answers(agreeing)
    first, second = judge(answers).judge_sessions([session(COLOR, REMOVE), session(COLOR, played=0)])
    assert second == [] and [v.valid for v in first] == [True, True]
    assert first[0].scores == {"if": 1.0, "cc": pytest.approx(1), "ga": 1.0}
    assert first[1].scores["if"] == 0.0  # the cup is still there
    assert len(answers.asked) == 4 + 4 + 4  # of the removal no question is asked but that on the session
    assert not first[0].reason and first[1].raw["if"]["boxes_fail"]


def test_votes_are_averaged_and_each_is_a_draw_of_its_own() -> None:
    answers = Answers(lambda q, repeat: ("yes" if repeat == 2 else "no") if q.name == "if" else YES if repeat else NO)
    ((verdict,),) = judge(answers).judge_sessions([session(COLOR)])
    assert verdict.scores["if"] == 0.25 and verdict.scores["ga"] == 0.75
    assert verdict.raw["if"]["votes"] == [False, False, True, False]


def test_what_a_session_is_shown_grows_with_its_turns() -> None:
    answers = Answers(agreeing)
    judge(answers, votes=1).judge_sessions([session(COLOR, COLOR, COLOR)])
    shown = sorted(len(question.parts) - 1 for question, _ in answers.asked if question.name == "ga")
    assert shown == [2, 3, 4]
    assert all(len(question.parts) == 3 for question, _ in answers.asked if question.name == "if")


def test_rules_that_give_a_score_without_looking_are_said_in_the_reason() -> None:
    ((verdict,),) = judge(Answers(agreeing)).judge_sessions(
        [session(("text_change", "Add text '[]' on the image"), unchanged_objects=())]
    )
    assert verdict.valid and verdict.scores == {"if": 0.0, "cc": 0.5, "ga": 1.0}
    assert "cannot be read as text_change, so that IF is 0 by rule" in verdict.reason
    assert "unchanged_objects is empty" in verdict.reason


def test_a_final_answer_that_cannot_be_read_counts_0_and_is_counted() -> None:
    replies = [YES, "well", Reply(None, "cut off", cut=True), YES]
    ((verdict,),) = judge(Answers(lambda q, r: "yes" if q.name == "if" else replies[r])).judge_sessions(
        [session(COLOR)]
    )
    assert verdict.valid and verdict.scores["ga"] == 0.5 and verdict.raw["ga"]["unreadable"] == 2
    assert "2 of 4 replies without a final answer" in verdict.reason


@pytest.mark.parametrize("name", ["if", "ga"])
def test_calls_that_fail_make_the_verdict_invalid_and_are_no_score(name: str) -> None:
    broken = Reply(None, "the service is down")
    ((verdict,),) = judge(Answers(lambda q, r: broken if q.name == name else agreeing(q, r))).judge_sessions(
        [session(COLOR)]
    )
    assert not verdict.valid and not verdict.scores
    assert verdict.reason == f"{name}: 4 of 4 votes failed, the last: the service is down"
    half = Answers(lambda q, r: broken if q.name == name and r < 2 else agreeing(q, r))
    ((verdict,),) = judge(half).judge_sessions([session(COLOR)])
    assert verdict.valid and verdict.scores[name] == 1.0 and "2 of 4 votes failed" in verdict.reason


def test_with_retry_a_kept_refusal_is_asked_anew() -> None:
    refusal = Reply(None, "refused", refused=True, usage=Usage(cached=1))
    for retry, valid in ((False, False), (True, True)):
        answers = Answers(lambda q, r: refusal if r < 1000 else agreeing(q, r))
        ((verdict,),) = judge(answers, retry=retry).judge_sessions([session(COLOR)])
        assert verdict.valid == valid


def test_a_spent_budget_ends_it() -> None:
    def spent(question: Question, repeat: int) -> str:
        raise BudgetSpent

    with pytest.raises(BudgetSpent):
        judge(Answers(spent)).judge_sessions([session(COLOR)])


def test_both_layouts_of_the_tokens_and_no_third() -> None:
    for cc in ("correct", "as_published"):
        ((verdict,),) = judge(Answers(agreeing), cc=cc).judge_sessions([session(COLOR)])
        assert verdict.scores["cc"] == pytest.approx(1)
    with pytest.raises(BadInput, match="judge.cc=wrong"):
        judge(Answers(agreeing), cc="wrong")


def test_sessions_of_other_benchmarks_are_refused_with_what_they_lack() -> None:
    bare = EditSession("s", (Item("s-0", "say", ()),))
    with pytest.raises(BadInput, match="session 's', turn 1 has no 'task_type'"):
        judge(Answers(agreeing)).judge_sessions([PlayedSession(bare, halves(RED), (halves(RED),))])
    with pytest.raises(BadInput, match="'all_objects' should be a list"):
        judge(Answers(agreeing)).judge_sessions([session(COLOR, all_objects="cup")])


def test_what_was_found_is_kept_and_nothing_is_loaded_again(tmp_path: Path) -> None:
    def no_model() -> Finds:
        raise AssertionError("loaded")

    played = [session(REMOVE, COLOR)]
    finds = Finds("cup")
    kept_before = Kept(ReplyCache(tmp_path))
    first = judge(Answers(agreeing), KeptDetector(lambda: finds, "a", kept_before), kept=kept_before)
    verdicts = first.judge_sessions(played)
    assert len(finds.looks) < 8  # equal looks are made once
    again = Kept(ReplyCache(tmp_path))
    votes = Votes(Answers(agreeing), SAMPLING)
    kept = MiceJudge(KeptDetector(no_model, "a", again), no_model, "colours", votes, kept=again)  # type: ignore[arg-type]
    assert kept.judge_sessions(played) == verdicts
    other = MiceJudge(KeptDetector(no_model, "b", again), no_model, "colours", votes, kept=again)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="loaded"):  # another detector may find other boxes
        other.judge_sessions(played)


def test_no_votes_are_refused_and_shares_are_over_what_was_answered() -> None:
    with pytest.raises(BadInput, match="at least 1 vote"):
        Votes(Answers(agreeing), SAMPLING, 0)
    cut = Reply(None, "cut", cut=True)
    assert share_of([Reply("a"), cut], lambda text: True).value == 1.0
    assert share_of([Reply("a"), cut], lambda text: True, cut_fails=True).value == 0.5
