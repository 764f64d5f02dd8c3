"""What the doctor says about machines that this one is not, and that it tells nobody a key."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import BadInput
from common.files import write_json, write_text
from common.places import ROOT
from experiments import doctor
from experiments.health import abilities, hardware, models, packages, surroundings
from experiments.health.examine import examine
from experiments.health.findings import Finding, as_json, faults
from experiments.preflight.machine import GIB

TWO = "NVIDIA H100 80GB HBM3, 81559, 80000, 570.1\nNVIDIA H100 80GB HBM3, 81559, [N/A], 570.1\n"


@pytest.fixture
def tiny_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny checkpoints that a test may damage."""
    shutil.copytree(ROOT / "assets" / "tiny", tmp_path / "assets" / "tiny")
    monkeypatch.setenv("IMAGEEDIT_ASSETS", str(tmp_path / "assets"))
    return tmp_path / "assets" / "tiny"


def status_of(found: list[Finding]) -> dict[str, str]:
    return {f.name: f.status for f in found}


def test_this_machine_can_do_a_first_run(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.main(["format=json"])
    said = json.loads(capsys.readouterr().out)
    assert said["counts"]["fault"] == 0 and status_of_json(said, "scales")["scale=tiny"] == "ok"
    assert set(status_of_json(said, "extras")) == set(packages.EXTRAS)
    assert {"run", "doctor", "publish"} <= set(said["commands"][0]["data"]["commands"])
    assert len(said["tiny models"]) == 6
    memory = next(f for f in said["machine"] if f["name"] == "memory")["data"]
    assert 0 < memory["free"] <= memory["total"]


def status_of_json(said: dict[str, list[dict[str, str]]], section: str) -> dict[str, str]:
    return {f["name"]: f["status"] for f in said[section]}


def test_neither_torch_nor_a_model_is_loaded_and_nobody_is_asked(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*words, **more): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from experiments.doctor import main\n"
        "main([])\n"
        "assert not {'torch', 'transformers', 'diffusers', 'huggingface_hub', 'hydra'} & set(sys.modules)\n"
    )
    env = {"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Scales" in done.stdout and "qwen_image_edit" in done.stdout


def test_a_key_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "sk-very-secret-0123456789"
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, secret)
    assert set(status_of(surroundings.keys()).values()) == {"ok"}
    for how in ("text", "json"):
        doctor.main([f"format={how}"])
        shown = capsys.readouterr()
        assert secret not in shown.out + shown.err and "OPENAI_API_KEY" in shown.out


def test_every_key_of_the_configuration_is_listed_with_what_needs_it() -> None:
    said = {f.name: f.text for f in surroundings.keys()}  # noqa: SIM118
    assert "judge=gpt4o" in said["OPENAI_API_KEY"] and "editor=nano_banana" in said["GEMINI_API_KEY"]


def test_lines_of_the_driver_are_read() -> None:
    first, second = hardware.read_gpus(TWO)
    assert first.name == "NVIDIA H100 80GB HBM3" and first.memory == 81559 * 2**20 and first.driver == "570.1"
    assert second.free == 0
    assert hardware.read_gpus("") == [] and hardware.read_gpus("Field is not valid") == []


def test_a_driver_that_fails_or_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(code: int = 0, out: str = "", error: BaseException | None = None) -> None:
        def run(*words: object, **how: object) -> subprocess.CompletedProcess[str]:
            if error is not None:
                raise error
            return subprocess.CompletedProcess([], code, out, "")

        monkeypatch.setattr(subprocess, "run", run)

    answer(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
    assert "couldn't communicate" in hardware.gpus()[1]
    answer(error=subprocess.TimeoutExpired("nvidia-smi", 2))
    assert "does not answer" in hardware.gpus()[1]
    answer(error=FileNotFoundError())
    assert hardware.gpus() == ([], "none (no nvidia-smi)")
    answer(0, TWO)
    assert len(hardware.gpus()[0]) == 2


def test_a_cpu_build_beside_a_gpu_is_worth_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "torch_build", lambda: "CPU")
    assert hardware.torch([])[0].status == "ok"
    assert hardware.torch(hardware.read_gpus(TWO))[0].status == "warning"


