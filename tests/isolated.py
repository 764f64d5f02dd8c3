"""Python code in a process that has the installed packages and none of this project's code."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

# torchvision beside a CPU build of torch lacks two operators that it describes (editors/torchvision_cpu.py)
HEAD = """
import sys, importlib.util
sys.path.append({packages!r})
for name in ("agents", "common", "editors", "experiments", "judges", "rl"):
    assert importlib.util.find_spec(name) is None, name
import torch
torch.set_num_threads(1)
if importlib.util.find_spec("torchvision") is not None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def run_alone(code: str, folder: Path) -> str:
    """Run it in `folder`, without the packages of this checkout, a home or a network; returns what it prints."""
    head = HEAD.format(packages=sysconfig.get_path("purelib"))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", head + code], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
