"""The flow policy under ZeRO 0-3 is the one in plain torch, on one rank and on two. Real processes over gloo."""

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


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_stage_makes_torchs_updates(ranks: int, tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [sys.executable, *torchrun, "-m", "tests.rl.flow_ranks", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    results = json.loads((tmp_path / "result.json").read_text())
    assert results.keys() == {"plain 0", "plain 1", "plain 2", "plain 3", "guided, checkpointed 3"}
    for name, off in results.items():
        assert off["moved"] > 1e-3 and off["kl"] > 0, (name, off)
        assert off["weights"] < 1e-4 and off["norms"] < 1e-4 and off["resumed"] == 0, (name, off)
