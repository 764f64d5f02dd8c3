"""Intents: the prompt holds the session, any reply gives one instruction; what cannot be read falls back to the user's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.backends.base import Completion, ModelRequest, Sampling
from agents.intent import TASKS, Intent, IntentWriter, build_intent_request, read_intent
from agents.prompt_files import load_prompt
from benchmarks.base import EditSample
from common.errors import BadInput

TURN = EditSample("s-2", "paint it red", (), "cu", ("remove the star", "move the blue house to the left"))


@dataclass
class Says:
    """A backend that answers in order."""

    texts: list[str]
    asked: list[ModelRequest] = field(default_factory=list)

    def generate(self, requests: list[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        self.asked += requests
        return [[Completion((1,), (0.0,), self.texts[i], "stop")] for i, _ in enumerate(requests)]


def writer(*texts: str) -> tuple[IntentWriter, Says]:
    backend: Any = Says(list(texts))
    return IntentWriter(backend, "{history}{task} {request}", Sampling(8)), backend


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("<think>the house</think>paint the blue house red", "paint the blue house red"),
        ("<think>a</think> <think>b</think>\n 'paint  the\nhouse red' ", "paint the house red"),
        ("no tag at all", None),
        ("<think>nothing after</think>  \n", None),
        ("<think>cut off", None),
        ("", None),
    ],
)
def test_what_stands_behind_the_thought_is_the_intent(text: str, instruction: str | None) -> None:
    intent = read_intent(text, "paint it red")
    assert intent.text == text and intent.instruction == (instruction or "paint it red")
    assert bool(intent.fallback) == (instruction is None)


@given(st.text(max_size=80))
def test_any_text_gives_an_instruction(text: str) -> None:
    intent = read_intent(text, "paint it red")
    assert intent.instruction.strip() and "\n" not in intent.instruction
    assert intent.instruction == "paint it red" or not intent.fallback


@pytest.mark.parametrize("prompt", ["intent", "intent_tiny"])
def test_the_prompt_holds_history_request_and_picture(prompt: str) -> None:
    text = build_intent_request(load_prompt(prompt), TURN).text
    assert "before: remove the star\nbefore: move the blue house to the left\n" in text and "paint it red" in text
    assert prompt == "intent_tiny" or TASKS["cu"] in text


def test_a_request_that_looks_like_a_slot_stays_what_it_is() -> None:
    turn = EditSample("s-2", "write {history} on it", (), "free", ("{request}",))
    assert build_intent_request("{history}|{request}", turn).text == "before: {request}\n|write {history} on it"


@pytest.mark.parametrize(
    "template", ["{request}", "{history}", "{history}{request}{request}", "{history}{request}{task}{task}"]
)
def test_templates_that_cannot_work_are_refused(template: str) -> None:
    with pytest.raises(BadInput, match="an intent prompt needs"):
        build_intent_request(template, TURN)


def test_the_first_turn_is_never_asked_about() -> None:
    own, backend = writer("<think></think>paint the blue house red")
    first = EditSample("s-1", "remove the star", ())
    assert own.write([first, TURN]) == [
        Intent("", "remove the star"), Intent("<think></think>paint the blue house red", "paint the blue house red")
    ]  # fmt: skip
    assert len(backend.asked) == 1
    assert writer()[0].write([first]) == [Intent("", "remove the star")]


def test_an_empty_request_is_refused() -> None:
    with pytest.raises(BadInput, match="s-2"):
        writer()[0].write([EditSample("s-2", " ", (), history=("a",))])
