"""kill -9 at random points: every algorithm under the loop ends bit for bit like one that was never killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rl.kills import CASES, KILLS, TRIES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("case", "tries"), [("grpo", 1), *(pytest.param(case, TRIES, marks=pytest.mark.slow) for case in CASES)]
)
def test_kills_at_random_points_change_nothing(case: str, tries: int, tiny_vlm_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.rl.kills", case, str(tiny_vlm_path), str(tmp_path), str(tries)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, *others = json.loads(done.stdout.splitlines()[-1])
    assert len(others) == tries and all(other == whole for other in others), done.stderr
    assert done.stderr.count("killed") >= tries * KILLS / 2  # points behind a run's end are rare
