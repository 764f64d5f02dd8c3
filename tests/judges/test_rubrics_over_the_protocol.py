"""Every rubric, on every kind of item it knows, through the judge and the client, over the real protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from judges.chat import ChatClient, ChatSettings
from judges.llm import LLMJudge
from judges.rubrics import make_rubric
from tests.judges.chat_server import ChatServer, by_schema
from tests.rubric_items import AFTER, BEFORE, CASES


@pytest.fixture(scope="module")
def service() -> Iterator[ChatServer]:
    with ChatServer(reply=by_schema) as server:
        yield server


@pytest.mark.parametrize(("name", "wanted"), CASES, ids=lambda v: v if isinstance(v, str) else v.kind)
def test_replies_that_fit_the_schema_make_a_valid_verdict(service: ChatServer, name: str, wanted) -> None:
    rubric = make_rubric(name)
    client = ChatClient(ChatSettings(base_url=service.url, key_env="", model="m"))
    verdict = LLMJudge(client, rubric, repeats=2).judge(BEFORE, AFTER, wanted)
    client.close()
    assert verdict.valid, verdict.reason
    assert "overall" in verdict.scores and set(verdict.scores) <= set(rubric.scores)
    assert all(0 <= value <= rubric.scales.get(key, 10.0) for key, value in verdict.scores.items())
