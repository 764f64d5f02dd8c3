"""The chat client against a local service that speaks the real protocol and misbehaves."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import BadInput
from judges.cache import ReplyCache
from judges.chat import ChatClient, ChatSettings
from judges.question import BudgetSpent, Encoding, JudgeSampling, Question
from judges.spending import Prices
from tests.judges import chat_server as cs
from tests.judges.chat_server import ChatServer
from tests.judges.simple_rubric import SCHEMA, read

KEY = "sk-judge-0123456789abcdef"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)


def picture(seed: int = 0, size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def question(text: str = "a question", **changed) -> Question:
    return Question(**({"name": "sc", "parts": (text, picture()), "read": read, "system": "Be fair."} | changed))


def client(server: ChatServer, cache: Path | None = None, waits: list[float] | None = None, **changed) -> ChatClient:
    given = {"base_url": server.url, "key_env": "JUDGE_KEY", "model": "gpt-4o-2024-11-20", "timeout_s": 5.0} | changed
    sleep = (lambda s: None) if waits is None else waits.append
    return ChatClient(ChatSettings(**given), None if cache is None else ReplyCache(cache), sleep=sleep)


def ask(c: ChatClient, text: str = "a question", repeat: int = 0, **changed):
    return c.ask(question(text, **changed), JudgeSampling(max_tokens=50), repeat)


def test_the_request_is_what_the_protocol_says():
    pictures = picture(1), picture(2)
    with ChatServer(key=KEY) as server:
        c = client(server, extra={"reasoning_effort": "none", "temperature": None})
        made = question(parts=("before:", pictures[0], "after:", pictures[1]), schema=SCHEMA)
        reply = c.ask(made, JudgeSampling(temperature=0.7, top_p=0.9, top_k=20, max_tokens=50, seed=3), 2)
    call = server.calls[0]
    assert call.headers["authorization"] == f"Bearer {KEY}" and call.headers["content-type"] == "application/json"
    user = call.fields["messages"][1]
    assert call.fields["messages"][0] == {"role": "system", "content": "Be fair."} and user["role"] == "user"
    assert [p["type"] for p in user["content"]] == ["text", "image_url", "text", "image_url"]
    assert [m for m, _ in call.pictures] == ["image/png"] * 2
    for sent, given in zip(call.pictures, pictures, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent[1]))), np.asarray(given))
    schema = call.fields.pop("response_format")["json_schema"]
    assert schema == {"name": "sc", "strict": True, "schema": SCHEMA}
    del call.fields["messages"]
    # the seed moves on with the repeat; a null in `extra` takes a field out; top_k is no field of the protocol
    assert call.fields == {
        "model": "gpt-4o-2024-11-20",
        "max_tokens": 50,
        "top_p": 0.9,
        "seed": 5,
        "reasoning_effort": "none",
    }
    assert read(reply.text or "") and (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 20)


def test_no_schema_is_sent_where_structured_is_off_or_the_question_has_none():
    with ChatServer() as server:
        ask(client(server, structured=False), schema=SCHEMA)
        ask(client(server), "another")
    assert all("response_format" not in call.fields for call in server.calls)


def test_a_rerun_asks_nothing_and_says_the_same(tmp_path):
    steps = {"refused": [cs.refuse("message")], "cut": [cs.cut_off()]}
    texts = ["plain", "refused", "cut", "ünï\ud800"]
    with ChatServer(script=steps) as server:
        c = client(server, tmp_path)
        first = [ask(c, text) for text in texts]
        assert len(server.calls) == 4 and c.usage.calls == 4 and c.usage.cached == 0
        c = client(server, tmp_path)
        again = [ask(c, text) for text in texts]
    assert len(server.calls) == 4
    assert (c.usage.calls, c.usage.cached, c.usage.dollars) == (0, 4, 0.0)
    assert [(r.text, r.reason, r.refused, r.cut) for r in again] == [
        (r.text, r.reason, r.refused, r.cut) for r in first
    ]
    assert [(r.refused, r.cut) for r in first] == [(False, False), (True, False), (False, True), (False, False)]
    # and what was used can be added up again from what is kept
    assert sum(r["input_tokens"] for r in ReplyCache(tmp_path).replies()) == 400


def test_a_rerun_needs_no_key(tmp_path, monkeypatch):
    with ChatServer() as server:
        first = ask(client(server, tmp_path))
        monkeypatch.delenv("JUDGE_KEY")
        assert ask(client(server, tmp_path)).text == first.text
        with pytest.raises(BadInput, match="JUDGE_KEY"):
            ask(client(server, tmp_path), "something new")


CHANGES = {
    "text": {"parts": ("another", picture())},
    "system": {"system": "Be strict."},
    "pixels": {"parts": ("a question", picture(9))},
    "size": {"parts": ("a question", picture(0, (16, 24)))},
    "order": {"parts": (picture(), "a question")},
    "border of texts": {"parts": ("a ", "question", picture())},
    "longest": {"encoding": Encoding(longest=8)},
    "format": {"encoding": Encoding(format="jpeg")},
    "detail": {"encoding": Encoding(detail="low")},
    "schema": {"schema": SCHEMA},
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_changes_the_question_is_asked_anew(name, tmp_path):
    with ChatServer() as server:
        c = client(server, tmp_path)
        ask(c)
        ask(c, **CHANGES[name])
        ask(c)
    assert len(server.calls) == 2


@pytest.mark.parametrize("changed", [{"model": "gpt-4.1"}, {"extra": {"top_k": 1}}, {"structured": False}])
def test_whatever_changes_the_request_is_asked_anew(changed, tmp_path):
    with ChatServer() as server:
        ask(client(server, tmp_path), schema=SCHEMA)
        ask(client(server, tmp_path, **changed), schema=SCHEMA)
    assert len(server.calls) == 2


def test_sampling_and_repeat_are_asked_anew_but_patience_is_not(tmp_path):
    with ChatServer() as server:
        c = client(server, tmp_path)
        for sampling in (
            JudgeSampling(),
            JudgeSampling(temperature=0.5),
            JudgeSampling(top_p=0.5),
            JudgeSampling(seed=1),
            JudgeSampling(seed=None),
        ):
            c.ask(question(), sampling)
        c.ask(question(), JudgeSampling(), 1)
        c.ask(question(), JudgeSampling(seed=None), 1)
        assert len(server.calls) == 7
        client(server, tmp_path, tries=2, timeout_s=9.0, concurrency=1).ask(question(), JudgeSampling())
    assert len(server.calls) == 7


def test_equal_questions_at_the_same_time_are_asked_once(tmp_path):
    with ChatServer(latency_s=0.05) as server, ThreadPoolExecutor(8) as pool:
        c = client(server, tmp_path)
        replies = list(pool.map(lambda _: ask(c), range(8)))
    assert len(server.calls) == 1 and len({r.text for r in replies}) == 1
    assert c.usage.calls == 1 and c.usage.cached == 7


TROUBLE = {
    "429": [cs.busy(), cs.busy(3)],
    "5xx": [cs.error(500), cs.page(502), cs.error(503)],
    "dropped": [cs.drop(), cs.drop_in_body()],
    "cut short": [cs.cut_json(), cs.value([1, 2]), cs.value({"choices": []}), cs.answer("")],
    "too slow": [cs.hang()],
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_that_passes_is_outlasted(name):
    waits: list[float] = []
    with ChatServer(script={"a question": [*TROUBLE[name], cs.answer()]}) as server:
        reply = ask(client(server, waits=waits, timeout_s=0.5 if name == "too slow" else 5.0))
    n = len(TROUBLE[name])
    assert reply.text is not None and reply.usage.calls == len(server.calls) == len(waits) + 1
    assert len(waits) == n or (
        name == "too slow" and len(waits) > n
    )  # on a busy machine the answer may be too slow as well
    assert all(0.5 * 2**k <= w <= max(3, 2**k) for k, w in enumerate(waits))  # jittered, doubling
    if name == "429":
        assert waits[1] == 3  # what Retry-After says, where the grown wait (1 to 2 s) is shorter


def test_trouble_that_stays_is_given_up_with_its_reason_and_not_kept(tmp_path):
    with ChatServer(script={"a question": [cs.error(500, "on fire")] * 3 + [cs.answer()]}) as server:
        reply = ask(client(server, tmp_path, tries=3))
        assert reply.text is None and not reply.refused and "3 tries" in reply.reason and "on fire" in reply.reason
        assert ask(client(server, tmp_path)).text is not None


@pytest.mark.parametrize("how", ["finish", "message", "error"])
def test_a_refusal_is_final(how, tmp_path):
    with ChatServer(script={"a question": [cs.refuse(how), cs.answer()]}) as server:
        reply = ask(client(server, tmp_path))
        assert reply.text is None and reply.refused and reply.reason
        assert ask(client(server, tmp_path)).refused and len(server.calls) == 1


def test_other_forms_of_a_reply_are_understood():
    pieces = cs.chat(None)
    pieces["choices"][0]["message"]["content"] = [{"type": "text", "text": "in "}, {"type": "text", "text": "pieces"}]
    thinking = cs.chat("thought") | {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 100}}
    bare = cs.chat("bare")
    del bare["usage"]
    steps = {"pieces": [cs.value(pieces)], "think": [cs.value(thinking)], "bare": [cs.value(bare)]}
    steps |= {"chunks": [cs.chunked()], "close": [cs.answer_and_drop()]}
    with ChatServer(script=steps) as server:
        c = client(server)
        assert ask(c, "pieces").text == "in pieces"
        assert ask(c, "think").usage.output_tokens == 90  # tokens of thinking are paid as output
        assert ask(c, "bare").usage.input_tokens == 0
        assert ask(c, "chunks").text and ask(c, "close").text and ask(c, "after the close").text


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (cs.error(401, "bad key", code="invalid_api_key"), "JUDGE_KEY"),
        (cs.error(404, "The model `x` does not exist", code="model_not_found"), "name a model"),
        (cs.page(404, "nothing here"), "base URL"),
        (cs.error(429, "You exceeded your quota", code="insufficient_quota"), "no money left"),
        (
            cs.error(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported"),
            "structured=false",
        ),
        (cs.value([{"error": {"code": 400, "message": 'Unknown name "seed": Cannot find field.'}}], 400), "=null"),
        (cs.error(400, "Unsupported parameter: 'max_tokens'", code="unsupported_parameter"), "extra"),
    ],
)
def test_what_concerns_all_questions_is_an_error_and_asked_once(step, words):
    with ChatServer(script={"": [step]}) as server:
        c = client(server)
        for text in ("one", "two"):
            with pytest.raises(BadInput, match=words):
                ask(c, text, schema=SCHEMA)
    assert len(server.calls) == 1


def test_another_bad_request_concerns_its_own_question_alone():
    with ChatServer(script={"long": [cs.error(400, "context length exceeded")]}) as server:
        c = client(server)
        reply = ask(c, "long")
        assert reply.text is None and "context length" in reply.reason and reply.usage.calls == 1
        assert ask(c, "short").text is not None


def test_a_picture_that_cannot_be_decoded_is_a_reason(tmp_path):
    picture().save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:600])
    with ChatServer() as server:
        reply = ask(client(server), parts=("look", Image.open(tmp_path / "half.png")))
    assert reply.text is None and "decoded" in reply.reason and server.calls == []


def test_concurrency_is_never_above_the_limit():
    with ChatServer(latency_s=0.01) as server, ThreadPoolExecutor(12) as pool:
        c = client(server, concurrency=3)
        assert all(r.text for r in pool.map(lambda k: ask(c, f"question {k}"), range(40)))
    assert 2 <= server.most_busy <= 3 and server.connections <= 4
    assert len(server.calls) == 40


def test_the_budget_stops_and_what_was_paid_is_kept(tmp_path):
    # 100 tokens in at 1000 $/M and 20 out at 5000 $/M: 0.1 + 0.1 = 0.2 dollars a call. The first is guessed: about 1002
    # tokens in and at most 50 out, 1.25 dollars. From then on 0.2 each: 2.1 dollars are ten calls.
    prices = Prices(1000, 5000)
    with ChatServer() as server:
        c, replies = client(server, tmp_path, prices=prices, budget=2.1), []
        with pytest.raises(BudgetSpent, match=r"\$2.10"):
            for k in range(20):
                replies.append(ask(c, f"question {k}"))
        assert len(replies) == len(server.calls) == 10 and c.usage.dollars == pytest.approx(2.0)
        c = client(server, tmp_path, prices=prices, budget=2.1)
        assert len([ask(c, f"question {k}") for k in range(20)]) == 20  # the same command again goes on
        assert len(server.calls) == 20 and c.usage.cached == 10


def test_many_threads_do_not_overrun_the_budget(tmp_path):
    def one(k: int) -> bool:
        try:
            return ask(c, f"question {k}").text is not None
        except BudgetSpent:
            return False

    with ChatServer(latency_s=0.01) as server, ThreadPoolExecutor(16) as pool:
        c = client(server, tmp_path, prices=Prices(1000, 5000), budget=2.1, concurrency=16)
        done = list(pool.map(one, range(60)))
    assert sum(done) == len(server.calls) == 10 and c.usage.dollars == pytest.approx(2.0)


def test_settings_that_cannot_work_are_said():
    for changed, words in [
        ({"extra": {"messages": []}}, "messages"),
        ({"extra": {"x": float("nan")}}, "JSON"),
        ({"model": ""}, "model"),
        ({"budget": 1.0}, "prices"),
    ]:
        with pytest.raises(BadInput, match=words):
            ChatSettings(**({"base_url": "http://localhost", "key_env": "K", "model": "m"} | changed))


def test_a_service_without_keys_gets_none():
    with ChatServer() as server:
        assert ask(client(server, key_env="")).text
    assert "authorization" not in server.calls[0].headers


def test_the_cache_holds_no_key_even_where_the_service_says_it(tmp_path):
    said = json.dumps({"score": [1, 2], "reasoning": f"your key is {KEY}, *** nice ***"})
    steps = {"good": [cs.answer(said)], "cut": [cs.cut_off(f"{KEY} is")], "bad": [cs.echo_key(500)]}
    with ChatServer(script=steps) as server:
        c = client(server, tmp_path, tries=2)
        replies = [ask(c, text) for text in steps]
    assert "*** nice ***" in (replies[0].text or "") and "<key>" in replies[2].reason
    assert KEY not in repr(replies) + "".join(p.read_text() for p in tmp_path.iterdir())
