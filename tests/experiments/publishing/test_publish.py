"""Published folders: they load without this project, say where they come from, and nothing foreign is overwritten."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from agents.backends.vlm import load_vlm
from common.errors import BadInput, MissingFile, RunFailed
from common.files import read_json, write_json, write_text
from common.places import ROOT
from editors.saving import save_with_transformer
from experiments import publish as command
from experiments.publishing import hub
from experiments.publishing.commands import command_of
from experiments.publishing.folder import MARK
from experiments.publishing.numbers import numbers_of
from experiments.publishing.origins import Origin, origin_of
from experiments.publishing.parts import choose, trained_parts
from experiments.runs.identity import config_text, load_config
from tests.isolated import run_alone
from tests.made_up_runs import configured

TINY = ROOT / "assets" / "tiny"


@pytest.fixture
def run(finished_run: Path) -> Path:
    """A finished run with the decomposer that it would have trained."""
    shutil.copytree(TINY / "decomposer_direct", finished_run / "decomposer")
    return finished_run


@pytest.fixture
def published(run: Path, tmp_path: Path) -> Path:
    command.main([f"run={run}", f"to={tmp_path / 'out'}"])
    return tmp_path / "out"


def head(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def example(folder: Path) -> str:
    match = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert match
    return match[1]


def test_a_published_decomposer_gives_the_same_logits_without_this_project(published: Path) -> None:
    pytest.importorskip("torchvision", reason="transformers' own processor of this family imports it")
    Image.new("RGB", (64, 64), (200, 30, 30)).save(published / "picture.png")
    code = "logits = model(**inputs).logits\ntorch.save((dict(inputs), logits), 'out.pt')\n"
    answer = run_alone(example(published) + code, published)
    assert "<action>" in answer
    inputs, logits = torch.load(published / "out.pt", weights_only=False)
    vlm = load_vlm(published)
    with torch.inference_mode():
        assert torch.equal(vlm.model(**inputs).logits, logits)


@pytest.mark.slow
@pytest.mark.parametrize("name,asset", [("flux_kontext", "flux_kontext"), ("qwen", "qwen_image_edit")])
def test_a_published_editor_loads_with_diffusers_alone(name: str, asset: str, tmp_path: Path) -> None:
    run = editor_run(tmp_path / "edit_r1-00000000", name, TINY / asset)
    command.main([f"run={run}", f"to={tmp_path / 'out'}"])
    out = tmp_path / "out"
    assert not any(path.is_symlink() for path in out.rglob("*"))
    Image.new("RGB", (64, 64), (200, 30, 30)).save(out / "picture.png")
    run_alone(example(out), out)
    with Image.open(out / "edited.png") as picture:
        assert picture.size == (64, 64)


def editor_run(folder: Path, name: str, base: Path) -> Path:
    """A finished run of Edit-R1 that trained nothing but its editor."""
    from editors.loading import load_pipeline

    write_text(folder / "config.yaml", config_text(configured(("experiment=edit_r1", f"editor={name}"))))
    cell = {"value": 5.0, "low": 4.5, "high": 5.5, "n": 100, "invalid": 0}
    write_json(folder / "results.json", {"editor_rl": {"cells": {"overall": {"before": cell, "after": cell}}}})
    save_with_transformer(load_pipeline(base, name).transformer, base, folder / "editor")
    return folder


def test_the_card_says_data_numbers_command_base_and_licence(published: Path, run: Path) -> None:
    text, said = (published / "README.md").read_text(encoding="utf-8"), head(published)
    assert said["license"] == "apache-2.0" and said["library_name"] == "transformers" and "base_model" not in said
    assert {"image-editing", "decomposer", "grpo"} <= set(said["tags"])
    results = read_json(run / "results.json")
    change = results["decomposition"]["change"]["mean_f1"]
    assert f"| mean F1, after − before RL | {change['value']:.3g} | {change['low']:.3g} to {change['high']:.3g}" in text
    values = [m["value"] for m in said["model-index"][0]["results"][0]["metrics"]]
    assert results["decomposition"]["after"]["subject"] in values
    assert "\npython -m experiments.run\n" in text and "sandbox" in text
    assert read_json(published / MARK)["part"] == "decomposer"
    assert "{request}" in (published / "prompt.txt").read_text(encoding="utf-8")


def test_nothing_that_is_published_names_a_folder_of_this_machine(run: Path, tmp_path: Path) -> None:
    config = load_config(run)
    config.decomposer.checkpoint, config.decomposer.sandbox_only = "/home/somebody/Qwen2.5-VL-7B-Instruct", False
    write_text(run / "config.yaml", config_text(config))
    results = read_json(run / "results.json")
    results["editor_settings"] = {"checkpoint": "/home/somebody/editor"}
    write_json(run / "results.json", results)
    command.main([f"run={run}", f"to={tmp_path / 'out'}"])
    for file in ("README.md", "training.yaml", "results.json"):
        assert "somebody" not in (tmp_path / "out" / file).read_text(encoding="utf-8"), file
    assert head(tmp_path / "out")["base_model"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert "<folder>/Qwen2.5-VL-7B-Instruct" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_folder_of_its_own_is_replaced_and_no_other(run: Path, published: Path, tmp_path: Path) -> None:
    (published / "README.md").write_text("old")
    command.main([f"run={run}", f"to={published}"])
    assert (published / "README.md").read_text() != "old"
    foreign = tmp_path / "foreign"
    write_text(foreign / "thesis.txt", "years of work")
    for to in (foreign, run, foreign / "thesis.txt"):
        with pytest.raises(BadInput, match="to="):
            command.main([f"run={run}", f"to={to}"])
    assert (foreign / "thesis.txt").read_text() == "years of work"
    assert [p.name for p in foreign.iterdir()] == ["thesis.txt"]


def test_a_part_is_chosen_where_there_are_several(run: Path) -> None:
    for name in ("sft", "gcpo", "holistic"):
        write_text(run / "rrm" / name / "config.json", "{}")
    for arm in ("no_filter", "edit_r2"):
        write_text(run / "sessions" / arm / "intent" / "config.json", "{}")
        write_text(run / "sessions" / arm / "editor" / "model_index.json", "{}")
    assert {p.kind for p in trained_parts(run)} == {"decomposer", "rrm", "intent", "editor"}
    with pytest.raises(BadInput, match="part=decomposer, part=rrm, part=intent, part=editor"):
        choose(run)
    assert choose(run, "rrm").name == "rrm/gcpo" and choose(run, "rrm").arm == "gcpo"
    assert choose(run, "intent").name == "sessions/edit_r2/intent" and choose(run, "intent").arm == "edit_r2"
    assert choose(run, "sessions/no_filter/editor").arm == "no_filter"
    assert choose(run, "decomposer").arm == ""
    with pytest.raises(BadInput, match="nearest one is 'part=editor'"):
        choose(run, "edtor")


def test_a_run_without_a_model_or_an_end_is_refused(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no trained model"):
        command.main([f"run={finished_run}", f"to={tmp_path / 'out'}"])
    (finished_run / "results.json").unlink()
    with pytest.raises(MissingFile, match="no results.json"):
        command.main([f"run={finished_run}", f"to={tmp_path / 'out'}"])
    with pytest.raises(MissingFile, match="no run folder"):
        command.main([f"run={tmp_path}", f"to={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("experiment=rl_matters", "seed=3"),
        ("reward=f1_linked", "editor=flux_kontext", "algo.lr=3e-5", "execution=multi"),
        ("experiment=edit_r2", "algo.steps=7", "sessions.turns=[3]"),
        ("benchmark.kinds={direct: 2}", "algo.anchor.examples=8"),
    ],
)
def test_the_command_composes_to_the_same_run(words: tuple[str, ...]) -> None:
    said = command_of(configured(words))
    assert said is not None and said.startswith("python -m experiments.run")
    for word in words:
        if not word.startswith(("benchmark.kinds", "algo.lr")):
            assert word in said


def test_a_configuration_that_no_command_line_says_has_none() -> None:
    config = load_from(configured(()))
    config.experiment = "gone"
    assert command_of(config) is None


def load_from(config: Any) -> Any:
    import copy

    return copy.deepcopy(config)


def test_numbers_are_those_of_the_part_alone(run: Path) -> None:
    def cell(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 10}

    for name in ("gcpo", "sft"):
        write_text(run / "rrm" / name / "config.json", "{}")
    cells = {"gcpo": cell(0.8), "sft": cell(0.6)}
    numbers = numbers_of(choose(run, "rrm/sft"), {"rrm": {"pair_accuracy_cells": cells}})
    assert [(n.value, n.low, n.high, n.n) for n in numbers] == [(0.6, 0.5, 0.7, 10), (0.8, 0.8 - 0.1, 0.9, 10)]
    assert numbers[0].label.endswith("this model") and numbers[1].label.endswith("after GCPO")
    assert numbers_of(choose(run, "decomposer"), {}) == []


def test_the_base_and_its_licence_are_known_or_asked_for(tmp_path: Path) -> None:
    assert origin_of(str(TINY / "rrm")) == Origin("", "apache-2.0")
    assert origin_of("black-forest-labs/FLUX.1-Kontext-dev").licence_name == "flux-1-dev-non-commercial-license"
    cached = "/home/x/.cache/huggingface/hub/models--Qwen--Qwen3-VL-4B-Instruct/snapshots/0a1b"
    assert origin_of(cached) == Origin("Qwen/Qwen3-VL-4B-Instruct", "apache-2.0")
    own = tmp_path / "my-model"
    with pytest.raises(BadInput, match="base=<owner>/<name>"):
        origin_of(str(own))
    with pytest.raises(BadInput, match="licence=<identifier>"):
        origin_of(str(own), base="me/my-model")
    assert origin_of(str(own), "me/my-model", "other:my-terms") == Origin("me/my-model", "other", "my-terms")
    write_text(own / "README.md", "---\nlicense: mit\nbase_model:\n- them/theirs\n---\n# Card\n")
    assert origin_of(str(own)) == Origin("them/theirs", "mit")
    write_text(own / "README.md", "---\nlicense: [mit\n---\n")
    with pytest.raises(BadInput, match="is no YAML"):
        origin_of(str(own))


class Client:
    """Stands in for HfApi: keeps what it is asked to do."""

    def __init__(self, files: tuple[str, ...] | None = None) -> None:
        self.files, self.calls = files, []  # type: ignore[var-annotated]

    def list_repo_files(self, name: str) -> list[str]:
        if self.files is None:
            from huggingface_hub.errors import RepositoryNotFoundError

            raise RepositoryNotFoundError("404", response=_response(404))
        return list(self.files)

    def create_repo(self, name: str, **how: Any) -> str:
        self.calls.append(("create", name, how))
        return f"the page of {name}"

    def upload_folder(self, folder_path: str, repo_id: str, **how: Any) -> None:
        files = {p.relative_to(folder_path).as_posix(): p.stat().st_size for p in Path(folder_path).rglob("*")}
        self.calls.append(("upload", repo_id, files))


def _response(status: int) -> Any:
    import httpx

    return httpx.Response(status, request=httpx.Request("GET", "http://localhost"))


def test_an_upload_sends_the_whole_folder_and_is_private(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client()
    monkeypatch.setattr(hub, "connect", lambda: client)
    command.main([f"run={run}", "to=hub:me/model"])
    (_, name, how), (_, _, files) = client.calls
    assert name == "me/model" and how == {"private": True, "exist_ok": True}
    assert {"README.md", MARK, "model.safetensors", "config.json", "prompt.txt"} <= set(files)
    assert files["model.safetensors"] == (run / "decomposer" / "model.safetensors").stat().st_size
    assert "uploaded: the page of me/model" in capsys.readouterr().out


def test_a_foreign_repository_is_left_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client((".gitattributes", "thesis.safetensors"))
    monkeypatch.setattr(hub, "connect", lambda: client)
    with pytest.raises(BadInput, match="not published here"):
        command.main([f"run={run}", "to=hub:me/thesis"])
    assert client.calls == []
    client.files = (MARK, "model.safetensors")
    command.main([f"run={run}", "to=hub:me/thesis", "visibility=public"])
    assert client.calls[0][2]["private"] is False


def test_without_a_key_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(MissingFile, match="HF_TOKEN"):  # before the run is even looked at
        command.main([f"run={tmp_path / 'no such run'}", "to=hub:me/model"])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="HF_HUB_OFFLINE"):
        command.main([f"run={tmp_path}", "to=hub:me/model"])


@pytest.mark.parametrize("status,said", [(403, "may not write there"), (400, "status 400")])
def test_a_refusal_of_the_hub_is_one_line(status: int, said: str, serve: Callable[[int], str], tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    api = HfApi(token="hf_x", endpoint=serve(status))
    write_text(tmp_path / "README.md", "card")
    with pytest.raises(RunFailed, match=said):
        hub.upload(api, "me/model", tmp_path, public=False)


def test_a_hub_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    with pytest.raises(RunFailed, match="cannot be reached"):
        hub.upload(HfApi(token="hf_x", endpoint="http://127.0.0.1:9"), "me/model", tmp_path, public=False)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server that answers everything with one status."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    servers = []

    def start(status: int) -> str:
        class Refuser(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(json.dumps({}).encode())

            do_GET = do_POST

            def log_message(self, *words: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Refuser)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "words,said",
    [
        ([], "say what and where"),
        (["run=x"], "say what and where"),
        (["run=x", "to=hub:model"], "no id on the Hub"),
        (["run=x", "to=y", "visibility=maybe"], "private or public"),
        (["run=x", "too=y"], "cannot read 'too=y'"),
    ],
)
def test_a_wrong_command_line_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        command.main(words)
