"""The tiny models behind the server: the pictures that the same models give without it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agents.traces import digest
from benchmarks.base import EditSample
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from conf.schema import ServeConfig
from editors.outcomes import EditsFailed
from experiments.build.editors import ServedEditor, make_editor
from experiments.runs.cli import compose, typed
from experiments.runs.team import TeamParts
from experiments.serving.loading import (
    SandboxOnly,
    chosen_arms,
    fingerprints,
    load_arms,
    rules_of,
)
from tests.experiments.serving.running import Running, decoded, encoded, serving

ASSETS = Path(__file__).parents[3] / "assets"
WORDS = ["editor.steps=2", "engine.device=cpu", f"paths.assets={ASSETS}"]


def config(*words: str) -> ServeConfig:
    got = typed(compose("serve", [*WORDS, *words]))
    assert isinstance(got, ServeConfig)
    return got


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    c, names = config(), ("editor", "agents")
    with serving(
        load=lambda: load_arms(c, names),
        models={name: name for name in names},
        rules=rules_of(c, names),
        check=SandboxOnly(c, names),
        fingerprints=fingerprints(c, names),
    ) as server:
        yield server


@pytest.fixture(scope="module")
def scenes() -> list[EditSample]:
    benchmark = SandboxBenchmark("test")
    return [benchmark.sample(i) for i in range(3)]


def served(running: Running, tmp_path: Path, **more: Any) -> Any:
    part = ServedEditor("served", running.url, cache=str(tmp_path / "cache"), **more)
    return make_editor(part)


def test_a_served_editor_gives_the_pictures_of_the_local_one(
    running: Running, scenes: Sequence[EditSample], tmp_path: Path
) -> None:
    """PNG is exact, so that what differs is rounding in another batch. Another size goes there and back as well."""
    pictures = [s.image for s in scenes if s.image is not None]
    pictures[1] = pictures[1].resize((50, 40))
    texts, seeds = [s.request for s in scenes], [3, 4, 2**31 - 1]
    local = make_editor(config().editor, config().engine)
    remote = served(running, tmp_path, model="editor", concurrency=1)
    for got, picture, text, seed in zip(remote.edit(pictures, texts, seeds), pictures, texts, seeds, strict=True):
        (wanted,) = local.edit([picture], [text], [seed])
        assert got.size == picture.size and got.tobytes() == wanted.tobytes()
    together = served(running, tmp_path / "again", model="editor", concurrency=4).edit(pictures, texts, seeds)
    for got, wanted in zip(together, local.edit(pictures, texts, seeds), strict=True):
        assert np.abs(np.asarray(got, int) - np.asarray(wanted, int)).max() <= 1


def test_the_team_gives_the_pictures_of_experiments_edit_alone_and_in_a_crowd(
    running: Running, scenes: Sequence[EditSample]
) -> None:
    c = config()
    team = TeamParts(c, Path(c.decomposer.checkpoint)).team(Path(c.decomposer.checkpoint))

    def ask(scene: EditSample, seed: int) -> list[dict[str, Any]]:
        fields = {"prompt": scene.request, "include": "plan", "seed": seed, "n": 2}
        status, body, _ = running.post(fields, {"image": encoded(scene.image)})
        assert status == 200, body
        return body["data"]

    with ThreadPoolExecutor(len(scenes)) as clients:
        crowd = [one for data in clients.map(ask, scenes, range(3)) for one in data]
    for one, scene in zip(crowd, (scene for scene in scenes for _ in range(2)), strict=True):
        assert scene.image is not None
        sample = EditSample(digest(scene.image), scene.request, gold=(), picture=scene.image)
        (trace,) = next(iter(team.run([sample], one["seed"], 1)))
        difference = np.asarray(decoded(base64.b64decode(one["b64_json"])), int) - np.asarray(trace.result, int)
        assert np.abs(difference).max() <= 1
        plan = json.loads(json.dumps(trace.to_dict()))
        for name in ("text", "decomposition", "sub_requests", "calls", "source"):
            assert one["plan"][name] == plan[name], name


def test_what_is_unlike_the_sandbox_is_refused(running: Running, scenes: Sequence[EditSample]) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    status, body, _ = running.post({"prompt": "make the star blue"}, {"image": encoded(noise)})
    assert status == 400 and body["error"]["param"] == "image" and "unlike the sandbox" in body["error"]["message"]
    words = {"prompt": "Verwandle jeden Gegenstand in Himbeermarmelade"}
    status, body, _ = running.post(words, {"image": encoded(scenes[0].image)})
    assert status == 400 and body["error"]["param"] == "prompt"
    assert running.post(words | {"model": "editor"}, {"image": encoded(scenes[0].image)})[0] == 200


def test_the_servers_own_settings_are_not_a_requests(
    running: Running, scenes: Sequence[EditSample], tmp_path: Path
) -> None:
    editor = served(running, tmp_path, model="editor", num_inference_steps=9)
    with pytest.raises(BadInput, match="does not take 'num_inference_steps'"):
        editor.edit([scenes[0].image], ["x"], [0])
    with pytest.raises(BadInput, match="editor.model"):
        served(running, tmp_path, model="none").edit([scenes[0].image], ["x"], [0])
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(EditsFailed, match="unlike the sandbox"):
        served(running, tmp_path, model="editor").edit([noise], ["x"], [0])


def test_the_check_before_a_run_asks_whether_the_model_is_there(running: Running) -> None:
    from experiments.preflight.machine import ThisMachine

    def lines(url: str = running.url, **more: Any) -> list[str]:
        return list(ServedEditor("served", url, **more).missing(ThisMachine()))

    assert lines() == lines(model="editor") == lines(url="http://127.0.0.1:9/v1", ask_first=False) == []
    assert "it has editor, agents" in lines(model="other")[0]
    assert "cannot be reached" in lines("http://127.0.0.1:9/v1")[0]
    assert "ends with /v1" in lines(running.root)[0]
    assert "editor.base_url=" in lines("")[0]
    assert "key NO_SUCH_KEY" in lines(key_env="NO_SUCH_KEY")[0]


def test_fingerprints_tell_settings_apart() -> None:
    first = fingerprints(config(), ("editor", "agents"))
    assert first == fingerprints(config("seed=5"), ("editor", "agents"))
    assert first["editor"] != first["agents"]
    steps, multi = fingerprints(config("editor.steps=3"), first), fingerprints(config("execution=multi"), first)
    assert steps["editor"] != first["editor"] and steps["agents"] != first["agents"]
    assert multi["editor"] == first["editor"] and multi["agents"] != first["agents"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arms=agent"], "arms=agent is unknown"),
        (["arms=none"], "arms=none is unknown"),
        (["arms=agents_rl"], "needs run="),
        (["queue_size=4"], "max_n=10"),
    ],
)
def test_settings_that_cannot_work(words: list[str], message: str) -> None:
    c = config(*words)
    with pytest.raises(BadInput, match=message):
        rules_of(c, chosen_arms(c))


def test_the_order_of_arms_is_fixed() -> None:
    assert chosen_arms(config()) == ("editor", "agents") == chosen_arms(config("arms=[agents,editor]"))
    assert chosen_arms(config("arms=editor")) == ("editor",)
