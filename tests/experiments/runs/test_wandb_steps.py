"""A real training with a W&B that is ill does all of its steps, whatever the service does. Steps are counted, not seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.jsonl import read_jsonl
from tests.wandb_server import KEY, WandBServer, wandb_server

pytest.importorskip("wandb")
STEPS = 12
TRAINING = """
import sys
from pathlib import Path
from experiments.runs import wandb_service
from experiments.runs.tracking import TrackerTools, WandBTracker
from experiments.runs.wandb_run import WandB
from rl.loop import StepResult, run_loop

wandb_service.WAIT_S = 0.5
folder = Path(sys.argv[1])
tracker = WandB(WandBTracker(), TrackerTools(folder, {}), "online", print, finish_s=1.0)
print("mode", tracker.mode, flush=True)


class Training:
    def step(self, k, clock):
        if k == 4:
            print("four", flush=True)
            sys.stdin.readline()  # until the service has fallen ill
        return StepResult({"reward/mean": k / 10})

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


run_loop(Training(), name="", steps=int(sys.argv[2]), identity={}, folder=folder, checkpoint_every=5, log=tracker.log)
tracker.finish(0)
print("ended", flush=True)
"""


def trained(server: WandBServer, folder: Path, falls_ill: object) -> list[str]:
    """What a training printed. Raises where it does not end by itself."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and not k.lower().endswith("_proxy")}
    own |= {f"WANDB_{name}_DIR": str(folder.parent / name) for name in ("DATA", "CACHE", "CONFIG")}
    own |= {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    code = [sys.executable, "-c", TRAINING, str(folder), str(STEPS)]
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own) as process:
        assert process.stdout is not None and process.stdin is not None
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line == "four\n":
                if falls_ill == "vanishes":
                    server.http.shutdown()
                    server.http.server_close()
                else:
                    server.trouble = falls_ill  # type: ignore[assignment]
                process.stdin.write("go on\n")
                process.stdin.flush()
        assert process.wait() == 0
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("falls_ill", ["hang", 500, "vanishes"])
def test_every_step_is_done_although_the_service_falls_ill(falls_ill: object, tmp_path: Path) -> None:
    with wandb_server() as server:
        lines = trained(server, tmp_path / "main-0a1b2c3d", falls_ill)
    assert [row["step"] for row in read_jsonl(tmp_path / "main-0a1b2c3d" / "metrics.jsonl")] == list(
        range(1, STEPS + 1)
    )
    assert "mode online" in lines and lines[-1] == "ended"
    assert sum("W&B stopped recording" in line for line in lines) == 1
    assert any("experiments.sync run=" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("ill", ["hang", 500])
def test_every_step_is_done_where_the_service_is_ill_from_the_start(ill: int | str, tmp_path: Path) -> None:
    with wandb_server() as server:
        server.trouble = ill
        lines = trained(server, tmp_path / "main-0a1b2c3d", ill)
    assert [row["step"] for row in read_jsonl(tmp_path / "main-0a1b2c3d" / "metrics.jsonl")] == list(
        range(1, STEPS + 1)
    )
    assert "mode offline" in lines and lines[-1] == "ended"
