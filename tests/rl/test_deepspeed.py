"""ZeRO is plain torch, whatever the stage, the number of ranks and the split of the batch. Real processes over gloo."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rl.checkpoint import Checkpoints
from rl.engine.torch import TorchEngine

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs `make extra-deepspeed`"),
]
SCENES = ["equivalence", "gathering", "precision", "nonfinite", "loop", "checkpoints"]


@pytest.fixture(scope="module", params=[1, 2], ids=["1 rank", "2 ranks"])
def played(
    request: Any, tiny_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path, dict[str, Any]]:
    """All scenes, played once by that many ranks: (ranks, folder, results)."""
    out = tmp_path_factory.mktemp(f"ranks-{request.param}")
    return request.param, out, play(request.param, tiny_vlm_path, out, SCENES)


def play(ranks: int, model: Path, out: Path, scenes: list[str]) -> dict[str, Any]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [sys.executable, *torchrun, "-m", "tests.rl.zero_ranks", str(model), str(out), *scenes]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads((out / "result.json").read_text()))


def test_every_stage_makes_torchs_updates(played: tuple[int, Path, dict[str, Any]]) -> None:
    check_updates(played[2]["equivalence"])


def test_every_stage_makes_torchs_updates_of_qwen3_vl(tiny_vlm_paths: Callable[[str], Path], tmp_path: Path) -> None:
    """Its tower gives features of several levels, and one rank may have no picture. Its weights are larger than those of the other
    tiny model, and so are the last bits in which sums over ranks differ."""
    check_updates(play(2, tiny_vlm_paths("qwen3_vl"), tmp_path, ["equivalence"])["equivalence"], weights=5e-5)


def check_updates(result: dict[str, Any], weights: float = 1e-5) -> None:
    assert {f"plain {s}" for s in range(4)} < result.keys()
    for name, off in result.items():
        assert off["moved"] > 1e-3, name
        assert off["weights"] < weights and off["norms"] < 1e-5, (name, off)


def test_a_sharded_model_is_whole_only_bucket_by_bucket(played: tuple[int, Path, dict[str, Any]]) -> None:
    ranks, _, result = played
    seen = result["gathering"]
    assert seen["once"]
    assert seen["most"] <= 30_000 + seen["biggest"] < seen["all"] / 3


def test_bf16_stages_agree_and_go_on_in_each_other(played: tuple[int, Path, dict[str, Any]]) -> None:
    """bf16 has 8 bits: after four updates of at most 2e-3 stages may be a few of its steps apart, not more."""
    result = played[2]["precision"]
    for stage in "123":
        assert result[stage]["norms"] == pytest.approx(result["1"]["norms"], rel=2e-2)
        assert result[stage]["fp32"]
        assert max(result[stage]["apart"], result[stage]["resumed"]) < 1e-2, result


def test_a_gradient_that_is_no_number_is_skipped_by_all(played: tuple[int, Path, dict[str, Any]]) -> None:
    assert played[2]["nonfinite"] == {str(s): [True] * 4 for s in range(4)}


def test_the_loop_with_several_ranks_is_the_loop_with_one(played: tuple[int, Path, dict[str, Any]]) -> None:
    for stage, off in played[2]["loop"].items():
        assert off["weights"] < 1e-5 and off["metrics"] < 1e-4, (stage, off)


def test_a_run_goes_on_in_another_engine(played: tuple[int, Path, dict[str, Any]], tiny_vlm_path: Path) -> None:
    """Half with torch, the rest sharded; and half sharded, the rest with torch in this process."""
    from tests.rl import zero_ranks as Z

    _, out, result = played
    assert result["checkpoints"].keys() == {f"torch to {s}" for s in range(4)}
    assert max(result["checkpoints"].values()) < 1e-5, result["checkpoints"]
    whole = Checkpoints(out / "checkpoints" / "whole" / "checkpoints").latest()
    assert whole is not None and whole[0] == Z.RUN.steps
    for stage in (0, 2, 3):
        engine = TorchEngine(Z.maker(tiny_vlm_path)(), Z.RUN, Z.RUN.schedule())
        weights = Z.grpo(tiny_vlm_path, out / "checkpoints" / f"from-{stage}", engine)
        assert (
            max(float((w - whole[1]["algorithm"]["engine"]["weights"][n]).abs().max()) for n, w in weights.items())
            < 1e-5
        )
        moments, theirs = engine.optimizer.state_dict()["state"], whole[1]["algorithm"]["engine"]["optimizer"]["state"]
        for k, moment in moments.items():
            assert moment["step"] == theirs[k]["step"] == Z.RUN.steps
            assert torch.allclose(moment["exp_avg"], theirs[k]["exp_avg"], atol=1e-5)
