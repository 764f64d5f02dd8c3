"""The plan command: known numbers of the published editors, laws its numbers keep, and any local checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.backends.buckets import column_bucket, row_bucket
from common.errors import BadInput, MissingFile
from common.gpus import GPUS
from experiments.plan import main
from experiments.preflight.estimates import compute
from experiments.reports.plan import count, notes, print_plan, seconds, size, work
from experiments.runs.cli import compose, typed
from tests.saved_editors import save_kontext, save_qwen

GIB = 2**30
PUBLISHED = ("qwen", "qwen_2509", "qwen_2511", "flux_kontext")


def plan(*overrides: str) -> dict[str, Any]:
    return compute(typed(compose("plan", list(overrides))))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_editors(name: str) -> None:
    """Sizes as their files have them; the compute of one forward by 24 n d² + 4 n² d in each block."""
    result = plan("scale=paper", f"editor={name}")
    editor = result["editor"]
    weights = sum(part["bytes"] for part in editor["components"].values()) / GIB
    known = {
        "qwen": (38.1, 53.7, 198, 100),
        "qwen_2509": (38.1, 53.7, 167, 80),
        "qwen_2511": (38.1, 53.7, 167, 80),
        "flux_kontext": (22.2, 31.4, 166, 28),
    }[name]
    assert editor["components"]["transformer"]["bytes"] / GIB == pytest.approx(known[0], abs=0.05)
    assert weights == pytest.approx(known[1], abs=0.05)
    assert editor["flops"]["forward"] / 1e12 == pytest.approx(known[2], rel=0.01)
    assert editor["steps"] * editor["branches"] == known[3]
    assert editor["flops"]["denoising"] == pytest.approx(known[3] * editor["flops"]["forward"], rel=0.01)
    assert editor["tokens"]["result"] == editor["tokens"]["reference"] == 4096
    json.dumps(result, allow_nan=False)


def test_the_decomposers_training_by_hand() -> None:
    """8.29 B parameters: 16 bytes each in all, of which ZeRO shares more and more among 8, and 2 for the reference."""
    decomposer = plan("scale=paper", "gpus=8")["decomposer"]
    rows = decomposer["training"]
    held = {name: sum(row[k] for k in ("weights", "gradients", "optimizer")) / 1e9 for name, row in rows.items()}
    assert decomposer["weights"] / GIB == pytest.approx(15.45, abs=0.05)
    assert [round(held[f"ZeRO-{stage}, 8 GPUs"]) for stage in range(4)] == [133, 46, 31, 17]
    assert held["engine=torch"] == pytest.approx(8 * 8.292, rel=0.001)
    assert rows["ZeRO-3, 8 GPUs"]["reference"] / 1e9 == pytest.approx(16.58, abs=0.01)  # whole on each
    assert plan("scale=paper", "algo.kl_coef=0")["decomposer"]["training"]["engine=torch"]["reference"] == 0


@pytest.mark.parametrize(
    ("name", "billions", "heads", "picture"), [("qwen3_vl_4b", 4.44, 8 * 128, 256), ("qwen3_vl_8b", 8.77, 8 * 128, 256)]
)
def test_qwen3_vl_by_hand(name: str, billions: float, heads: int, picture: int) -> None:
    """36 layers of 8 key heads of 128, whatever the hidden width; tokens of 32 pixels, and at most 1,024 of them a picture."""
    result = plan("scale=paper", f"decomposer={name}", "decomposer.max_pixels=null")["decomposer"]
    assert result["parameters"] / 1e9 == pytest.approx(billions, abs=0.005)
    assert result["weights"] == 2 * result["parameters"] and result["tokens"]["picture"] == picture
    rows, columns = row_bucket(result["sequences"]), column_bucket(sum(result["tokens"].values()))  # of CUDA graphs
    assert result["kv_cache"] == 2 * 36 * heads * columns * 2 * rows
    assert plan("scale=paper", f"decomposer={name}")["decomposer"]["tokens"]["picture"] == 1024
    config = typed(compose("plan", [f"decomposer={name}"])).decomposer
    assert config.parameters == pytest.approx(result["parameters"], rel=0.002)


def test_a_family_without_sizes_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"architectures": ["OtherForConditionalGeneration"], "text_config": {}})
    )
    with pytest.raises(BadInput, match=r"none of the families .*Qwen2.5-VL, Qwen3-VL"):
        plan("scale=paper", f"decomposer.checkpoint={tmp_path}")


def test_offloading_trades_time_for_memory_and_more_peak_speed_is_never_slower() -> None:
    times = {}
    for gpu in GPUS:
        rows = plan("scale=paper", "editor=qwen", f"gpu={gpu}")["editor"]["offload"]
        none, model, sequential = (rows[k] for k in ("none", "model", "sequential"))
        assert none["total"] > model["total"] > sequential["total"]
        assert none["seconds_per_edit"] < model["seconds_per_edit"] < sequential["seconds_per_edit"]
        assert none["fits"] <= model["fits"] <= sequential["fits"]
        times[gpu] = none["seconds_per_edit"]
    assert sorted(GPUS, key=lambda g: -GPUS[g].bf16)[0] == min(times, key=lambda g: times[g])
    assert times["a100"] / times["h100"] == pytest.approx(989 / 312, rel=0.01)


def test_known_fits() -> None:
    """About 54 GiB of weights go on 80 GB but not on 48; one model at a time goes on neither 24 nor, with 38 GiB, much less."""
    fits = {
        gpu: plan("scale=paper", "editor=qwen_2509", "editor.batch_size=1", f"gpu={gpu}")["editor"]["offload"]
        for gpu in GPUS
    }
    assert {g: rows["none"]["fits"] for g, rows in fits.items()} == {g: GPUS[g].memory > 60 for g in GPUS}
    assert (
        fits["l40s"]["model"]["fits"] and not fits["rtx4090"]["model"]["fits"] and fits["rtx4090"]["sequential"]["fits"]
    )


def test_time_follows_the_assumed_share_of_the_peak() -> None:
    slow, fast = (
        plan("scale=paper", f"mfu={mfu}")["editor"]["offload"]["none"]["seconds_per_edit"] for mfu in (0.2, 0.4)
    )
    assert slow == pytest.approx(2 * fast, rel=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("gpu=abacus",), "abacus"),
        (("mfu=1.5",), "mfu=1.5"),
        (("gpus=0",), "gpus=0"),
        (("editor=sandbox",), "editor=sandbox"),
        (("editor=nano_banana",), "editor=nano_banana"),
        (("scale=paper", "editor.dtype=int8"), "dtype"),
    ],
)
def test_what_cannot_be_planned_is_named(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan(*overrides)


def test_an_unknown_checkpoint_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="make tiny"):
        plan("editor=qwen", f"editor.checkpoint={tmp_path / 'nowhere'}")


@pytest.mark.parametrize("family", ["qwen", "flux_kontext"])
def test_a_local_folder_is_read_and_its_weights_are_not(family: str, tmp_path: Path, tiny_vlm_path: Path) -> None:
    folder = save_qwen(tmp_path, tiny_vlm_path) if family == "qwen" else save_kontext(tmp_path)
    stored = {f.parent.name: _numbers(f) for f in folder.rglob("*.safetensors")}
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    editor = plan(f"editor={family}", f"editor.checkpoint={folder}", f"decomposer.checkpoint={tiny_vlm_path}")["editor"]
    assert {name: part["parameters"] for name, part in editor["components"].items()} == pytest.approx(stored)
    assert (editor["grid"], editor["tokens"]["result"]) == ([64, 64], 64)


def _numbers(file: Path) -> int:
    from safetensors import safe_open

    with safe_open(file, "pt") as tensors:  # type: ignore[no-untyped-call]
        return sum(tensors.get_tensor(key).numel() for key in tensors.keys())  # noqa: SIM118


def test_the_command_prints_and_writes_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan.json"
    main(typed(compose("plan", ["scale=paper", "editor=flux_kontext", f"out={out}"])))
    shown, stored = capsys.readouterr().out, json.loads(out.read_text())
    for needle in ("22.2 GiB", "11.90 B", "Non-Commercial", "40%", "ZeRO-3", "H100 SXM 80 GB", "GRPO"):
        assert needle in shown
    assert stored["editor"]["components"]["transformer"]["parameters"] == 11_901_408_320
    print_plan(stored)  # what was written is all that is shown
    assert "22.2 GiB" in capsys.readouterr().out


def test_what_a_training_holds_besides_its_columns_is_said() -> None:
    words = ("scale=paper", "algo.lora.rank=16", "decomposer.max_new_tokens=256")
    bare, slot = (plan(*words, f"rollouts={r}")["decomposer"] for r in ("hf", "vllm"))
    assert bare["adapter_slot"] == 0 < slot["adapter_slot"] and len(notes(bare, plan()["gpu"])) == 1
    assert any("slot for adapters" in line for line in notes(slot, plan()["gpu"]))
    exact = plan("scale=paper", "decomposer.dtype=float32", "rollouts=vllm", "algo.lora.rank=16")
    assert "TF32 is off" in notes(exact["decomposer"], exact["gpu"])[-1] and not exact["decomposer"]["adapter_slot"]


def test_edit_r1_at_the_papers_size_fits_eight_gpus_of_80_gb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cold start is one process, with 16-bit weights, gradients and two moments of 8.29 B parameters: 62 GiB alone."""
    out = tmp_path / "plan.json"
    main(typed(compose("plan", ["experiment=edit_r1_paper", f"out={out}"])))
    shown, stored = capsys.readouterr().out, json.loads(out.read_text())
    assert stored["decomposer"] is None and "GRPO" not in shown.replace("Flow-GRPO", "")
    rows = {(row["stage"], row["phase"]): row for row in stored["phases"]}
    assert list(rows) == [
        ("rrm_data", "candidate edits"), ("rrm_sft", "training"), ("gcpo", "rollouts"), ("gcpo", "training"),
        ("rrm_accuracy", "held-out pairs"), ("editor_rl", "rollouts"), ("editor_rl", "reward"), ("editor_rl", "training"),
        ("editor_scores", "edits and their scores"),
    ]  # fmt: skip
    assert all(row["fits"] for row in rows.values())
    cold_start = rows["rrm_sft", "training"]["held"]
    assert sum(cold_start[k] for k in ("weights", "gradients", "optimizer")) / GIB == pytest.approx(61.8, abs=0.1)
    assert [row["gpus"] for row in rows.values()] == [1, 1, 8, 8, 1, 8, 8, 8, 1]
    for needle in ("editor_rl", "candidate edits", "vLLM's weights", "encoders and VAE"):
        assert needle in shown


@pytest.mark.slow
def test_it_needs_no_network_and_little_memory(tmp_path: Path) -> None:
    """The whole command as a user runs it; the limit counts everything that the process ever had resident (VmHWM: what
    getrusage says counts the process that started it, too)."""
    code = (
        "import runpy, socket, sys\n"
        "def refuse(*a, **k): raise RuntimeError('no network')\n"
        "socket.socket.connect = refuse\n"
        "sys.argv = ['plan', 'scale=paper', 'editor=qwen']\n"
        "runpy.run_module('experiments.plan', run_name='__main__')\n"
        "print('resident:', open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "38.1 GiB" in done.stdout
    assert int(done.stdout.split("resident:")[1]) * 1024 < 2 * GIB


def test_numbers_for_people() -> None:
    assert (size(0), size(1536), size(38.05 * GIB)) == ("–", "1.5 KiB", "38.0 GiB")
    assert (work(1.984e14), work(1.984e16), work(5.0)) == ("198.4 TFLOP", "19.8 PFLOP", "5.0 FLOP")
    assert (count(20.43e9), count(1.5e6), seconds(50.2), seconds(0.0042)) == ("20.43 B", "1.50 M", "50.2 s", "4.2 ms")
