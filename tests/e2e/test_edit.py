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


@pytest.mark.slow
def test_candidates_are_made_and_a_trace_is_replayed_or_changed(tiny_vlm_path: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        ended = command(EDIT, arguments(tiny_vlm_path, "editor.steps=2", "allow_tiny=true", *words), tmp_path)
        assert ended.code == 0, ended.text
        return ended.text

    SandboxBenchmark("test").sample(0).image.save(tmp_path / "scene.png")
    (tmp_path / "request.txt").write_text("make it = darker, 'now'\n", encoding="utf-8")
    text = run("--image", "scene.png", "--instruction-file", "request.txt", "--out", "a.png", "n=2")
    assert "taken: candidate 1" in text and text.index("plan (") < text.index("call 1 of 1")
    assert {p.name for p in (tmp_path / "a_candidates").glob("*.png")} == {"1.png", "2.png"}
    trace = tmp_path / "a_trace" / "trace.json"
    assert json.loads(trace.read_text())["request"] == "make it = darker, 'now'"
    assert "the same pictures as in the trace" in run("--plan", "a_trace/trace.json", "out=b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "a_sheet.png").width > 500
    changed = json.loads(trace.read_text()) | {"sub_requests": ["remove everything"]}
    (tmp_path / "a_trace" / "changed.json").write_text(json.dumps(changed))
    text = run("plan=a_trace/changed.json", "out=c.png")
    assert "plan (given" in text and "remove everything" in text
    assert json.loads((tmp_path / "c_trace" / "trace.json").read_text())["source"] == "given"


@pytest.mark.slow
def test_a_folder_is_edited_and_gone_on_with(tiny_vlm_path: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k in range(2):
        SandboxBenchmark("test").sample(k).image.save(tmp_path / "in" / f"{k}.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    words = ["image=in", "instruction=make it darker", "out=out", "editor.steps=1", "allow_tiny=true"]
    for again in ("", "(2 of them were there already)"):
        ended = command(EDIT, arguments(tiny_vlm_path, *words), tmp_path)
        assert ended.code == 2 and "1 of 3 pictures could not be edited" in ended.text, ended.text
        assert "bad.png" in ended.text and again in ended.text and "Traceback" not in ended.text
    assert sorted(p.name for p in (tmp_path / "out").glob("?.png")) == ["0.png", "1.png"]


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
        (["instruction=x"], "missing: image="),
        (["image=scene.png", "instruction_file=none.txt"], "none.txt"),
        (["image=scene.png", "instruction=x", "instruction_file=text.png"], "both given"),
        (["image=scene.png", "instruction=x", "plan=text.png"], "leave the instruction out"),
        (["plan=text.png"], "text.png is no JSON"),
        (["image=scene.png", "instruction=x", "judge=sandbox"], "gold edits"),
        (["image=*.gif", "instruction=x"], "no file has such a name"),
        (["image=.", "instructions=text.png"], "text.png"),
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
