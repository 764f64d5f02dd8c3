"""`make check-gpu`: parts, their limits and what a machine without a GPU says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.errors import BadInput
from common.files import read_json
from editors.parts import count_parameters, parts_of
from editors.published import PUBLISHED, PublishedModel
from experiments.benches.editors.sides import FOLDERS
from experiments.benches.gpu.__main__ import main, plain, run_part, selected
from experiments.benches.gpu.editors import against_loop, approximations, fewer
from experiments.benches.gpu.parts import MINUTES, PARTS, CheckPart
from experiments.benches.gpu.work import WORK, denoiser, devices

ROOT = Path(__file__).parents[3]
TINY = ROOT / "assets" / "tiny"


def test_every_part_has_its_work_and_together_they_keep_their_time() -> None:
    assert [part.name for part in PARTS] == list(WORK)
    assert sum(part.limit_s for part in PARTS) <= MINUTES * 60
    assert selected("parity,devices") == [p for p in PARTS if p.name in ("devices", "parity")]
    with pytest.raises(BadInput, match="parts=speed is unknown; choose from devices"):
        selected("speed")


def test_a_part_says_what_it_lacks() -> None:
    assert CheckPart("a", "", 1).missing(cuda=False) == "needs CUDA"
    assert CheckPart("a", "", 1, packages=("json", "no_such_package")).missing(cuda=True) == "needs no_such_package"
    assert not CheckPart("a", "", 1, cuda=False).missing(cuda=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_parts_that_need_one_are_named_and_the_others_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["parts=devices,step_3b,denoiser_qwen", f"out={tmp_path}"])
    rows = read_json(tmp_path / "gpu.json")
    assert rows["devices"]["state"] == "done" and "torch" in rows["devices"]["values"]["versions"]
    assert rows["step_3b"] == rows["denoiser_qwen"] == {"state": "left out", "why": "needs CUDA"}
    said = capfd.readouterr().out
    assert "no CUDA device here" in said and "left out" in said and str(tmp_path / "gpu.json") in said


def test_a_part_that_fails_or_hangs_leaves_the_others_their_time() -> None:
    failed = run_part(CheckPart("no_such_part", "", 60), 60)
    assert failed["state"] == "failed" and "no_such_part" in failed["why"]
    late = run_part(CheckPart("devices", "", 60), 0.05)
    assert late["state"] == "out of time" and "not done after" in late["why"]


def test_it_runs_from_a_folder_of_packages_wherever_it_is_called(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benches.gpu", "parts=nothing"],
        capture_output=True, text=True, cwd=tmp_path, env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("error: parts=nothing is unknown")


@pytest.mark.parametrize("kind", ["flux_kontext", "qwen_image_edit"])
def test_the_forward_of_a_denoiser_is_that_of_its_family(kind: str) -> None:
    folder = TINY / kind / "transformer"
    config = json.loads((folder / "config.json").read_text())
    part = PublishedModel(config["_class_name"], {k: v for k, v in config.items() if not k.startswith("_")})
    found = denoiser(kind, side=64, parts={"transformer": part}, where="cpu")
    assert found["seconds"] > 0 and found["peak GiB"] == 0


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
