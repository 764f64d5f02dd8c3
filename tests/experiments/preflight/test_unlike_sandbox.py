"""What the tiny models cannot know is refused before anything is loaded; the sandbox's own passes."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from conf.schema.shared import UnlikeSandbox
from experiments import edit, evaluate
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


def test_scenes_in_any_size_and_coding_are_like_the_sandbox_and_photographs_are_not(scenes):
    for sample in scenes[:3]:
        assert redrawing_error(sample.image) == 0
    large = scenes[0].image.resize((512, 512), Image.Resampling.NEAREST)
    noise = np.random.default_rng(0).normal(0, 8, (64, 64, 3))  # as an editor's result is not exact
    noisy = Image.fromarray(np.clip(np.asarray(scenes[1].image) + noise, 0, 255).astype(np.uint8))
    assert redrawing_error(large) <= BOUNDS.picture and redrawing_error(noisy) <= BOUNDS.picture
    for name in NAMES:
        assert redrawing_error(photograph(name)) > BOUNDS.picture + 5, name


def test_who_objects_depends_on_the_parts(scenes):
    photo, scene = ("photo.jpg", photograph("chelsea")), ("scene.png", scenes[0].image)
    foreign, known = ("instruction", FOREIGN[0]), ("instruction", scenes[0].request)
    assert list(objections(TINY, [scene], [known], BOUNDS)) == []
    assert list(objections(SERVICE, [photo], [known], BOUNDS)) == []
    assert len(list(objections(SERVICE, [photo], [foreign], BOUNDS))) == 1
    found = list(objections(TINY, [photo], [foreign], BOUNDS))
    assert len(found) == 2 and "photo.jpg is unlike" in found[0] and "scale=tiny" in found[0]
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
