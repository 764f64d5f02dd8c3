"""The score by expectation: worked by hand, through a real model, and where it cannot be had."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.backends.base import ModelRequest
from agents.backends.hf import HFBackend
from agents.backends.vlm import collate, load_vlm
from common.errors import BadInput
from judges.cache import ReplyCache
from judges.chat import ChatClient, ChatSettings
from judges.choices import expected_number, read_choices, write_choices
from judges.llm import LLMJudge
from judges.local import LocalClient
from judges.question import Question, Unreadable
from judges.rubrics import make_rubric
from judges.rubrics.base import scored_by
from judges.rubrics.uniworld import UniWorldRubric
from tests.judges.test_local import TINY, Watched, picture
from tests.rubric_items import AFTER, BEFORE, REQUEST, item

WORDS = tuple("012345")


@pytest.fixture(scope="module")
def backend() -> HFBackend:
    return HFBackend(load_vlm(TINY))


def asked(rubric: Any = None, **facts: Any) -> Question:
    (question,) = (rubric or make_rubric("uniworld")).questions(item(**facts), BEFORE, AFTER)
    return question


def test_the_score_is_twice_the_expected_number() -> None:
    """The six have 1/8, 0, 0, 1/8, 1/4, 1/2 of what they have together: (0 + 3/8 + 4/4 + 5/2) = 3.875. They hold half of all."""
    shares = (1 / 8, 1e-30, 1e-30, 1 / 8, 1 / 4, 1 / 2)
    reply = write_choices(WORDS, [math.log(p / 2) for p in shares])
    answer = asked().read(reply)
    assert answer["probabilities"] == pytest.approx(dict(zip(WORDS, shares, strict=True)))
    assert answer["mass"] == pytest.approx(0.5)
    assert expected_number(answer["probabilities"]) == pytest.approx(3.875)
    assert make_rubric("uniworld").score({"score": answer}, item()) == {"overall": pytest.approx(7.75)}


def test_only_the_differences_of_the_logits_count_and_the_scale_is_reached() -> None:
    for shift in (0.0, -700.0, -1e4):  # probabilities that no float holds
        assert read_choices(WORDS, write_choices(WORDS, [shift] * 6))["probabilities"]["3"] == pytest.approx(1 / 6)
    for k, word in enumerate(WORDS):
        sure = asked().read(write_choices(WORDS, [0.0 if w == word else -800.0 for w in WORDS]))
        assert make_rubric("uniworld").score({"score": sure}, item()) == {"overall": 2.0 * k}


@pytest.mark.parametrize(
    "reply", ['{"probabilities": {"0": 1.0}, "mass": 1}', write_choices(WORDS[::-1], [0.0] * 6), "4", "{}"]
)
def test_what_is_no_distribution_over_the_six_is_unreadable(reply: str) -> None:
    with pytest.raises((Unreadable, LookupError, TypeError)):
        asked().read(reply)


@pytest.mark.parametrize(("reply", "overall"), [("4", 8.0), (" **5**.\n", 10.0), ("0", 0.0), ("3.0", 6.0)])
def test_a_generated_score_is_the_number_that_is_said(reply: str, overall: float) -> None:
    rubric = UniWorldRubric("generated")
    question = asked(rubric)
    assert question.choices == () and rubric.score({"score": question.read(reply)}, item()) == {"overall": overall}


@pytest.mark.parametrize("reply", ["6", "4 or 5", "Score: 4", "-1", "4.5", "", "45"])
def test_a_reply_that_is_more_or_other_than_a_number_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable, match="not a number"):
        asked(UniWorldRubric("generated")).read(reply)


def test_source_edit_and_text_come_in_this_order_with_what_the_sample_requires() -> None:
    question = asked(requirement="keep the {face}")
    before, after, text = question.parts
    assert before is BEFORE and after is AFTER and question.choices == WORDS
    assert isinstance(text, str) and REQUEST in text and "keep the {face}" in text
    assert "nothing else" in str(asked().parts[2])
    with pytest.raises(BadInput, match="empty request"):
        make_rubric("uniworld").questions(item(request=" "), BEFORE, AFTER)


def test_scorings_are_the_rubrics_and_leave_it_as_it_was() -> None:
    own = make_rubric("uniworld")
    other = scored_by(own, "generated")
    assert asked(other).choices == () and asked(own).choices == WORDS and other.version == own.version
    assert scored_by(own, "logits") is own
    with pytest.raises(BadInput, match="judge.scoring=logits: the scores of the rubric paper are generated; uniworld"):
        scored_by(make_rubric("paper"), "logits")


def test_a_local_judge_gives_what_the_models_logits_give(backend: HFBackend, tmp_path: Path) -> None:
    client = LocalClient(lambda: backend, "tiny", "weights", ReplyCache(tmp_path), batch_size=1)
    verdict = LLMJudge(client, make_rubric("uniworld")).judge(picture(1), picture(2), item())
    text = asked().parts[2]
    prompt = backend.vlm.encode([ModelRequest(parts=(picture(1), picture(2), str(text)))])
    plain = load_vlm(TINY)
    with torch.no_grad():
        logits_V = plain.model(**collate(plain, prompt)).logits[0, -1].double()
    six = logits_V[[plain.tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in WORDS]].softmax(-1)
    assert verdict.valid and verdict.scores == {
        "overall": pytest.approx(2 * float(six @ torch.arange(6.0).double()), abs=1e-4)
    }
    (reply,) = verdict.raw["replies"]
    assert list(json.loads(reply["text"])["probabilities"].values()) == pytest.approx(six.tolist(), abs=1e-5)

    def never() -> HFBackend:
        raise AssertionError("everything is in the cache: nothing is loaded")

    again = LocalClient(never, "tiny", "weights", ReplyCache(tmp_path))
    assert LLMJudge(again, make_rubric("uniworld")).judge(picture(1), picture(2), item()) == verdict
    generated = LLMJudge(client, UniWorldRubric("generated")).judge(picture(1), picture(2), item())
    assert client.usage.calls >= 2 and not generated.valid  # another question: the tiny model says no number
    client.close()


def test_words_that_are_no_token_are_said_for_all_questions_at_once(backend: HFBackend) -> None:
    client = LocalClient(lambda: backend, "tiny", "weights", batch_size=2)
    wrong = Question("score", ("rate it",), asked().read, choices=("0", "10"))
    with pytest.raises(BadInput, match="'10' is 2 tokens"):
        client.ask(wrong, make_rubric("uniworld").sampling)
    client.close()


def test_who_cannot_tell_probabilities_says_so_by_name(backend: HFBackend) -> None:
    sampling = make_rubric("uniworld").sampling
    without = LocalClient(lambda: Watched(backend), "tiny", "weights")
    with pytest.raises(BadInput, match="Watched cannot tell.*judge.scoring=generated"):
        without.ask(asked(), sampling)
    service = ChatClient(ChatSettings(base_url="http://localhost:1/v1", key_env="", model="gpt"))
    with pytest.raises(BadInput, match=r"'score' is answered by the probabilities of 0, .*gpt behind a service"):
        service.ask(asked(), sampling)
    with pytest.raises(BadInput, match="'score' asks for the score that a model expects, which gpt behind a service"):
        service.ask(replace(asked(), choices=(), expects_score=True), sampling)
