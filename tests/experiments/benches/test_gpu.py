"""`make check-gpu`: parts, their limits and what a machine without a GPU says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from agents.backends.base import Completion
from common.errors import BadInput, RunFailed
from common.files import read_json
from editors.parts import count_parameters, parts_of
from editors.published import PUBLISHED, PublishedModel
from experiments.benches.editors.sides import FOLDERS
from experiments.benches.gpu.__main__ import SLOWER, main, plain, selected, slower
from experiments.benches.gpu.decode import compared
from experiments.benches.gpu.editors import against_loop, approximations, fewer
from experiments.benches.gpu.parts import PARTS, CheckPart
from experiments.benches.gpu.setting import VARIABLE
from experiments.benches.gpu.work import WORK, decode, denoiser, devices, tree_attention

gpu = import_module("experiments.benches.gpu.__main__")
ROOT = Path(__file__).parents[3]
TINY = ROOT / "assets" / "tiny"


def test_every_part_has_its_work() -> None:
    assert [part.name for part in PARTS] == list(WORK)
    assert selected("parity,devices") == [p for p in PARTS if p.name in ("devices", "parity")]
    assert slower(True, 30) == 1 and slower(False, 4) == slower(False, 8) == SLOWER and slower(False, 32) == 4 * SLOWER
    with pytest.raises(BadInput, match="parts=speed is unknown; choose from all, everything, devices"):
        selected("speed")


def test_a_part_says_what_it_lacks() -> None:
    assert CheckPart("a", "", 1).missing(cuda=False).startswith("needs CUDA")
    assert CheckPart("a", "", 1, packages=("json", "no_such_package")).missing(cuda=True) == "needs no_such_package"
    assert not CheckPart("a", "", 1, cuda=False).missing(cuda=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_parts_that_need_one_are_named_and_the_others_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["parts=devices,step_3b,denoiser_qwen", f"out={tmp_path}"])
    rows = read_json(tmp_path / "gpu.json")
    assert rows["devices"]["state"] == "done" and "torch" in rows["devices"]["values"]["versions"]
    assert rows["step_3b"] == rows["denoiser_qwen"] and rows["step_3b"]["state"] == "left out"
    assert rows["step_3b"]["why"].startswith("needs CUDA")
    said = capfd.readouterr().out
    assert "no CUDA device here" in said and "left out" in said and str(tmp_path / "gpu.json") in said


def test_the_attention_part_has_a_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cpu")
    found = tree_attention()
    assert found["fastest"] in ("masks", "split") and set(found["ms"]) == {"masks", "split"}
    assert max(found["largest difference"].values()) < 1e-5 and min(found["MFU"].values()) > 0


def test_extra_parts_are_run_when_they_are_named() -> None:
    assert sum(part.limit_s for part in selected("all")) <= 480
    assert "editors_qwen" not in [part.name for part in selected("all")]
    assert selected("everything") == list(PARTS)
    assert [part.name for part in selected("editors_qwen,devices")] == ["devices", "editors_qwen"]


BEHAVIOUR = {  # of parts: what their process does
    "hangs": "import time; print('so far', flush=True); time.sleep(600)",
    "crashes": "raise ValueError('no such luck')",
    "is_killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "says_nothing": "",
    "works": "import sys; open(sys.argv[1], 'w').write('{\"answer\": 42}')",
}


@pytest.fixture
def behaving(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tuple(CheckPart(name, "a part", 0.125 if name == "hangs" else 60, cuda=False) for name in BEHAVIOUR)
    monkeypatch.setattr(gpu, "PARTS", parts)
    monkeypatch.setattr(gpu, "command_of", lambda p, out: [sys.executable, "-c", BEHAVIOUR[p.name], str(out)])


def test_parts_that_hang_crash_or_are_killed_leave_the_others_their_time(
    behaving: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunFailed, match="4 of 5 parts did not end well: hangs, crashes, is_killed, says_nothing"):
        main(["device=cpu", f"out={tmp_path}"])
    rows = read_json(tmp_path / "gpu.json")
    assert rows["hangs"]["state"] == "out of time" and "not done after 1 s" in rows["hangs"]["why"]
    assert rows["crashes"]["state"] == "failed" and "no such luck" in rows["crashes"]["why"]
    assert "killed by SIGKILL" in rows["is_killed"]["why"] and rows["says_nothing"]["state"] == "failed"
    assert rows["works"]["state"] == "rehearsed" and rows["works"]["values"] == {"answer": 42}
    assert "A rehearsal with small shapes" in capfd.readouterr().out


def test_a_check_that_is_stopped_leaves_what_it_has(
    behaving: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = gpu.run_part

    def stopped(part: CheckPart, *rest: Any) -> dict[str, Any]:
        if part.name == "is_killed":
            raise KeyboardInterrupt
        return run(part, *rest)

    monkeypatch.setattr(gpu, "run_part", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(["device=cpu", f"out={tmp_path}"])
    assert list(read_json(tmp_path / "gpu.json")) == ["hangs", "crashes"]


def test_nothing_that_a_part_started_outlives_it(tmp_path: Path) -> None:
    """Neither what has a session of its own, as workers of torchrun have."""
    told = tmp_path / "pid"
    below = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    above = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {below!r}], start_new_session=True)"
    process = subprocess.Popen([sys.executable, "-c", above], start_new_session=True)
    while not (told.is_file() and told.read_text()):
        time.sleep(0.05)
    child = psutil.Process(int(told.read_text()))
    gpu.end(process)
    child.wait(60)
    assert process.returncode == -9


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_cuda", lambda: False)
    with pytest.raises(
        BadInput, match=f"device={device}: give auto or cpu .a rehearsal.; there is no CUDA device here"
    ):
        main([f"device={device}"])


def test_it_runs_from_a_folder_of_packages_by_an_interpreter_that_has_none(tmp_path: Path) -> None:
    """No environment of the project, no installation: PYTHONPATH alone."""
    bare = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    packages = os.pathsep.join([str(Path(psutil.__file__).parents[1]), str(ROOT)])
    done = subprocess.run(
        [bare if bare.is_file() else sys.executable, "-S", "-m", "experiments.benches.gpu", "parts=nothing"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": packages},
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("error: parts=nothing is unknown"), done.stderr


@pytest.mark.parametrize("kind", ["flux_kontext", "qwen_image_edit"])
def test_the_forward_of_a_denoiser_is_that_of_its_family(kind: str) -> None:
    folder = TINY / kind / "transformer"
    config = json.loads((folder / "config.json").read_text())
    part = PublishedModel(config["_class_name"], {k: v for k, v in config.items() if not k.startswith("_")})
    found = denoiser(kind, side=64, parts={"transformer": part}, where="cpu")
    assert found["seconds"] > 0 and found["peak GiB"] == 0


def test_answers_are_compared_up_to_the_first_token_that_differs() -> None:
    def answer(ids: str, *logprobs: float) -> list[Completion]:
        return [Completion(tuple(map(int, ids)), logprobs, "", "length")]

    one = [answer("123", -1.0, -1.0, -1.0), answer("123", -1.0, -1.0, -1.0)]
    other = [answer("123", -1.0, -1.5, -1.0), answer("143", -1.25, -9.0, -9.0)]
    assert compared(one, other) == (0.5, 0.5) and compared(one, one) == (1.0, 0.0)


@pytest.mark.slow
def test_decoding_is_measured_at_a_tiny_size() -> None:
    found = decode()
    assert found["same draws"]["answers equal"] >= 0.9
    assert all(found["tokens/s at a tiny size"][name] > 0 for name in ("hf, static buffers", "hf, shared rows"))


@pytest.mark.parametrize("kind", ["flux_kontext", pytest.param("qwen", marks=pytest.mark.slow)])
def test_whole_editors_make_the_pictures_of_the_pipeline(kind: str) -> None:
    """What the GPU parts do at published sizes, here with tiny models."""
    tiny = parts_of(TINY / FOLDERS[kind])
    found = against_loop(kind, side=64, steps=2, count=2, where="cpu", small=tiny, labels=("eager", "kernels"))
    for work in ("different pictures", "variants of one"):
        for label in ("eager", "kernels"):
            assert found[work][f"{label}, same"] and found[work][f"{label}, ratio"] > 0


def test_a_slice_of_a_published_editor_keeps_its_widths() -> None:
    for parts in PUBLISHED.values():
        for name, part in parts.items():
            cut = fewer(part)
            if not part.kind.startswith("Autoencoder"):
                assert count_parameters(cut).parameters < count_parameters(part).parameters, name
                assert count_parameters(cut).largest_module == count_parameters(part).largest_module


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flux_kontext", "qwen"])
def test_approximations_are_compared_with_the_exact_editor(kind: str) -> None:
    rows = approximations(kind, side=64, steps=2, count=1, where="cpu", small=parts_of(TINY / FOLDERS[kind]))
    assert set(rows) == {"exact", "int8", "fp8", "nf4", "first-block cache"}
    assert rows["exact"]["mean_difference"] == 0 and rows["first-block cache"]["seconds"] > 0
    assert "GPU" in rows["nf4"] or "make extra-quant" in rows["nf4"]


def test_values_are_read_at_a_glance() -> None:
    assert plain({"a": 0.123456, "b": [1, "x"]}) == "a 0.123, b 1, x"
    assert devices()["python"].startswith("3.")
