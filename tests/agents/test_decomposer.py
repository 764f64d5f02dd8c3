"""From a request to a prompt, whatever the request is; and from a reply to a result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agents.backends.base import Completion, Sampling
from agents.decomposer import Decomposer, build_request, clean_request
from agents.prompt_files import PROMPTS, load_prompt
from benchmarks.base import ACTIONS, EditSample
from common.errors import BadInput, MissingFile

TINY = load_prompt("decompose_tiny")
GOOD = "<think></think><action>remove</action><subject>moon</subject><goal>none</goal>"


class Scripted:
    """A backend that answers from a list and remembers what it was asked."""

    def __init__(self, *replies: str) -> None:
        self.replies, self.requests = list(replies), []

    def generate(self, requests, n, sampling):
        self.requests += requests
        return [[Completion((1,), (0.0,), self.replies.pop(0), "stop")] for _ in requests]

    def sync(self, named_parameters):
        raise AssertionError("nobody trains here")


def sample(request: str, *history: str, picture: Image.Image | None = None) -> EditSample:
    return EditSample("s1", request, (), history=history, picture=picture)


def test_the_tiny_prompt_is_history_then_request():
    assert TINY == "{history}{request}"
    built = build_request(TINY, sample(" Remove\n  it ", "Add a hat", " ", "Make it {request}"))
    assert built.text == "before: Add a hat\nbefore: Make it {request}\nRemove it"
    assert built.images == ()


def test_the_picture_goes_along():
    picture = Image.new("RGB", (4, 4))
    assert build_request(TINY, sample("Remove it", picture=picture)).images == (picture,)


def test_the_paper_prompt_explains_the_format():
    text = build_request(load_prompt("decompose"), sample("Remove it", "Add a hat")).text
    assert all(action in text for action in ACTIONS) and "{" not in text
    assert text.endswith("before: Add a hat\nRequest: Remove it\n")
    assert load_prompt(PROMPTS / "decompose.txt") == load_prompt("decompose")


@pytest.mark.parametrize("request_", ["", "  \n\t", "\x00\x1f", "\u200b\ufeff", "\u3000"])
def test_an_empty_request_is_refused_with_the_sample_named(request_):
    with pytest.raises(BadInput, match="'s1'.*empty"):
        build_request(TINY, sample(request_))


def test_a_long_request_is_cut_between_words_with_a_note():
    text, notes = clean_request("make the star blue " * 600)
    assert 980 < len(text) <= 1000 and text.split()[-1] in {"make", "the", "star", "blue"}
    assert notes == (f"the request of 11399 characters was cut to {len(text)} (limit 1000)",)
    assert len(clean_request("x" * 10_000)[0]) == 1000
    assert clean_request("short") == ("short", ())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("把星星变成蓝色", "把星星变成蓝色"),
        ("اجعل النجمة زرقاء", "اجعل النجمة زرقاء"),
        ("make it 🌟👩‍🚀", "make it 🌟👩‍🚀"),
        ("a\x00b\x1b[31m", "a b [31m"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("zero\u200bwidth \u202eback", "zerowidth back"),
        ("size < 3 and > 2", "size < 3 and > 2"),
        ("<|im_end|> hi <|image_pad|>", "< |im_end| > hi < |image_pad| >"),
        ("<\u200b|im_end|\u2060>", "< |im_end| >"),
        ("<tool_call></think><s>", "< tool_call>< /think>< s>"),
        ("＜｜x｜＞", "＜ ｜x｜ ＞"),
        ("<<|a|>>", "< < |a| >>"),
    ],
)
def test_any_script_passes_and_control_tokens_are_broken(text, clean):
    assert clean_request(text)[0] == clean


@given(st.text() | st.lists(st.sampled_from(["<", "|", ">", "im_end", "\u200d", "\x00", " ", "/"])).map("".join))
def test_any_text_is_cleaned_or_refused(text):
    try:
        clean, _ = clean_request(text, 50)
    except BadInput:
        return
    assert "<|" not in clean and "|>" not in clean and "</" not in clean
    assert 0 < len(clean) <= 50 and clean == " ".join(clean.split())
    clean.encode("utf-8")
    assert clean_request(clean, 50) == (clean, ())


def test_a_look_alike_is_no_control_token_for_a_real_tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    marks = ["<|im_end|>", "<|image_pad|>", "<|vision_start|>", "<tool_call>", "<think>", "</think>"]
    tokenizer.add_special_tokens(marks)
    text = clean_request("".join(marks) + " ".join(marks))[0]
    assert tokenizer.encode("".join(marks)).ids and not tokenizer.encode(text).ids


def test_a_long_history_keeps_its_first_turn():
    lines = build_request(TINY, sample("now", *(f"turn {k}" for k in range(50)))).text.splitlines()
    assert lines[0] == "before: turn 0" and lines[1] == "before: turn 35" and lines[-2:] == ["before: turn 49", "now"]


def test_results_are_read_or_carry_the_error():
    backend = Scripted(GOOD, "I would remove the moon.")
    decomposer = Decomposer(backend, TINY, Sampling(64, temperature=0.0), max_request_chars=20)
    good, bad = decomposer.decompose([sample("Remove the moon"), sample("Remove the moon and everything around it")])
    assert good.decomposition.subjects == ("moon",) and good.error is None and good.notes == ()
    assert bad.decomposition is None and "<think>" in bad.error and "was cut to" in bad.notes[0]
    assert backend.requests[1].text == "Remove the moon and"
    assert decomposer.decompose([]) == []


@pytest.mark.parametrize("template", ["", "{history}", "{request}{request}", "{history}{history}{request}"])
def test_a_prompt_without_its_places_is_refused(template):
    with pytest.raises(BadInput, match="{request} exactly once"):
        build_request(template, sample("x"))


def test_a_missing_prompt_names_those_there_are():
    with pytest.raises(MissingFile, match="decompose_tiny"):
        load_prompt("decompse")
