"""The cold start's traces: deliberate errors, the verifier's choice, and files that anybody's data can be put into."""

import json
from pathlib import Path

import pytest

from common.errors import BadData, MissingFile
from common.jsonl import read_jsonl
from experiments.tiny.simulated import Writers
from experiments.tiny.teacher import SandboxTeacher, faulty, requests
from experiments.training_data.candidates import CandidateFolder
from experiments.training_data.cold_start import ROWS, ColdStart, batches, summary, write_cold_start
from judges.reasoning.sandbox import sandbox_points
from judges.reasoning.trace import Form, read_trace
from judges.rubrics.rrm import RRMRubric
from judges.sandbox import SandboxJudge
from rl.sft import SFTExample

COUNT = 12


def rubric(form: Form = Form.BOTH) -> RRMRubric:
    return RRMRubric(sandbox_points, "rrm_tiny", form)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cold")
    folder = CandidateFolder(path, requests("train", 7), {"faults": faulty(0)}, SandboxJudge(), 2)
    folder.make("edits", COUNT)
    write_cold_start(path, folder.read(COUNT), SandboxTeacher(Writers(), 4, 0), COUNT)
    return path


def test_the_chosen_trace_is_the_most_accurate_one(data: Path) -> None:
    rows = read_jsonl(data / ROWS)
    assert len(rows) == 2 * COUNT
    for row in rows:
        assert row["accuracy"][row["chosen"]] == max(row["accuracy"])
        questions = [p["question"] for p in row["points"]]
        traces = [read_trace(text, questions) for text in row["traces"]]
        right = [sum(a == b for a, b in zip(t.verdicts, row["gold"], strict=True)) / len(row["gold"]) for t in traces]
        assert right == pytest.approx(row["accuracy"])
    found = summary(data)
    assert (
        found["accuracy_of_chosen"] > found["accuracy_of_all"] + 0.05
    )  # there were errors, and the choice avoids them


def test_writers_without_errors_say_what_the_judge_says(tmp_path: Path) -> None:
    folder = CandidateFolder(tmp_path, requests("train", 7), {"faults": faulty(0)}, SandboxJudge(), 1)
    folder.make("edits", 4)
    write_cold_start(tmp_path, folder.read(4), SandboxTeacher(Writers(0.0, 0.0), 1, 0), 4)
    for row, (candidate,) in zip(read_jsonl(tmp_path / ROWS), folder.read(4), strict=True):
        trace = read_trace(row["traces"][0], [p["question"] for p in row["points"]])
        assert list(trace.verdicts) == row["gold"] and row["accuracy"] == [1.0]
        assert abs(trace.score - candidate.verdict.scores["overall"]) <= 0.25  # in halves


@pytest.mark.parametrize("form", list(Form))
def test_examples_have_the_form_that_is_trained(data: Path, form: Form) -> None:
    for example, row in zip(ColdStart(data, rubric(form)).examples(), read_jsonl(data / ROWS), strict=True):
        questions = [p["question"] for p in row["points"]]
        whole = read_trace(row["traces"][row["chosen"]], questions)
        said = read_trace(example.answer, questions, form)
        assert said.score == whole.score
        assert said.thought == (whole.thought if form.thinks else "")
        assert (questions[0] in example.request.parts[2]) is form.verifies  # type: ignore[operator]
        assert row["request"] in example.request.parts[2]  # type: ignore[operator]


def test_an_interrupted_writing_goes_on(data: Path, tmp_path: Path) -> None:
    folder = CandidateFolder(data, requests("train", 7), {"faults": faulty(0)}, SandboxJudge(), 2)
    teacher = SandboxTeacher(Writers(), 4, 0)
    write_cold_start(tmp_path, folder.read(5), teacher, 5)
    write_cold_start(tmp_path, folder.read(COUNT), teacher, COUNT)
    assert (tmp_path / ROWS).read_text() == (data / ROWS).read_text()


def test_ones_own_rows_are_read_by_the_same_door(data: Path, tmp_path: Path) -> None:
    row = read_jsonl(data / ROWS)[0]
    for key in ("before", "after"):
        row[key] = str(data / row[key])
    unread = row | {"traces": ["no trace"], "accuracy": [None], "chosen": None}
    (tmp_path / ROWS).write_text(json.dumps(row) + "\n" + json.dumps(unread) + "\n")
    assert len(ColdStart(tmp_path, rubric()).examples()) == 1  # nothing is learnt from a row without a readable trace
    (tmp_path / ROWS).write_text(json.dumps(row | {"after": "gone.png"}) + "\n")
    with pytest.raises(BadData, match="row 1.*gone.png"):
        ColdStart(tmp_path, rubric()).examples()
    with pytest.raises(MissingFile, match="no traces.jsonl"):
        ColdStart(tmp_path / "nowhere", rubric()).examples()


def test_every_example_comes_once_an_epoch(data: Path) -> None:
    examples: list[SFTExample] = ColdStart(data, rubric()).examples()
    batch = batches(examples, 3)
    seen = [id(e) for step in range(8) for e in batch(step, 6)]
    assert sorted(seen[:24]) == sorted(map(id, examples)) == sorted(seen[24:])
    assert seen[:24] != seen[24:] and [id(e) for e in batches(examples, 3)(0, 6)] == seen[:6]
