"""`python -m experiments.agreement` with the real sandbox judge and editor: complete, resumable, partial where it stops."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.base import explicit_instruction
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput, MissingFile, RunFailed
from common.files import read_json
from editors.sandbox import SandboxEditor
from experiments import agreement
from experiments.evaluation.agreement import study
from experiments.runs import cli
from judges.base import Verdict
from judges.question import BudgetSpent
from judges.sandbox import SandboxJudge
from tests.judges import chat_server as cs
from tests.judges.chat_server import ChatServer
from tests.pages import faults


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of rank correlations are tested in tests/judges/test_agreement.py; here they only cost time."""
    monkeypatch.setattr("judges.agreement.RESAMPLES", 100)


def run(*words: str) -> None:
    agreement.main(cli.typed(cli.compose("agreement", list(words))))


def verdicts(out: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert len({r["key"] for r in rows}) == len(rows)  # none doubled
    return {r["key"]: r for r in rows}


def edited_set(folder: Path, rows: int) -> Path:
    """Every scene edited twice by the sandbox's editor: as asked, and told to do what was asked of the scene after it."""
    benchmark, editor = SandboxBenchmark("test", seed=3), SandboxEditor()
    samples = [s for s in map(benchmark.sample, range(60 * rows)) if len(s.gold) == 1 and s.gold[0].action == "recolor"]
    folder.mkdir(parents=True)
    with (folder / "votes.csv").open("w", newline="") as f:
        table = csv.writer(f)
        head = ("id", "instruction", "source", "candidate_a", "candidate_b", "human", "model_a", "model_b", "gold")
        table.writerow(head)
        for k, (sample, other) in enumerate(zip(samples[:rows], samples[1 : rows + 1], strict=True)):
            asked, told = explicit_instruction(sample.gold[0]), explicit_instruction(other.gold[0])
            right, wrong = editor.edit([sample.image] * 2, [asked, told], [0, 0])
            files = [f"{k}_{n}.png" for n in ("source", "a", "b")]
            sides = (wrong, right) if k % 2 else (right, wrong)
            for file, picture in zip(files, (sample.image, *sides), strict=True):
                picture.save(folder / file)
            gold = json.dumps([[e.action, e.subject, e.goal] for e in sample.gold])
            models = ("deaf", "good") if k % 2 else ("good", "deaf")
            table.writerow((f"{k}", asked, *files, "b" if k % 2 else "a", *models, gold))
    return folder / "votes.csv"


def test_the_sandbox_judge_agrees_with_what_the_sandbox_editor_was_told(tmp_path: Path) -> None:
    path = edited_set(tmp_path / "votes", rows=12)
    out = tmp_path / "out"
    run("data=csv", f"path={path}", f"out={out}", "own=good")
    result = read_json(out / "agreement.json")
    cell = result["measures"]["accuracy_without_ties"]
    assert (cell["value"], cell["n"], cell["invalid"], cell["missing"]) == (1.0, 12, 0, 0) and cell["low"] > 0.7
    assert result["ties"] is None and result["comparisons"]["tied_by_people"] == 0 and not result["partial"]
    shares = {s["model"]: s for s in result["self_preference"]}
    assert shares["good"]["judge"]["value"] == shares["good"]["people"]["value"] == 1.0
    page, text = (out / "agreement.html").read_text(), (out / "agreement.md").read_text()
    assert faults(page) == [] and "<th>invalid" not in page and "missing" not in page  # nothing was
    for words in ("100.0 <small>[", "the judge&#x27;s own", "Self-preference", "against the labels of the file"):
        assert words in page
    assert "people" not in page and "people" not in text  # nobody knows who wrote the labels of a file
    assert f"read from {path}" in text or f"{path}" in text
    assert "| Cohen's kappa | 1.000" in text and "good (the judge's own)" in text


def test_simulated_labels_are_never_called_peoples(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run("data=sandbox", "samples=10", f"out={tmp_path}")
    page, text = (tmp_path / "agreement.html").read_text(), (tmp_path / "agreement.md").read_text()
    for words in (page, text, capsys.readouterr().out):
        assert "people" not in words and "sandbox&#x27;s exact answers" in words.replace("'", "&#x27;")


def test_ties_epsilon_and_the_half_it_was_chosen_on_are_in_the_report(tmp_path: Path) -> None:
    run("data=sandbox", "samples=20", f"out={tmp_path}")
    result = read_json(tmp_path / "agreement.json")
    assert result["comparisons"] == {"all": 20, "tied_by_people": 8, "tied_by_judge": 8, "invalid": 0, "missing": 0}
    assert result["ties"]["epsilon"] is not None and "drawn with seed 0" in result["ties"]["epsilon_chosen_on"]
    assert result["measures"]["tie_aware_accuracy"]["n"] == 10
    assert (
        "Epsilon" in (tmp_path / "agreement.html").read_text() and "Epsilon" in (tmp_path / "agreement.md").read_text()
    )


def test_the_same_command_again_judges_nothing_and_one_that_was_cut_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("data=sandbox", "samples=10", f"out={tmp_path}")
    run(*words)
    rows, result = verdicts(tmp_path), (tmp_path / "agreement.json").read_bytes()
    file = tmp_path / "verdicts.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:7]) + lines[7][:20])  # killed in the middle of a row
    calls: list[str] = []

    class Counting(SandboxJudge):
        def judge(self, before: Image.Image, after: Image.Image, wanted: Any) -> Verdict:
            calls.append(wanted.id)
            return super().judge(before, after, wanted)

    monkeypatch.setattr(study, "make_judge", lambda config: Counting())
    run(*words)
    assert len(calls) == 13 and verdicts(tmp_path) == rows and (tmp_path / "agreement.json").read_bytes() == result
    run(*words)
    assert len(calls) == 13


class Failing(SandboxJudge):
    """The sandbox's judge, in several threads, until something happens to the calls after the first `good`."""

    concurrency = 3

    def __init__(self, good: int, error: BaseException | None) -> None:
        self.good, self.error, self.calls = good, error, 0

    def judge(self, before: Image.Image, after: Image.Image, wanted: Any) -> Verdict:
        self.calls += 1
        if self.calls > self.good:
            if self.error is None:
                return Verdict.invalid("content filter")
            raise self.error
        return super().judge(before, after, wanted)


def test_a_spent_budget_leaves_partial_numbers_and_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("data=sandbox", "samples=10", f"out={tmp_path}")
    monkeypatch.setattr(study, "make_judge", lambda config: Failing(8, BudgetSpent("1 of 1 dollars")))
    with pytest.raises(RunFailed, match="budget is spent.*partial"):
        run(*words)
    result = read_json(tmp_path / "agreement.json")
    cell = result["measures"]["pair_accuracy"]
    assert result["partial"] and cell["partial"] and cell["n"] + cell["missing"] == 10 and cell["missing"] > 0
    assert "partial (" in (tmp_path / "agreement.html").read_text() and len(verdicts(tmp_path)) == 8
    monkeypatch.undo()
    run(*words)
    assert not read_json(tmp_path / "agreement.json")["partial"] and len(verdicts(tmp_path)) == 20


def test_what_concerns_all_edits_stops_at_once_and_keeps_what_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Failing(4, BadInput("the key was rejected"))
    monkeypatch.setattr(study, "make_judge", lambda config: judge)
    with pytest.raises(BadInput, match="key was rejected"):
        run("data=sandbox", "samples=20", f"out={tmp_path}")
    assert len(verdicts(tmp_path)) == 4 and judge.calls < 20


def test_too_many_invalid_verdicts_fail_the_run_unless_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "make_judge", lambda config: Failing(15, None))
    words = ("data=sandbox", "samples=10", f"out={tmp_path}")
    with pytest.raises(RunFailed, match="5 of 20 verdicts are invalid.*content filter"):
        run(*words)
    run(*words, "judge.max_invalid_share=0.3")
    result = read_json(tmp_path / "agreement.json")
    assert result["judge"]["invalid"] == 5 and result["comparisons"]["invalid"] >= 3


def test_scores_that_a_csv_carries_need_no_judge(tmp_path: Path) -> None:
    """Margins 2, -1, 0.5, none; people a, b, tie, a: right, right, wrong (0.5 is no tie at epsilon 0), invalid."""
    file = tmp_path / "mine.csv"
    file.write_text(
        "id,instruction,human,rater_1,rater_2,score_a,score_b\n"
        "1,x,a,a,a,7,5\n2,x,b,b,tie,4,5\n3,x,tie,a,b,5,4.5\n4,x,a,a,a,,5\n"
    )
    run("data=csv", "scores=csv", f"path={file}", f"out={tmp_path / 'out'}")
    result = read_json(tmp_path / "out" / "agreement.json")
    cell = result["measures"]["pair_accuracy"]
    assert cell["value"] == pytest.approx(2 / 3) and (cell["n"], cell["invalid"]) == (3, 1)
    # raters: (a, a), (b, tie), (a, b), (a, a): agreement 2/4; both sides a 5 + 2, b 2 + 5, tie 1 + 1 of 16
    chance = 2 * (7 / 16) ** 2 + (2 / 16) ** 2
    assert result["measures"]["fleiss_kappa_raters"]["value"] == pytest.approx((0.5 - chance) / (1 - chance))
    assert result["judge"] == {"name": "scores of the file"}


def test_every_row_keeps_its_own_scores_and_repetitions_are_no_further_evidence(tmp_path: Path) -> None:
    for name in "sab":
        Image.new("RGB", (8, 8), name == "a" and "red" or "blue").save(tmp_path / f"{name}.png")
    head, edit = "id,instruction,source,candidate_a,candidate_b,human,score_a,score_b\n", "do it,s.png,a.png,b.png,a"

    def measured(name: str, lines: list[str]) -> tuple[dict[str, Any], list[str]]:
        (tmp_path / f"{name}.csv").write_text(head + "".join(line + "\n" for line in lines))
        run("data=csv", "scores=csv", f"path={tmp_path / name}.csv", f"out={tmp_path / name}")
        result = read_json(tmp_path / name / "agreement.json")
        return result["measures"]["pair_accuracy"], result["notes"]

    cell, notes = measured("other", [f"r0,{edit},7,5", f"r1,{edit},1,9"])
    assert (cell["value"], cell["n"]) == (0.5, 2)  # in r1 the file's scores are against people
    assert any("other scores in other rows (r0: 7, r1: 1)" in note for note in notes)
    once, _ = measured("once", [f"r0,{edit},7,5"])
    often, notes = measured("often", [f"r{i},{edit},7,5" for i in range(31)])
    assert (often["value"], often["n"], often["low"], often["high"]) == (1, 31, once["low"], once["high"])
    assert notes == [
        "31 rows are the same comparison under several ids (r0, r1, r2, r3 and 27 more): they count as one request where "
        "intervals are made"
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data=sandbox", "scores=mine"], "scores=mine"),
        (["data=sandbox", "samples=0"], "samples=0"),
        (["data=nothing"], "tiger"),
        (["data=sandbox", "scores=csv"], "score_a"),
        (["data=sandbox", "rubric=pairwise"], "rubric=pairwise"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_judged(tmp_path: Path, words: list[str], expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        run(*words, f"out={tmp_path}")
    assert not (tmp_path / "verdicts.jsonl").exists()


KEY = "sk-agreement-0123456789abcdef"


def changed_side(call: cs.Call) -> str:
    """A model that prefers the picture that is not the original: A, B, or tie where both or neither changed."""
    original, a, b = (data for _, data in call.pictures)
    better = {(True, False): "A", (False, True): "B"}.get((a != original, b != original), "tie")
    return json.dumps({"reasoning": "looked", "better": better})


@pytest.mark.parametrize("rubric", ["paper", "pairwise"])
def test_a_model_behind_a_service_scores_edits_or_compares_them_and_a_rerun_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rubric: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    out = tmp_path / "out"
    reply = changed_side if rubric == "pairwise" else cs.by_schema
    with ChatServer(key=KEY, reply=reply, latency_s=0.02) as server:  # so that calls overlap
        words = ("data=sandbox", "samples=15", f"out={out}", "judge=gpt4o", f"rubric={rubric}",
                 f"judge.base_url={server.url}", f"judge.cache={tmp_path / 'cache'}", "judge.concurrency=4")  # fmt: skip
        run(*words)
        asked = len(server.calls)
        assert asked > 15 and 1 < server.most_busy <= 4
        (out / "verdicts.jsonl").unlink()
        first = read_json(out / "agreement.json")
        run(*words)
        assert len(server.calls) == asked
    second = read_json(out / "agreement.json")
    assert first["measures"] == second["measures"]
    assert (
        second["judge"]["usage"]["calls"] == 0 and second["judge"]["usage"]["cached"] == 30
    )  # equal edits: asked once
    assert all(KEY.encode() not in f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())
    if rubric == "pairwise":
        assert first["ties"] is None and first["judge"]["inconsistent"] == 0
        rows = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
        for row in rows:
            a, b, original = (
                (out / "data-15-0" / "pictures" / f"{row['group']}_{n}.png").read_bytes() for n in ("a", "b", "source")
            )
            expected = {(True, False): "a", (False, True): "b"}.get((a != original, b != original), "tie")
            assert row["label"] == expected and row["valid"]


def test_a_missing_key_is_said_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BadInput, match="OPENAI_API_KEY"):
        run("data=sandbox", "samples=5", f"out={tmp_path}", "judge=gpt4o")


def test_a_folder_with_other_verdicts_is_refused(tmp_path: Path) -> None:
    run("data=sandbox", "samples=5", f"out={tmp_path}")
    with pytest.raises(BadInput, match="verdicts under another"):
        run(
            "data=sandbox",
            "samples=5",
            f"out={tmp_path}",
            "judge._target_=experiments.build.judges.ChatJudge",
            "judge.name=other",
            "judge.model=m",
            "judge.base_url=http://localhost:1/v1",
        )
    with pytest.raises(MissingFile, match="path"):
        run("data=csv", f"out={tmp_path}")


def test_data_without_gold_are_nothing_for_the_sandbox_judge_and_data_without_pictures_for_none(tmp_path: Path) -> None:
    file = tmp_path / "bare.csv"
    file.write_text("id,instruction,human,score_a,score_b\n1,x,a,1,2\n")
    with pytest.raises(BadInput, match="column gold"):
        run("data=csv", f"path={file}", f"out={tmp_path / 'out'}")
    file.write_text('id,instruction,human,score_a,score_b,gold\n1,x,a,1,2,"[[""remove"", ""tree"", null]]"\n')
    with pytest.raises(BadInput, match="scores=csv"):
        run("data=csv", f"path={file}", f"out={tmp_path / 'out'}")


def test_the_command_ends_with_2_and_one_line_and_names_its_own_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=tiger", f"path={tmp_path / 'gone'}", f"out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["experiments.agreement", *words])
    with pytest.raises(SystemExit) as ended:
        cli.command("agreement", agreement.main, agreement.FREE_TEXT)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith("error: tiger: there is nothing at") and "gated" in said
    assert "benchmark." not in said and len(said.strip().splitlines()) == 1
