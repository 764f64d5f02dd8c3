"""Any sentence reaches the command as it was typed, in every way of giving it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from common.errors import BadInput
from experiments import edit, session
from experiments.runs import cli
from experiments.runs.command_line import as_keys

# what a process can be given: no NUL, no lone surrogate (bytes that are no UTF-8 arrive as such and are tested by hand)
SENTENCES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)
HARD = [
    "make it red, blue, and green",
    '"hello" and "bye"',
    "'quoted'",
    "a=b instruction=c",
    "${seed} ${raw:0} $HOME $(ls) {a: [1, 2]}",
    "# not a comment",
    "--help",
    "-m",
    "-",
    "--instruction",
    "???",
    "null",
    "~seed",
    "1e5",
    "[a,b]",
    "\\",
    "a\\,b \\' \\\"",
    "line one\nline two\ttab",
    "把红色的星星变成蓝色，然后删除那棵树",
    "اجعل النجمة زرقاء",
    "🌲➡️👩‍👩‍👧 remove",
    "glob(*) choice(1,2) interval(0,1)",
    "hydra.run.dir=/",
    "@file %s %(x)d",
    " two  blanks ",
]


def seen(monkeypatch: pytest.MonkeyPatch, name: str, module: Any, *words: str) -> Any:
    """The configuration with which the command's main is called."""
    got: list[Any] = []
    monkeypatch.setattr(sys, "argv", [f"experiments.{name}", *words])
    cli.command(name, got.append, module.FREE_TEXT)
    (config,) = got
    return config


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(sentence=SENTENCES, form=st.sampled_from(["instruction={}", "--instruction={}", "--instruction {}"]))
def test_any_sentence_arrives_as_it_was_typed(sentence: str, form: str) -> None:
    assert through(sentence, form) == sentence


@pytest.mark.parametrize("sentence", HARD)
def test_hard_sentences_arrive_as_they_were_typed(sentence: str) -> None:
    assert through(sentence, "instruction={}") == sentence
    for form in ("--instruction={}", "--instruction {}"):
        assert as_keys([word.format(sentence) for word in form.split(" ")], edit.FREE_TEXT) == [
            f"instruction={sentence}"
        ]


def through(sentence: str, form: str) -> Any:
    """What becomes of it in the steps that `cli.command` takes."""
    words = [word.format(sentence) for word in form.split(" ")]
    texts: list[str] = []
    hidden = cli.hide_texts(as_keys([*words, "seed=3"], edit.FREE_TEXT), edit.FREE_TEXT, texts)
    assert hidden == ["instruction=${raw:0}", "seed=3"]
    OmegaConf.register_new_resolver("raw", lambda index: texts[int(index)], replace=True)
    cli.check("edit", hidden)
    config = cli.with_marks(cli.typed(cli.compose("edit", hidden)))
    assert config.seed == 3
    return config.instruction


@pytest.mark.parametrize("sentence", ["???", "-m", " ".join(HARD)])
def test_hard_sentences_through_the_whole_command(monkeypatch: pytest.MonkeyPatch, sentence: str) -> None:
    got = seen(monkeypatch, "edit", edit, "--instruction", sentence, f"image={sentence}", "seed=3")
    assert (got.instruction, got.image, got.seed) == (sentence, sentence, 3)


def test_options_with_dashes_are_keys() -> None:
    words = ["--image", "a b.png", "--instruction-file=x.txt", "n=2", "--help"]
    assert as_keys(words, edit.FREE_TEXT) == ["image=a b.png", "instruction_file=x.txt", "n=2", "--help"]
    assert as_keys(["--out", "--odd", "--run", "r"], session.FREE_TEXT) == ["out=--odd", "run=r"]
    with pytest.raises(BadInput, match="--image needs a value"):
        as_keys(["--image"], edit.FREE_TEXT)


def test_an_unknown_option_and_loose_words_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in [
        (["--imagine", "x"], "there is no option --imagine"),
        (["--instruction", "make", "it", "red"], 'instruction="make it red"'),
        (["--instruction"], "--instruction needs a value"),
        (["instruction=a", "--instruction", "b"], "given twice: instruction=a and instruction=b"),
        (["imge=a.png"], "the nearest one is 'image'"),
    ]:
        monkeypatch.setattr(sys, "argv", ["experiments.edit", *words])
        with pytest.raises(SystemExit) as end:
            cli.command("edit", lambda config: pytest.fail("nothing runs here"), edit.FREE_TEXT)
        assert end.value.code == 2 and said in capsys.readouterr().err
