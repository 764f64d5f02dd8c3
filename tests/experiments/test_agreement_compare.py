"""`python -m experiments.agreement compare=[…]`: finished studies of the same data in one table, and nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from common.errors import BadInput
from common.files import read_json
from experiments.evaluation.agreement.verdicts import seen_digest
from tests.experiments.test_agreement import run
from tests.pages import faults


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judges.agreement.RESAMPLES", 100)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sandbox's judge on 20 of its comparisons, 12 of which have a better edit."""
    out = tmp_path_factory.mktemp("studies") / "pixels"
    run("data=sandbox", "samples=20", f"out={out}")
    return out


def scored(pixels: Path, out: Path, wrong: int, drop: int = 0) -> Path:
    """A study of the same comparisons by scores that order the first `wrong` of them the wrong way round."""
    rows = list(csv.DictReader((pixels / "data-20-0" / "preferences.csv").open()))[drop:]
    for k, row in enumerate(rows):
        gap = {"a": 1.0, "b": -1.0}.get(row["human"], 0.0) * (-1 if k < wrong else 1)
        row |= {"score_a": str(5 + gap), "score_b": str(5 - gap)}
    path = pixels / "data-20-0" / f"{out.name}-{drop}.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    run("data=csv", "scores=csv", f"path={path}", f"out={out}")
    return out


def test_judges_stand_in_one_table_with_differences_to_the_first(
    pixels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poor, fair = scored(pixels, tmp_path / "poor|one", 14), scored(pixels, tmp_path / "fair", 1)
    run(f"compare=['{poor}','{fair}','{pixels}']", f"out={tmp_path / 'table'}")
    result = read_json(tmp_path / "table" / "compare.json")
    assert [j["name"] for j in result["judges"]] == ["poor|one", "fair", "pixels"]
    clear = result["measures"]["accuracy_without_ties"]
    values = [cell["value"] for cell in clear["cells"]]
    assert values[2] == 1.0 and values[0] < values[1] <= values[2]
    assert clear["minus_first"][1]["value"] == pytest.approx(values[2] - values[0])
    assert clear["minus_first"][1]["p_holm"] <= 0.05 and clear["best"] is None  # fair may be as good
    page = (tmp_path / "table" / "compare.html").read_text()
    text = (tmp_path / "table" / "compare.md").read_text()
    assert faults(page) == [] and "<b>+" in page and "\ue000" not in page and "\ue001" not in page
    assert "**+" in text and "poor\\|one" in text and "judge=sandbox" in text and "scores of the file" in text
    said = capsys.readouterr().out
    assert "3 judges on" in said and "significant" in said and "compare.html" in said


def test_the_folders_names_tell_judges_apart(pixels: Path, tmp_path: Path) -> None:
    for parent in ("one", "two"):
        scored(pixels, tmp_path / parent / "judge", 3)
    run(f"compare=[{tmp_path}/one/judge,{tmp_path}/two/judge]", f"out={tmp_path / 'table'}")
    assert [j["name"] for j in read_json(tmp_path / "table/compare.json")["judges"]] == ["one/judge", "two/judge"]


def test_other_data_are_refused_by_what_is_in_them(pixels: Path, tmp_path: Path) -> None:
    def refused(folder: Path, said: str) -> None:
        with pytest.raises(BadInput, match=said):
            run(f"compare=[{pixels},{folder}]", f"out={tmp_path / 'table'}")

    run("data=sandbox", "samples=20", "seed=1", f"out={tmp_path / 'seed'}")
    refused(tmp_path / "seed", "judged on other data than .*pixels")
    refused(scored(pixels, tmp_path / "fewer", 0, drop=1), "19 comparisons, not 20")
    run("data=sandbox", "samples=20", f"out={tmp_path / 'same'}")
    file = tmp_path / "same" / "answers.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert all(len(digest) == 16 for row in rows for digest in row["seen"])
    for key, value, said in (
        ("seen", ["0" * 16, rows[3]["seen"][1]], "the pictures of .* are others"),
        ("human", "tie_bad" if rows[3]["human"] == "a" else "a", "human"),
        ("request", "do nothing", "asks for 'do nothing'"),
    ):
        changed = [row | {key: value} if k == 3 else row for k, row in enumerate(rows)]
        file.write_text("".join(json.dumps(row) + "\n" for row in changed))
        refused(tmp_path / "same", said)
    file.unlink()
    refused(tmp_path / "same", "has no answers.jsonl: an earlier version wrote it")
    refused(tmp_path / "gone", "no finished study")
    refused(pixels, "two or more different folders")


def test_a_study_that_is_not_finished_and_one_that_is_begun_anew_are_refused(pixels: Path, tmp_path: Path) -> None:
    run("data=sandbox", "samples=20", f"out={tmp_path / 'half'}")
    document = read_json(tmp_path / "half" / "agreement.json")
    (tmp_path / "half" / "agreement.json").write_text(json.dumps(document | {"partial": True}))
    with pytest.raises(BadInput, match="half is not finished"):
        run(f"compare=[{pixels},{tmp_path / 'half'}]", f"out={tmp_path / 'table'}")
    with pytest.raises(BadInput, match="leave one of them out"):
        run(f"compare=[{pixels},{pixels}]", "data=sandbox", f"out={tmp_path / 'table'}")
    with pytest.raises(BadInput, match="give data=.*or compare="):
        run(f"out={tmp_path / 'table'}")


def test_what_was_seen_is_told_apart_by_pixels_and_not_by_mode() -> None:
    from PIL import Image

    red, blue = Image.new("RGB", (4, 2), "red"), Image.new("RGB", (4, 2), "blue")
    assert seen_digest(red, blue) == seen_digest(red.convert("RGBA"), blue.copy()) != seen_digest(blue, red)
    assert seen_digest(red, blue) != seen_digest(red, blue.resize((2, 4)))
