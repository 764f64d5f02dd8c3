"""Commands that work for long show their own lines alone, though a library writes from C whenever a model computes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.sandbox.generate import SandboxBenchmark
from common.third_party import NAME
from tests.e2e.processes import ASSETS
from tests.e2e.test_run import arguments

ROOT = Path(__file__).parents[2]
LIMIT_S = 900  # of a machine that does much else
pytestmark = pytest.mark.slow

NOISY = """
import os
from torch.nn import Linear

forward = Linear.forward

def noisy(self, x):
    os.write(1, b"[library] from C\\n")
    os.write(2, b"[library] from C\\n")
    print("[library] from Python")
    return forward(self, x)

Linear.forward = noisy
"""


def team(model: Path) -> tuple[str, ...]:
    return (
        f"paths.assets={ASSETS}", f"decomposer.checkpoint={model}", "decomposer.max_new_tokens=4", "engine.threads=1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("run", ""),
        ("evaluate", ""),
        ("evaluate, shards", ""),
        ("edit", ""),
        ("session", "remove the red circle\n"),
        ("agreement", ""),
        ("pretrain", ""),
        ("long_sessions", ""),
        ("single_edits", ""),
        ("benches.flow", ""),
    ],
)
def test_what_a_library_writes_is_in_the_log_and_not_on_the_terminal(
    name: str, lines: str, tiny_vlm_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "sitecustomize.py").write_text(NOISY)
    scene = SandboxBenchmark("test").sample(0).image
    assert scene is not None
    scene.save(tmp_path / "scene.png")
    evaluate = ("run=none", "benchmark=sandbox", "editor=sandbox", "samples=2", "chunk=1", "arms=agents", "out=ev")
    words = {
        "run": (*arguments(tiny_vlm_path, "algo.steps=1", "scale.test_samples=2", "editor=sandbox", "scale.pass_at=0"),),
        "evaluate": (*evaluate, *team(tiny_vlm_path)),
        "evaluate, shards": (*evaluate, *team(tiny_vlm_path), "launcher=torchrun", "launcher.processes=2"),
        "edit": ("image=scene.png", "instruction=remove the red circle", "out=out.png", "editor.steps=1",
                 "allow_tiny=true", *team(tiny_vlm_path)),
        "session": ("out=s", "image=scene.png", "editor.steps=1", "allow_tiny=true", *team(tiny_vlm_path)),
        "agreement": ("data=sandbox", "samples=2", "judge=vlm", f"judge.model={ASSETS}/tiny/rrm", "judge.max_tokens=4",
                      "judge.dtype=float32", "judge.max_invalid_share=1", "engine.device=cpu", "out=study"),
        "pretrain": ("editor=flux_kontext", f"paths.assets={ASSETS}", "out=kept", "vae.steps=1", "vae.batch_size=1", "flow.steps=1",
                     "flow.batch_size=1", "flow.test_samples=1", "engine.threads=1"),
        "long_sessions": ("editors=flux_kontext", "sessions=1", "turns=1", "passes=1", "out=decay"),
        "single_edits": ("editors=flux_kontext", "samples=1", "out=edits"),
        "benches.flow": ("threads=1", "repeats=1", "steps=3", "prompts=1", f"assets={ASSETS}/tiny"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name.partition(',')[0]}", *words[name]],
        capture_output=True, text=True, cwd=tmp_path, timeout=LIMIT_S, input=lines,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'noise'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "[library]" not in done.stdout + done.stderr and done.stdout
    logs = [path.read_text() for path in tmp_path.rglob(NAME)]
    assert any("from C" in log and "from Python" in log for log in logs)
    shards = [path.read_text() for path in tmp_path.rglob("*.log")]
    assert not any("[library]" in said for said in shards), "a shard's own log has our lines alone"
