"""A teacher made of models behind a real HTTP interface: points, traces by several writers, and a verifier."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from PIL import Image

from benchmarks.base import EditSample
from common.errors import RunFailed
from judges.chat import ChatClient, ChatSettings
from judges.question import Unreadable
from judges.reasoning.points import FOLLOW, KEEP, QUALITY, Point, write_points
from judges.reasoning.selection import best
from judges.reasoning.trace import Trace, read_trace, write_trace
from judges.reasoning.written import WrittenAnswers, WrittenPoints, WrittenTraces, read_answers
from judges.rubrics.rrm import RRMRubric
from tests.judges.chat_server import ChatServer, answer

POINTS = (Point("Is the hat red?", FOLLOW), Point("Is the dog kept?", KEEP), Point("Is it sharp?", QUALITY))
QUESTIONS = [p.question for p in POINTS]
SAMPLE = EditSample("hat", "make the hat red", (), picture=Image.new("RGB", (32, 32), (9, 9, 9)))
AFTER = Image.new("RGB", (32, 32), (200, 9, 9))
GOOD, POOR = Trace("it is red", (1, 1, 0), 7.0), Trace("nothing changed", (0, 1, 0), 2.0)
GOLD = json.dumps(
    {"gold": [{"question": q, "gold": g, "reason": "seen"} for q, g in zip(QUESTIONS, (1, 1, 0), strict=True)]}
)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    script = {
        "prepare the evaluation": [answer("no list"), answer(write_points(POINTS))],
        "check evaluations": [answer(GOLD)],
        "Judge strictly": [
            answer(write_trace(POOR, QUESTIONS)),
            answer("I would rather not."),
            answer(write_trace(GOOD, QUESTIONS)),
        ],
    }
    with ChatServer(script=script) as running:
        yield running


def client(server: ChatServer, model: str = "writer") -> ChatClient:
    return ChatClient(ChatSettings(base_url=server.url, key_env="", model=model, structured=False))


def test_points_traces_and_answers_make_a_choice(server: ChatServer) -> None:
    points = WrittenPoints(client(server))(SAMPLE)
    assert (
        points == POINTS and server.asked("prepare the evaluation") == 2
    )  # the unreadable reply was asked for once more
    rubric = RRMRubric(lambda sample: POINTS)
    texts = WrittenTraces([client(server, "a"), client(server, "b")], rubric, 3)(SAMPLE, AFTER)
    traces = []
    for text in texts:
        try:
            traces.append(read_trace(text, QUESTIONS))
        except Unreadable:
            continue
    gold = WrittenAnswers(client(server))(SAMPLE, AFTER, points, traces)
    assert gold == (1, 1, 0)
    assert traces[best(traces, gold)] == GOOD
    shown = next(call for call in server.calls if "check evaluations" in call.text)
    assert "Evaluator 1: 0, 1, 0 (nothing changed)" in shown.text and len(shown.pictures) == 2


def test_writers_are_asked_in_turns_for_traces_of_their_own(server: ChatServer) -> None:
    WrittenTraces([client(server, "a"), client(server, "b")], RRMRubric(lambda sample: POINTS), 4)(SAMPLE, AFTER)
    models = [call.fields["model"] for call in server.calls]
    assert models == ["a", "b", "a", "b"]
    assert all(call.fields["temperature"] == 1.0 for call in server.calls)
    assert all("Is the dog kept?" in call.text for call in server.calls)


def test_what_stays_unreadable_stops_with_the_reason() -> None:
    with (
        ChatServer(script={"prepare the evaluation": [answer("[]")]}) as running,
        pytest.raises(RunFailed, match="no usable reply to points in 2 attempts: there are 0 points"),
    ):
        WrittenPoints(client(running))(SAMPLE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "gold"),
        ('{"gold": 1}', "no of 3 points"),
        ('{"gold": []}', "0 of 3 points"),
        (GOLD.replace("hat", "cap"), "was asked"),
        (GOLD.replace('"gold": 0', '"gold": 2'), "not 0 or 1"),
        (GOLD.replace('"gold": 0', '"gold": false'), "not 0 or 1"),
    ],
)
def test_answers_to_other_points_are_refused(text: str, said: str) -> None:
    assert read_answers(f"Here: {GOLD}", POINTS) == (1, 1, 0)
    with pytest.raises(Unreadable, match=said):
        read_answers(text, POINTS)