def test_the_build_of_torch_is_that_of_torch() -> None:
    import torch

    assert hardware.torch_build() == (f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU")


def test_damage_to_a_tiny_model_is_a_fault_by_name(tiny_copy: Path) -> None:
    assert set(status_of(models.tiny()).values()) == {"ok"}
    weights = tiny_copy / "rrm" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (tiny_copy / "flux_kontext" / "vae" / "config.json").unlink()
    shutil.rmtree(tiny_copy / "intent")
    found = {f.name: f for f in models.tiny()}
    wrong = {name for name, f in found.items() if f.status == "fault"}
    assert wrong == {"rrm", "flux_kontext", "intent"}
    assert "cut short" in found["rrm"].text and "git checkout" in found["rrm"].remedy
    sections = examine()
    assert {f.name for f in faults(sections)} >= {*wrong, "scale=tiny"}
    with pytest.raises(BadInput, match="mend first: .*rrm"):
        doctor.main([])


def test_a_manifest_is_held_against_the_files(tiny_copy: Path) -> None:
    write_json(tiny_copy / models.MANIFEST, {"rrm/card.json": "0" * 64})
    assert [name for name, status in status_of(models.tiny()).items() if status == "fault"] == ["rrm"]


def test_a_model_is_found_in_its_folder_or_in_the_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert models.find_model("Qwen/Qwen-Image-Edit") is None
    (tmp_path / "models--Qwen--Qwen-Image-Edit" / "snapshots" / "0a").mkdir(parents=True)
    assert models.find_model("Qwen/Qwen-Image-Edit") is None  # a download that was stopped at its beginning
    write_text(tmp_path / "models--Qwen--Qwen-Image-Edit" / "snapshots" / "0a" / "model_index.json", "{}")
    assert models.find_model("Qwen/Qwen-Image-Edit") == tmp_path / "models--Qwen--Qwen-Image-Edit" / "snapshots" / "0a"
    assert "Qwen/Qwen-Image-Edit" in models.cached()[0].text
    assert status_of(models.published())["Qwen/Qwen-Image-Edit"] == "ok"


def test_the_hub_cache_is_where_huggingface_hub_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert models.hub_cache() == Path("~/.cache/huggingface/hub").expanduser()
    monkeypatch.setenv("HF_HOME", "/data/hf")
    assert models.hub_cache() == Path("/data/hf/hub")


def test_data_is_found_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(value: str) -> list[Finding]:
        monkeypatch.setenv(surroundings.DATA, value)
        return surroundings.data()

    assert look("")[0].status == "absent"
    assert look(str(tmp_path / "nothing"))[0].status == "warning"
    assert look(str(tmp_path))[0].status == "warning"
    write_text(tmp_path / "mice_bench" / "cm_train.jsonl", "{}")
    write_text(tmp_path / "psr" / "data" / "test-00000-of-00001.parquet", "")
    found = {f.name: f.text for f in look(str(tmp_path))}
    assert set(found) == {"mice_bench", "psr"}
    assert "MICE-Bench" in found["mice_bench"] and found["psr"].endswith("1 .parquet")


def test_an_extra_is_whole_partly_there_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in packages.EXTRAS:
        write_text(tmp_path / f"{name}.in", "# Extra: nothing\nnot-installed-at-all\n")
    write_text(tmp_path / "docs.in", "numpy\n")
    write_text(tmp_path / "apps.in", "numpy\nnot-installed-at-all\n")
    write_text(tmp_path / "vllm-cuda.in", "numpy==1.0\n")
    monkeypatch.setattr(packages, "REQUIREMENTS", tmp_path)
    found = {f.name: f for f in packages.extras()}
    assert {n: f.status for n, f in found.items()} == {
        "vllm": "ok", "deepspeed": "absent", "slurm": "absent", "apps": "warning", "docs": "ok", "quant": "absent",
        "fused": "absent",
    }  # fmt: skip
    assert "not installed: not-installed-at-all" in found["apps"].text and found["apps"].remedy == "make extra-apps"


def test_a_core_that_is_not_whole_is_said_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "core.in", "numpy\nnot-installed-at-all==1.0\n")
    monkeypatch.setattr(packages, "REQUIREMENTS", tmp_path)
    with pytest.raises(BadInput, match="not installed: not-installed-at-all; make setup"):
        doctor.main([])


def test_the_paper_scale_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {
        "machine": [],
        "tiny models": [],
        "extras": [Finding("vllm", "ok", ""), Finding("deepspeed", "absent", "")],
    }
    monkeypatch.setattr(abilities, "memory_bytes", lambda: 512 * GIB)
    monkeypatch.setattr(abilities, "free_disk", lambda place: (tmp_path, 999 * GIB))
    monkeypatch.setattr(abilities, "find_model", lambda name: tmp_path)
    eight = hardware.read_gpus(TWO) * 4
    assert abilities.scales(sections, eight)[1].data["lacks"] == ["the extra deepspeed"]
    assert abilities.scales(sections, eight[:7])[1].data["lacks"] == [
        "8 GPUs of 78 GiB (here: 7)",
        "the extra deepspeed",
    ]
    monkeypatch.setattr(abilities, "memory_bytes", lambda: 8 * GIB)
    monkeypatch.setattr(abilities, "find_model", lambda name: None)
    assert len(abilities.scales(sections, eight)[1].data["lacks"]) == 4  # memory, two models, an extra


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in (*surroundings.OFFLINE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch


def test_what_the_environment_switches_off_is_worth_a_look(environment: pytest.MonkeyPatch) -> None:
    assert surroundings.switches() == []
    environment.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in surroundings.switches()[0].text
    environment.setattr(hardware.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert hardware.cores()[0].status == "ok"
    environment.setenv("OMP_NUM_THREADS", "1")
    assert hardware.cores()[0].status == "warning"
    environment.delenv("OMP_NUM_THREADS")
    environment.setattr(hardware.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert hardware.cores()[0].status == "warning"


def test_little_memory_or_disk_is_worth_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "free_memory", lambda: GIB)
    monkeypatch.setattr(hardware, "free_disk", lambda place: (tmp_path, GIB))
    assert hardware.memory()[0].status == hardware.disk()[0].status == "warning"
    monkeypatch.setattr(hardware.os, "access", lambda place, mode: False)
    assert hardware.disk()[0].status == "fault"


def test_every_command_that_is_known_by_name_exists_or_will_not_be_listed() -> None:
    sections = {"extras": [Finding("apps", "absent", "")]}
    listed = {f.name for f in abilities.by_command(sections)} - {"ready"}
    assert listed == set(abilities.EXTRA_OF) & set(abilities.commands())


def test_numbers_of_findings_add_up() -> None:
    sections = {"a": [Finding("x", "ok", ""), Finding("y", "fault", "")], "b": [Finding("z", "absent", "")]}
    assert as_json(sections)["counts"] == {"ok": 1, "absent": 1, "warning": 0, "fault": 1}


def test_another_format_is_refused() -> None:
    with pytest.raises(BadInput, match="choose text or json"):
        doctor.main(["format=xml"])
    with pytest.raises(BadInput, match="usage: python -m experiments.doctor"):
        doctor.main(["jsonn"])
