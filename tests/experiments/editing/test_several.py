"""Many pictures: what is done is not done again, what is bad is reported at the end, and settings are not mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import BadInput, RunFailed, SaveFailed
from conf.schema import EditConfig
from experiments.editing.candidates import from_request
from experiments.editing.listing import Work, one_instruction
from experiments.editing.main import sample_of
from experiments.editing.one import edit_one
from experiments.editing.several import edit_several, is_done
from experiments.runs.cli import typed
from experiments.runs.composing import compose
from tests.experiments.editing.stand_ins import team


@pytest.fixture(scope="module")
def config() -> EditConfig:
    return typed(compose("edit", []))  # type: ignore[no-any-return]


class Desk:
    """Edits, and remembers which pictures."""

    def __init__(self) -> None:
        self.edited: list[str] = []
        self.kill_after = 99

    def __call__(self, work: Work, given: Any, out: Path) -> Any:
        if len(self.edited) == self.kill_after:
            raise KeyboardInterrupt
        self.edited.append(work.image.name)
        return edit_one(given, from_request(team(), sample_of(given, work.instruction)), out, 0)


def folder(place: Path, n: int = 4) -> list[Work]:
    place.mkdir(parents=True, exist_ok=True)
    for k in range(n):
        Image.fromarray(np.full((6, 8, 3), 40 * k, np.uint8)).save(place / f"{k}.png")
    return one_instruction(str(place), "moon star")


def test_the_same_command_goes_on_where_it_stopped(tmp_path: Path, config: EditConfig) -> None:
    works, desk = folder(tmp_path / "in"), Desk()
    desk.kill_after = 2
    with pytest.raises(KeyboardInterrupt):
        edit_several(works, tmp_path / "out", config, desk)
    desk.kill_after = 99
    edit_several(works, tmp_path / "out", config, desk)
    edit_several(works, tmp_path / "out", config, desk)
    assert desk.edited == ["0.png", "1.png", "2.png", "3.png"]
    for k in range(4):
        assert Image.open(tmp_path / "out" / f"{k}.png").size == (8, 6)
        assert (tmp_path / "out" / f"{k}_sheet.png").is_file()


def test_what_changed_is_done_again_and_nothing_else(tmp_path: Path, config: EditConfig) -> None:
    works, desk, out = folder(tmp_path / "in"), Desk(), tmp_path / "out"
    edit_several(works, out, config, desk)
    desk.edited.clear()
    Image.new("RGB", (8, 6), "red").save(tmp_path / "in" / "1.png")  # other pixels
    (out / "2.png").unlink()  # the result is gone
    (out / "3_trace" / "trace.json").write_text("{")  # damaged
    edit_several(works, out, config, desk)
    assert desk.edited == ["1.png", "2.png", "3.png"]
    assert not is_done(Work(works[0].image, "something else", "0"), out, 0) and not is_done(works[0], out, 1)


def test_a_bad_file_is_reported_and_the_others_go_on(
    tmp_path: Path, config: EditConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    works, desk = folder(tmp_path / "in"), Desk()
    (tmp_path / "in" / "1.png").write_text("no picture")
    works[2] = Work(works[2].image, "refused", works[2].name)
    with pytest.raises(RunFailed, match=r"2 of 4 pictures could not be edited:\n(.*\n)?.*1\.png.*\n.*2\.png.*not this"):
        edit_several(works, tmp_path / "out", config, desk)
    assert sorted(p.name for p in (tmp_path / "out").glob("?.png")) == ["0.png", "3.png"]
    desk.edited.clear()
    with pytest.raises(RunFailed):
        edit_several(works, tmp_path / "out", config, desk)
    assert desk.edited == ["2.png"]  # tried again


def test_other_settings_need_another_folder(tmp_path: Path, config: EditConfig) -> None:
    works = folder(tmp_path / "in", 1)
    edit_several(works, tmp_path / "out", config, Desk())
    with pytest.raises(BadInput, match="editor.steps=.*choose another out"):
        edit_several(works, tmp_path / "out", typed(compose("edit", ["editor.steps=3"])), Desk())
    with pytest.raises(BadInput, match="folder of the pictures themselves"):
        edit_several(works, tmp_path / "in", config, Desk())
    with pytest.raises(BadInput, match="go into a folder"):
        edit_several(works, tmp_path / "out.png", config, Desk())


def test_a_full_disk_ends_it_at_once(tmp_path: Path, config: EditConfig) -> None:
    def full(work: Work, given: Any, out: Path) -> Any:
        raise SaveFailed("No space left on device")

    with pytest.raises(SaveFailed):
        edit_several(folder(tmp_path / "in"), tmp_path / "out", config, full)
