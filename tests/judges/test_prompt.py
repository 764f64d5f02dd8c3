"""Prompt files: their fields are checked when they are read and when they are filled in; a version stands for the words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.errors import BadData, BadInput, MissingFile
from judges.prompt import PROMPTS, load_prompt, version_of
from judges.reasoning.trace import Form
from judges.reasoning.written import POINTS, VERIFIER
from judges.rubrics import RUBRICS, PairRubric, make_rubric
from judges.rubrics.rrm import prompt_of
from judges.sessions.mice import PROMPTS as MICE_PROMPTS


def written(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_fields_are_filled_in_one_pass_and_other_braces_are_text(tmp_path: Path) -> None:
    folder = written(tmp_path, "p", 'Do {request}. Answer {"score": 0}, {a}{request}')
    prompt = load_prompt("p", ("request", "a"), folder)
    assert prompt.fill(request="{a} \\1 {x}", a="!") == 'Do {a} \\1 {x}. Answer {"score": 0}, !{a} \\1 {x}'


@pytest.mark.parametrize("values", [{}, {"request": "x", "more": "y"}, {"requests": "x"}])
def test_missing_and_unknown_values_are_refused(tmp_path: Path, values: dict[str, str]) -> None:
    prompt = load_prompt("p", ("request",), written(tmp_path, "p", "{request}"))
    with pytest.raises(BadInput, match="'p'"):
        prompt.fill(**values)


def test_a_file_with_other_fields_than_the_code_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, "p", "{request} {typo}")
    with pytest.raises(BadData, match=r"p\.txt: unknown field \{typo\}; it may use \{request\}"):
        load_prompt("p", ("request",), folder)
    with pytest.raises(BadData, match=r"field \{place\} is missing"):
        load_prompt("p", ("request", "typo", "place"), folder)
    with pytest.raises(MissingFile, match=r"other\.txt"):
        load_prompt("other", (), folder)
    with pytest.raises(BadData, match="empty"):
        load_prompt("none", (), written(tmp_path, "none", " \n"))
    (tmp_path / "bytes.txt").write_bytes(b"\xff")
    with pytest.raises(BadData, match="UTF-8"):
        load_prompt("bytes", (), folder)


def test_the_version_changes_with_any_word_and_nothing_else(tmp_path: Path) -> None:
    one, two = (load_prompt(n, (), written(tmp_path, n, f"text of {n}")) for n in ("one", "two"))
    changed = load_prompt("two", (), written(tmp_path, "two", "text of Two"))
    assert version_of([one, two]) == version_of([two, one]) != version_of([one, changed])
    assert re.fullmatch(r"[0-9a-f]{12}", version_of([one]))


def test_every_prompt_file_belongs_to_a_rubric_or_the_labeller_and_every_rubric_has_a_version() -> None:
    used = {name for kind in RUBRICS.values() for name in kind.prompts} | {"pairwise_compare", "label_edits"}
    used |= set(MICE_PROMPTS)
    used |= {prompt_of(prompt, form) for prompt in ("rrm", "rrm_tiny") for form in Form} | {POINTS[0], VERIFIER[0]}
    assert used == {path.stem for path in PROMPTS.glob("*.txt")}
    versions = {name: make_rubric(name).version for name in RUBRICS}
    assert versions["gedit"] == versions["viescore"]  # the same prompts
    assert len({*versions.values(), PairRubric().version}) == len(RUBRICS)


def test_an_unknown_rubric_is_refused_with_the_list() -> None:
    with pytest.raises(
        BadInput, match="choose one of paper, viescore, gedit, imgedit, editscore, complex_edit, rise, mice, uniworld"
    ):
        make_rubric("vie")
    with pytest.raises(BadInput, match="PairRubric"):
        make_rubric("pairwise")
