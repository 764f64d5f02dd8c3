"""`experiments.edit` seeds from the pixels: not from the file's name, its folder, its format or what else is in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from benchmarks.sandbox.generate import SandboxBenchmark
from conf.schema import EditConfig
from experiments import edit
from experiments.runs.cli import typed
from experiments.runs.composing import compose
from experiments.runs.team import TeamParts


@pytest.fixture
def edited(tiny_vlm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """(seeds of the calls, pixels) of one command."""

    loaded: list[TeamParts] = []

    def once(config: Any, start: Path) -> TeamParts:
        loaded.append(loaded[0] if loaded else TeamParts(config, start))
        return loaded[0]

    monkeypatch.setattr("experiments.runs.team.TeamParts", once)  # loading the models takes seconds

    def call(image: Path, *more: str) -> tuple[list[int], np.ndarray]:
        out = tmp_path / f"edited-{image.name}-{len(more)}.png"
        words = [
            f"image={image}",
            "instruction=make it darker",
            f"out={out}",
            "editor.steps=2",
            "allow_tiny=true",
            "engine.threads=1",
        ]
        own = [f"decomposer.checkpoint={tiny_vlm_path}", "decomposer.max_new_tokens=8"]
        config = typed(compose("edit", [*words, *own, *more]))
        assert isinstance(config, EditConfig)
        edit.main(config)
        trace = json.loads((out.with_name(f"{out.stem}_trace") / "trace.json").read_text())
        return [c["seed"] for c in trace["calls"]], np.asarray(Image.open(out))

    return call


def test_the_same_pixels_give_the_same_picture_under_any_name_and_others_another_seed(edited, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scene = SandboxBenchmark("test").sample(0).image
    (tmp_path / "other").mkdir()
    note = PngImagePlugin.PngInfo()
    note.add_text("comment", "saved again")
    same = {name: tmp_path / name for name in ("a.png", "other/holiday.png", "c.webp")}
    scene.save(same["a.png"])
    scene.save(same["other/holiday.png"], pnginfo=note, compress_level=1)
    scene.save(same["c.webp"], lossless=True)
    changed = scene.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    changed.save(tmp_path / "d.png")
    seeds, picture = edited(same["a.png"])
    for path in list(same.values())[1:]:
        again, result = edited(path)
        assert again == seeds and np.array_equal(result, picture), path
    others, result = edited(tmp_path / "d.png")
    assert len(others) == len(seeds) > 0 and not set(others) & set(seeds) and not np.array_equal(result, picture)
