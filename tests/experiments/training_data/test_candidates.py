"""Candidate edits in a folder: the same whatever was interrupted, each maker in its turn, invalid verdicts left out."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from benchmarks.base import EditSample
from benchmarks.sandbox.candidates import PIXEL_FAULTS, candidate
from common.errors import BadInput
from common.jsonl import read_jsonl
from experiments.tiny.teacher import edited, faulty, requests
from experiments.training_data.candidates import ROWS, CandidateFolder
from judges.base import OVERALL
from judges.sandbox import SandboxJudge

SAMPLES = requests("train", 5)


def copy(samples: Sequence[EditSample], seeds: Sequence[int]) -> list[Image.Image | None]:
    """A maker that does nothing, and gives nothing for every fifth seed."""
    return [None if seed % 5 == 4 else sample.image for sample, seed in zip(samples, seeds, strict=True)]


def folder(path: Path, chunk: int = 3) -> CandidateFolder:
    return CandidateFolder(path, SAMPLES, {"faults": faulty(0), "copy": copy}, SandboxJudge(), 2, chunk)


def test_an_interrupted_folder_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    folder(tmp_path / "whole").make("edits", 6)
    begun = folder(tmp_path / "begun")
    begun.make("edits", 3)
    path = tmp_path / "begun" / ROWS
    path.write_text(path.read_text() + '{"step": 6, "sam')  # a row that a kill tore
    folder(tmp_path / "begun").make("edits", 6)
    assert read_jsonl(path) == read_jsonl(tmp_path / "whole" / ROWS)
    made = folder(tmp_path / "whole").read(6)
    assert [len(own) for own in made] == [len(own) for own in folder(tmp_path / "begun").read(6)]
    assert all(a.opens().tobytes() == b.opens().tobytes() for a, b in zip(made[0], begun.read(6)[0], strict=True))


def test_makers_take_turns_and_pictures_that_were_not_made_are_left_out(tmp_path: Path) -> None:
    folder(tmp_path).make("edits", 6)
    rows = read_jsonl(tmp_path / ROWS)
    assert {(r["maker"], (r["sample"] + r["candidate"]) % 2) for r in rows} == {("faults", 0), ("copy", 1)}
    missing = {(i, k) for i in range(6) for k in (0, 1) if (i + k) % 2 and (2 * i + k) % 5 == 4}
    assert {(r["sample"], r["candidate"]) for r in rows} == {(i, k) for i in range(6) for k in (0, 1)} - missing


def test_no_maker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least one maker"):
        CandidateFolder(tmp_path, SAMPLES, {}, SandboxJudge(), 2).make("edits", 1)


def test_an_editor_is_a_maker() -> None:
    class Turned:
        def edit(self, images, instructions, seeds):  # type: ignore[no-untyped-def]
            return [image.rotate(90) for image in images]

    sample = SAMPLES(0)
    (picture,) = edited(Turned())([sample], [0])
    assert picture is not None and picture.tobytes() == sample.image.rotate(90).tobytes()


def test_faults_are_a_function_of_the_seed_and_cover_all_worths() -> None:
    """Some candidates are exact, some worthless, most in between; no fault, no loss."""
    judge, scores, exact = SandboxJudge(), [], []
    for i in range(40):
        sample = SAMPLES(i)
        made, again = candidate(sample, Random(i)), candidate(sample, Random(i))
        assert np.array_equal(made.picture, again.picture) and made.faults == again.faults
        verdict = judge.judge(sample.image, made.picture, sample)
        scores.append(verdict.scores[OVERALL])
        if not made.faults:
            exact.append(verdict.scores[OVERALL])
    assert len(exact) > 3 and min(exact) > 9.5
    assert sum(s < 1 for s in scores) > 3 and sum(2 < s < 9 for s in scores) > 8


@pytest.mark.parametrize("name", PIXEL_FAULTS)
def test_a_fault_of_the_pixels_costs_quality(name: str) -> None:
    sample = SAMPLES(1)
    spoilt = PIXEL_FAULTS[name](sample.target, Random(3))
    before, after = (
        SandboxJudge().judge(sample.image, p, sample).scores["image_quality"] for p in (sample.target, spoilt)
    )
    assert after < before - 0.5
