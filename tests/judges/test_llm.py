"""A model as judge, over the real client and a misbehaving service: every edit ends scored or invalid with its reason."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.base import Edit, EditSample
from common.errors import BadInput
from judges.cache import ReplyCache
from judges.chat import ChatClient, ChatSettings
from judges.llm import LLMJudge
from judges.question import BudgetSpent, JudgeSampling, Question
from judges.spending import Prices
from tests.judges import chat_server as cs
from tests.judges.chat_server import Call, ChatServer
from tests.judges.simple_rubric import SimpleRubric

KEY = "sk-judge-0123456789abcdef"
BEFORE = Image.new("RGB", (8, 8), (200, 0, 0))


@pytest.fixture(autouse=True, scope="module")
def key():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUDGE_KEY", KEY)
        yield


def after(k: int) -> Image.Image:
    return Image.fromarray(np.full((8, 8, 3), k % 256, np.uint8))


def item(k: int) -> EditSample:
    return EditSample(f"item-{k}", f"request <{k}>", ())


def number(call: Call) -> int:
    return int(call.text.rpartition("<")[2].rstrip(">"))


def score_of(k: int) -> int:
    return k % 11


def says(call: Call) -> str:
    return json.dumps({"score": [score_of(number(call)), 10], "reasoning": "so it is"})


def judge(server: ChatServer, rubric=None, cache=None, repeats=None, **changed) -> LLMJudge:
    given = {"base_url": server.url, "key_env": "JUDGE_KEY", "model": "m", "tries": 3, "timeout_s": 5.0} | changed
    client = ChatClient(ChatSettings(**given), None if cache is None else ReplyCache(cache), sleep=lambda s: None)
    return LLMJudge(client, rubric or SimpleRubric(), repeats=repeats)


def scored(text: str = '{"score": [7, 9]}') -> cs.Step:
    return cs.answer(text)


def test_an_edit_is_scored_and_everything_said_is_told():
    with ChatServer(reply=says) as server:
        verdict = judge(server, SimpleRubric(names=("sc", "pq"))).judge(BEFORE, after(1), item(4))
    assert verdict.valid and verdict.scores == {"overall": 4.0} and verdict.reason == ""
    raw = json.loads(json.dumps(verdict.raw))
    assert [(r["question"], r["pass"], r["repeat"]) for r in raw["replies"]] == [("sc", 0, 0), ("pq", 0, 0)]
    assert raw["model"] == "m" and raw["rubric"] == "simple" and "so it is" in raw["replies"][0]["text"]
    assert raw["replies"][0]["usage"]["input_tokens"] == 100


UNREADABLE = {
    "no json": scored("I like it"),
    "half json": scored('{"score": [7'),
    "a key missing": scored('{"grade": 3}'),
    "out of range": scored('{"score": [7, 11]}'),
    "wrong type": scored('{"score": 7}'),
    "wrong types": scored('{"score": [7, "9"]}'),
    "too deep": scored('{"a":' * 100_000 + "}"),
    "cut off": cs.cut_off('{"score": [7, 9'),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_asked_once_more(name):
    steps = {"<1>": [UNREADABLE[name], scored()], "<2>": [UNREADABLE[name]]}
    with ChatServer(script=steps) as server:
        j = judge(server)
        good, bad = j.judge(BEFORE, after(1), item(1)), j.judge(BEFORE, after(2), item(2))
    assert good.valid and good.scores == {"overall": 7.0} and len(good.raw["replies"]) == 2
    assert not bad.valid and bad.scores == {} and "sc" in bad.reason and "asked 2 times" in bad.reason
    assert server.asked("<1>") == server.asked("<2>") == 2


def test_the_second_ask_is_another_question_to_the_cache_too(tmp_path):
    with ChatServer(script={"<1>": [scored("well"), scored()]}) as server:
        first = judge(server, cache=tmp_path).judge(BEFORE, after(1), item(1))
        again = judge(server, cache=tmp_path).judge(BEFORE, after(1), item(1))
    assert first == again and first.valid and len(server.calls) == 2
    assert [c.fields["seed"] for c in server.calls] == [0, 1]


def test_prose_around_json_is_read():
    with ChatServer(script={"<3>": [cs.prose()]}, reply=says) as server:
        assert judge(server).judge(BEFORE, after(0), item(3)).scores == {"overall": 3.0}


def test_a_refusal_makes_it_invalid_at_once():
    with ChatServer(script={"<1>": [scored(), cs.refuse()]}) as server:
        verdict = judge(server, SimpleRubric(repeats=5)).judge(BEFORE, after(1), item(1))
    assert not verdict.valid and "refused" in verdict.reason and len(server.calls) == 2
    assert len(verdict.raw["replies"]) == 2 and verdict.raw["replies"][1]["refused"]


def passes(server_steps: Sequence[cs.Step], repeats: int):
    with ChatServer(script={"<1>": server_steps}) as server:
        return judge(server, repeats=repeats).judge(BEFORE, after(1), item(1)), server


def test_passes_are_combined_by_the_median():
    verdict, server = passes([scored(f'{{"score": [{v}, 10]}}') for v in (2, 9, 4)], 3)
    assert verdict.scores == {"overall": 4.0} and len(server.calls) == 3
    assert [c.fields["seed"] for c in server.calls] == [0, 2, 4]  # two numbers per pass, the second for asking again


def test_half_of_the_passes_are_enough_and_fewer_are_not():
    bad = scored("?")
    verdict, _ = passes([bad, bad, scored()], 2)  # 1 of 2 valid
    assert verdict.valid and verdict.scores == {"overall": 7.0} and "1 of 2 passes invalid" in verdict.reason
    verdict, server = passes([bad, bad, scored(), bad], 3)  # 1 of 3 valid
    assert not verdict.valid and len(server.calls) == 5
    verdict, server = passes([bad], 5)  # no more is asked once it cannot be valid: three passes of two asks
    assert not verdict.valid and len(server.calls) == 6


def test_a_score_outside_its_scale_makes_the_pass_invalid():
    class Wild(SimpleRubric):
        def score(self, answers, item):
            return {"overall": 11.0}

    with ChatServer() as server:
        verdict = judge(server, Wild()).judge(BEFORE, after(1), item(1))
    assert not verdict.valid and "overall is 11.0" in verdict.reason


def test_an_item_without_what_the_rubric_needs_is_invalid():
    class Needy(SimpleRubric):
        def questions(self, item, before, after) -> Sequence[Question]:
            raise BadInput(f"{item.id} has no captions")

    with ChatServer() as server:
        verdict = judge(server, Needy()).judge(BEFORE, after(1), item(1))
        with pytest.raises(BadInput, match="sample"):
            judge(server).judge(BEFORE, after(1), [Edit("remove", "tree")])
    assert not verdict.valid and "item-1" in verdict.reason and server.calls == []


def test_own_sampling_replaces_the_rubrics():
    with ChatServer() as server:
        j = judge(server)
        LLMJudge(j.client, SimpleRubric(), JudgeSampling(temperature=0.5, max_tokens=9)).judge(
            BEFORE, after(1), item(1)
        )
    assert (server.calls[0].fields["temperature"], server.calls[0].fields["max_tokens"]) == (0.5, 9)


PASSING = {
    "429": cs.busy(),
    "500": cs.error(500),
    "drop": cs.drop(),
    "drop_in_body": cs.drop_in_body(),
    "cut_json": cs.cut_json(),
    "empty": cs.answer(""),
    "echo": cs.echo_key(503),
}
READING = {"prose only": cs.answer("fine"), "wrong": cs.answer('{"score": []}'), "length": cs.cut_off()}
GOOD = {"good": cs.answer(), "wrapped": cs.prose(), "late": cs.slow(0.003, cs.answer()), "chunks": cs.chunked()}
FINAL = {"filter": cs.refuse("finish"), "message": cs.refuse("message"), "code": cs.refuse("error")}
STEPS = PASSING | READING | GOOD | FINAL | {"bad request": cs.error(400, "too long")}


def foretold(names: Sequence[str], tries: int) -> bool:
    """Whether one pass over these steps (the last repeats) is valid, by the rules alone."""
    k = 0

    def step() -> str:
        nonlocal k
        k += 1
        return names[min(k - 1, len(names) - 1)]

    for _ in range(2):  # asks
        for _ in range(tries):
            name = step()
            if name not in PASSING:
                break
        else:
            return False
        if name in GOOD:
            return True
        if name not in READING:
            return False
    return False


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6), min_size=1, max_size=12))
def test_every_item_ends_scored_or_invalid_whatever_the_service_does(sequences):
    script = {f"<{k}>": [STEPS[name] for name in names] for k, names in enumerate(sequences)}
    with ChatServer(script=script, reply=says, key=KEY) as server, ThreadPoolExecutor(6) as pool:
        j = judge(server, concurrency=6)
        verdicts = list(pool.map(lambda k: j.judge(BEFORE, after(k), item(k)), range(len(sequences))))
    for k, (names, verdict) in enumerate(zip(sequences, verdicts, strict=True)):
        assert verdict.valid == foretold(names, tries=3), (names, verdict.reason)
        if verdict.valid:
            assert verdict.scores == {"overall": float(score_of(k))}  # its own score, whatever the order of replies
        else:
            assert verdict.scores == {} and verdict.reason and KEY not in verdict.reason
    assert j.usage.calls == len(server.calls)
    assert server.most_busy <= 6


def test_answers_out_of_order_go_to_their_own_items():
    script = {f"<{k}>": [cs.after(f"<{k + 1}>")] for k in range(5)} | {"<5>": [cs.answer()]}
    with ChatServer(script=script, reply=says) as server, ThreadPoolExecutor(6) as pool:
        j = judge(server, concurrency=6)
        verdicts = list(pool.map(lambda k: j.judge(BEFORE, after(k), item(k)), range(6)))
    assert [v.scores["overall"] for v in verdicts] == [float(score_of(k)) for k in range(6)]


def test_a_killed_evaluation_asks_only_for_the_rest(tmp_path):
    with ChatServer(reply=says) as server:
        j = judge(server, cache=tmp_path)
        first = [j.judge(BEFORE, after(k), item(k)) for k in range(7)]  # and then the process is gone
        j = judge(server, cache=tmp_path)
        whole = [j.judge(BEFORE, after(k), item(k)) for k in range(10)]
        assert len(server.calls) == 10
        j = judge(server, cache=tmp_path)
        again = [j.judge(BEFORE, after(k), item(k)) for k in range(10)]
    assert len(server.calls) == 10 and whole[:7] == first and again == whole
    assert j.usage.calls == 0 and j.usage.cached == 10


def test_a_spent_budget_goes_through():
    with ChatServer() as server, pytest.raises(BudgetSpent):
        judge(server, prices=Prices(1, 1), budget=0.0).judge(BEFORE, after(1), item(1))


def test_the_key_is_in_nothing_that_is_logged_or_told(tmp_path, caplog):
    names = ["<1>", "<2>", "<3>", "<4>"]
    script = dict(zip(names, ([cs.echo_key(c)] for c in (500, 429, 400, 401)), strict=True))
    told = ""
    with caplog.at_level(logging.DEBUG), ChatServer(script=script, reply=lambda c: f"{KEY} is yours") as server:
        for k in (0, 1, 2, 3):
            told += repr(judge(server, cache=tmp_path).judge(BEFORE, after(k), item(k)))
            told += repr(judge(server, cache=tmp_path).judge(BEFORE, after(k), item(k)).raw)
        with pytest.raises(BadInput) as error:
            judge(server, cache=tmp_path).judge(BEFORE, after(4), item(4))
    assert "gave up" in told and "JUDGE_KEY" in str(error.value) and caplog.text
    everything = told + str(error.value) + caplog.text + "".join(p.read_text() for p in tmp_path.rglob("*.jsonl"))
    assert KEY not in everything and KEY[:12] not in everything


def test_a_retry_asks_again_only_for_what_made_no_verdict(tmp_path):
    """pq was refused, later unreadable twice. Without retry the cache says the same for ever; each retry asks anew and keeps
    what it hears, and what was readable (sc) is asked once in all."""
    rubric = SimpleRubric(names=("sc", "pq"))
    script = {"pq": [cs.refuse("message"), scored("I like it"), scored("hm"), scored()]}
    with ChatServer(reply=says, script=script) as server:

        def verdict(retry: bool):
            made = judge(server, rubric, tmp_path)
            return LLMJudge(made.client, rubric, retry=retry).judge(BEFORE, after(1), item(8))

        assert "refused" in verdict(False).reason and len(server.calls) == 2
        assert "refused" in verdict(False).reason and len(server.calls) == 2
        again = verdict(True)  # the kept refusal does not count, two new replies cannot be read
        assert not again.valid and "asked 2 times" in again.reason and len(server.calls) == 4
        last = verdict(True)
        assert last.valid and last.scores == {"overall": 7.0} and len(server.calls) == 5
        assert verdict(True).scores == {"overall": 7.0} and len(server.calls) == 5  # found in the cache
    numbers = [r["repeat"] for r in last.raw["replies"] if r["question"] == "pq"]
    assert len(set(numbers)) == len(numbers)
