"""What the tiny models cannot know is refused before anything is loaded; the sandbox's own passes."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

from benchmarks.base import Edit
from benchmarks.item import Item
from benchmarks.labels import BY_DATA, RECORDS, Labelled
from benchmarks.sandbox.generate import SandboxBenchmark, random_scene
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import BACKGROUNDS, LIGHTS, TONES, Scene
from common.errors import BadData, BadInput
from common.pictures import to_rgb
from conf.schema.shared import UnlikeSandbox
from experiments import edit, evaluate, run
from experiments.preflight.unlike_sandbox import check_benchmark, objections, redrawing_error, refuse, unknown_share
from experiments.runs import cli
from tests.judges.metrics.photographs import NAMES, photograph

BOUNDS = UnlikeSandbox()
DECOMPOSER = "assets/tiny/decomposer"
TINY = SimpleNamespace(
    editor=SimpleNamespace(name="qwen", sandbox_only=True),
    decomposer=SimpleNamespace(name="tiny", sandbox_only=True, checkpoint=DECOMPOSER),
    scale=SimpleNamespace(name="tiny"),
)
SERVICE = SimpleNamespace(**{**vars(TINY), "editor": SimpleNamespace(name="nano_banana")})
FOREIGN = (
    "Mach den roten Stern blau und entferne den Baum",
    "rends l'étoile rouge bleue et supprime l'arbre",
    "cambia el color de la estrella a azul",
    "把红色的星星变成蓝色，然后删除那棵树",
    "сделай звезду синей",
)


@pytest.fixture(scope="module")
def scenes() -> list:
    sandbox = SandboxBenchmark("test")
    return [sandbox.sample(i) for i in range(200)]


def test_the_sandboxs_own_requests_are_within_the_bound(scenes):
    shares = [unknown_share(s.request, DECOMPOSER) for s in scenes]
    assert max(shares) <= BOUNDS.words and sum(s > 0 for s in shares) > 0


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages_are_beyond_it(text):
    assert unknown_share(text, DECOMPOSER) > BOUNDS.words


def test_what_is_quoted_is_data():
    assert unknown_share("add the text 'Grüße aus Köln' to the image", DECOMPOSER) == 0
    assert unknown_share("2", DECOMPOSER) == 0


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return Image.open(file).convert("RGB")


def noisy(image: Image.Image, spread: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, spread, (*image.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


FORMS: dict[str, Callable[[Scene], Image.Image]] = {
    "64": lambda s: Image.fromarray(render(s)),
    "96": lambda s: Image.fromarray(render(s, 96)),
    "256": lambda s: Image.fromarray(render(s, 256)),
    "512 by nearest": lambda s: Image.fromarray(render(s)).resize((512, 512), Image.Resampling.NEAREST),
    "200 by bicubic": lambda s: Image.fromarray(render(s)).resize((200, 200), Image.Resampling.BICUBIC),
    "JPEG": lambda s: jpeg(Image.fromarray(render(s))),
    "JPEG of 256": lambda s: jpeg(Image.fromarray(render(s, 256))),
    "noise": lambda s: noisy(Image.fromarray(render(s)), 8),
    "blur": lambda s: Image.fromarray(render(s)).filter(ImageFilter.GaussianBlur(0.6)),
}


@pytest.mark.parametrize("form", FORMS)
def test_scenes_of_every_kind_in_any_size_and_coding_are_like_the_sandbox(form):
    rng = Random(form)
    looks = [
        (b, light, tone, zoom)
        for b in BACKGROUNDS
        for light in ("", *LIGHTS)
        for tone in ("", *TONES)
        for zoom in ("", "center")
    ]
    for background, light, tone, zoom in rng.sample(looks, 5):
        scene = replace(random_scene(rng, "test"), background=background, light=light, tone=tone, zoom=zoom)
        error = redrawing_error(FORMS[form](scene))
        assert error <= BOUNDS.picture - 0.05, (form, error, scene)


def test_every_background_without_a_thing_is_like_the_sandbox():
    for background in BACKGROUNDS:
        for form in ("64", "noise"):
            assert redrawing_error(FORMS[form](Scene(background, ()))) <= BOUNDS.picture - 0.05, (background, form)


PHOTOS = ("astronaut", "rocket", "camera", "moon", "hubble_deep_field", "brick", "text", "horse")


def shipped(name: str) -> Image.Image:
    values = getattr(data, name)()
    values = values.astype(np.uint8) * 255 if values.dtype == bool else values
    return to_rgb(Image.fromarray(values))


def test_photographs_are_unlike_the_sandbox():
    errors = {name: redrawing_error(shipped(name)) for name in PHOTOS}
    assert min(errors.values()) > BOUNDS.picture + 0.05, errors
    small = {name: redrawing_error(photograph(name).resize((64, 64), Image.Resampling.LANCZOS)) for name in NAMES}
    assert min(small.values()) > BOUNDS.picture + 0.05, small


def screenshot(ground: str, ink: str) -> Image.Image:
    picture = Image.new("RGB", (800, 600), ground)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 800, 30), fill="#3b6ea5")
    for y in range(50, 590, 18):
        pen.text((170, y), "lorem ipsum dolor sit amet " * 3, fill=ink)
    return picture


def drawing(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y, w, h = (int(v) for v in rng.integers(10, 150, 4))
        pen.ellipse((x, y, x + w, y + h), fill=tuple(int(v) for v in rng.integers(0, 256, 3)), outline="black", width=3)
        pen.line((y, x, x + w, y + h), fill="black", width=4)
    return picture


def gradient(one: tuple[int, ...], other: tuple[int, ...]) -> Image.Image:
    t = np.linspace(0, 1, 256)[None, :, None]
    return Image.fromarray(np.broadcast_to((1 - t) * one + t * np.array(other), (256, 256, 3)).astype(np.uint8))


def test_other_pictures_are_unlike_it_too():
    rng = np.random.default_rng(0)
    others = {
        "noise": Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)),
        "clouds": Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
            (256, 256), Image.Resampling.BICUBIC
        ),
        "plain": Image.new("RGB", (256, 256), (0, 255, 0)),
        "gradient": gradient((250, 200, 20), (10, 40, 200)),
        "grey gradient": gradient((0, 0, 0), (255, 255, 255)),
        "page": screenshot("white", "black"),
        **{f"drawing {n}": drawing(n) for n in range(2)},
    }
    errors = {name: redrawing_error(picture) for name, picture in others.items()}
    assert min(errors.values()) > BOUNDS.picture + 0.02, errors


def test_who_objects_depends_on_the_parts(scenes):
    photo, scene = ("photo.jpg", photograph("chelsea")), ("scene.png", scenes[0].image)
    foreign, known = ("instruction", FOREIGN[0]), ("instruction", scenes[0].request)
    assert list(objections(TINY, [scene], [known], BOUNDS)) == []
    assert list(objections(SERVICE, [photo], [known], BOUNDS)) == []
    assert len(list(objections(SERVICE, [photo], [foreign], BOUNDS))) == 1
    found = list(objections(TINY, [photo], [foreign], BOUNDS))
    assert len(found) == 2 and "photo.jpg is unlike" in found[0] and "scale=tiny" in found[0]
    looked = list(objections(SERVICE, [], [known], BOUNDS, seen=[photo, scene]))
    assert len(looked) == 1 and "decomposer=tiny" in looked[0] and "photo.jpg" in looked[0]
    with pytest.raises(BadInput, match=r"scale=paper.*editor=nano_banana.*allow_tiny=true") as stop:
        refuse(found, False)
    assert "\n" not in str(stop.value)
    assert refuse(found, True) == found and refuse([], False) == []


class Photos:
    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def unit(self, i):
        return (SimpleNamespace(id=f"i{i}", image=self.pictures[i], request="remove the star"),)


def test_a_benchmark_of_photographs_is_refused_and_one_odd_picture_is_not(scenes):
    photo, scene = photograph("chelsea"), scenes[0].image
    with pytest.raises(BadInput, match="the picture of i0 is unlike.*and 2 more"):
        check_benchmark(TINY, Photos([photo, photo, photo, scene]), ("editor",), False, BOUNDS)
    assert len(check_benchmark(TINY, Photos([photo, photo]), ("editor",), True, BOUNDS)) == 2
    assert check_benchmark(TINY, Photos([scene, scene, photo]), ("editor",), False, BOUNDS) == []
    assert check_benchmark(TINY, Photos([photo]), (), False, BOUNDS) == []  # nobody edits
    with pytest.raises(BadInput, match="decomposer=tiny.*cannot tell"):
        check_benchmark(TINY, Photos([photo]), (), False, BOUNDS, decomposed=True)


def test_a_damaged_picture_is_for_others_to_name(scenes):
    class Damaged(Photos):
        def unit(self, i):
            def stop():
                raise BadData("damaged")

            return (Item("x", "remove the star", (), source=stop if i == 0 else lambda: self.pictures[i]),)

    scene = scenes[0].image
    assert check_benchmark(TINY, Damaged([scene, scene, scene]), ("editor",), False, BOUNDS) == []


def prepared(folder, pictures, requests):
    (folder / "pictures").mkdir(parents=True)
    lines = []
    for i, request in enumerate(requests):
        name = None
        if pictures:
            name = f"pictures/{i}.png"
            pictures[i % len(pictures)].save(folder / name)
        lines.append(
            Labelled(f"r{i}", f"{request} {i}", (Edit("remove", "star"),), "x", "x", BY_DATA, picture=name).to_json()
        )
    (folder / RECORDS).write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(
    ("kind", "request_text", "said"),
    [
        ("photographs", "remove the star", "decomposer=tiny"),
        ("scenes", "remove the star", ""),
        ("none", "remove the star", ""),
        ("none", FOREIGN[0], "its words are none"),
    ],
)
def test_a_run_is_not_trained_on_it_unasked(kind, request_text, said, scenes, tmp_path, monkeypatch, capsys):
    photo = photograph("chelsea").resize((128, 96))
    pictures = {"photographs": [photo], "scenes": [s.image for s in scenes[:4]], "none": []}[kind]
    folder = prepared(tmp_path / "set", pictures, [request_text] * 60)
    began = []
    monkeypatch.setattr(run, "work", lambda *_: began.append(1))
    for more in ([], ["allow_tiny=true"]):
        words = ["benchmark=prepared", f"benchmark.path={folder}", f"paths.outputs={tmp_path / 'out'}", *more]
        monkeypatch.setattr(sys, "argv", ["run", *words])
        refused = bool(said) and not more
        if refused:
            with pytest.raises(SystemExit) as stop:
                cli.command("run", run.main)
            assert stop.value.code == 2
        else:
            cli.command("run", run.main)
        captured = capsys.readouterr()
        told = " ".join((captured.err + captured.out).split())
        assert (said in told) if said else "unlike" not in told
        if refused:
            assert "allow_tiny=true" in told and "scale=paper" in told and not (tmp_path / "out").exists()
    assert len(began) == (1 if said else 2)


def test_the_commands_refuse_with_exit_code_2_before_they_work(tmp_path, monkeypatch, capsys):
    photo = tmp_path / "photo.png"
    photograph("chelsea").resize((96, 64)).save(photo)
    (tmp_path / "q.csv").write_text("id,image,instruction\na,photo.png,remove the star\n")
    for name, module, words in (
        ("edit", edit, [f"image={photo}", "instruction=remove the star", f"out={tmp_path / 'out.png'}"]),
        (
            "edit",
            edit,
            [f"image={photo}", "editor=sandbox", "instruction=" + FOREIGN[0], f"out={tmp_path / 'out.png'}"],
        ),
        (
            "evaluate",
            evaluate,
            [
                "run=none",
                "arms=editor",
                "benchmark=folder",
                f"benchmark.path={tmp_path}",
                "judge=gpt4o",
                f"out={tmp_path / 'e'}",
            ],
        ),
    ):
        monkeypatch.setattr(sys, "argv", [name, *words])
        monkeypatch.setenv("OPENAI_API_KEY", "unused")
        with pytest.raises(SystemExit) as stop:
            cli.command(name, module.main, module.FREE_TEXT)
        assert stop.value.code == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "allow_tiny=true" in said and "scale=paper" in said
    assert not (tmp_path / "out.png").exists() and not list(tmp_path.rglob("*-of-*.jsonl"))
