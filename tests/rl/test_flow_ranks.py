"""Flow-GRPO and DiffusionNFT under ZeRO 0-3 on two ranks, stopped and resumed, are those of one process in plain torch. Real
processes over gloo."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs `make extra-deepspeed`"),
]


def test_every_stage_trains_as_one_process_does(tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *torchrun, "-m", "tests.rl.flow_grpo_ranks", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    results = json.loads((tmp_path / "result.json").read_text())
    assert len(results) == 6
    for name, off in results.items():
        assert off["moved"] > 1e-2 and off["weights"] < 0.02 * off["moved"], (name, off)
        assert off["norms"] < 1e-4 and off["rewards"] < 1e-3 and off["ratio_first"] == 0, (name, off)
