"""The team on one's own picture: every kind of picture and request gives a result or one clear message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.sandbox.generate import SandboxBenchmark
from tests.e2e.processes import ASSETS, command

EDIT = "experiments.edit"


def arguments(model: Path, *more: str) -> list[str]:
    return [
        f"paths.assets={ASSETS}",
        f"decomposer.checkpoint={model}",
        "decomposer.max_new_tokens=8",
        "engine.threads=1",
        *more,
    ]


def pictures(folder: Path) -> dict[str, Image.Image]:
    scene = SandboxBenchmark("test").sample(0).image
    turned = Image.Exif()
    turned[0x0112] = 6
    rotated = folder / "rotated.jpg"
    scene.resize((64, 40)).save(rotated, exif=turned)
    named = {
        "scene.png": scene,
        "alpha.png": scene.convert("RGBA"),
        "palette.gif": scene.convert("P"),
        "cmyk.jpg": scene.convert("CMYK"),
        "deep.png": scene.convert("L").convert("I;16"),
        "dot.png": Image.new("RGB", (1, 1), (9, 9, 9)),
        "strip.png": Image.new("RGB", (20000, 3), (90, 9, 9)),
    }
    for name, image in named.items():
        image.save(folder / name)
    return {**named, "rotated.jpg": Image.new("RGB", (40, 64))}


@pytest.mark.slow
def test_any_picture_gives_one_of_its_own_size(tiny_vlm_path: Path, tmp_path: Path) -> None:
    for name, image in pictures(tmp_path).items():
        out = f"{Path(name).stem}_out.png"
        ended = command(
            EDIT,
            arguments(
                tiny_vlm_path, f"image={name}", "instruction=make it, well, darker", f"out={out}", "allow_tiny=true"
            ),
            tmp_path,
        )
        assert ended.code == 0, f"{name}: {ended.text}"
        assert Image.open(tmp_path / out).size == image.size, name
        assert "plan (" in ended.text
    trace = json.loads((tmp_path / "scene_out_trace" / "trace.json").read_text())
    assert trace["request"] == "make it, well, darker"


@pytest.mark.parametrize(
    ("request_text", "needle"),
    [
        ("x" * 10_000, "was cut to"),
        ("把红色的星星变成蓝色，然后删除那棵树", "plan ("),
        ('a "quoted" ${odd} [request]; with: = {all}', "plan ("),
    ],
    ids=["10000 characters", "another language", "special characters"],
)
def test_any_request_is_taken(tiny_vlm_path: Path, tmp_path: Path, request_text: str, needle: str) -> None:
    SandboxBenchmark("test").sample(0).image.save(tmp_path / "scene.png")
    words = ["image=scene.png", f"instruction={request_text}", "allow_tiny=true"]
    ended = command(EDIT, arguments(tiny_vlm_path, *words), tmp_path)
    assert ended.code == 0, ended.text
    assert needle in ended.text and (tmp_path / "outputs" / "edits" / "scene.png").is_file()


@pytest.mark.parametrize(
    ("more", "needle"),
    [
        (["image=none.png", "instruction=x"], "none.png"),
        (["image=empty.png", "instruction=x"], "empty.png"),
        (["image=text.png", "instruction=x"], "text.png"),
        (["image=scene.png", "instruction="], "empty"),
        (["image=scene.png", "instruction= \u200b "], "empty"),
        (["image=scene.png"], "instruction"),
        (["image=scene.png", "instruction=x", "out=edited.xyz"], "edited.xyz"),
        (["image=scene.png", "instruction=x", "run=nowhere"], "nowhere"),
        (["image=scene.png", "instruction=x", "execution=both"], "execution=loop"),
    ],
)
def test_what_cannot_work_exits_2_with_one_message(
    tiny_vlm_path: Path, tmp_path: Path, more: list[str], needle: str
) -> None:
    SandboxBenchmark("test").sample(0).image.save(tmp_path / "scene.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    ended = command(EDIT, arguments(tiny_vlm_path, *more), tmp_path)
    assert ended.code == 2, ended.text
    assert "error: " in ended.text and needle in ended.text and "Traceback" not in ended.text
    assert not (tmp_path / "outputs").exists()
