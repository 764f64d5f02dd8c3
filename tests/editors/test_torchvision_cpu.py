"""torchvision from the package index beside a CPU torch: whatever is installed here can be imported."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from editors import torchvision_cpu


@pytest.mark.slow
def test_the_packages_that_import_transformers_declare_the_operators_first() -> None:
    """In a fresh Python, where nothing has imported torchvision yet."""
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed (make extra-vllm brings it)")
    for package in ("agents", "editors", "rl"):
        code = f"import {package}, torchvision, transformers; transformers.Qwen2VLVideoProcessor()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_one_finder_is_enough_and_it_finds_nothing() -> None:
    def finders() -> list:
        return [f for f in sys.meta_path if isinstance(f, torchvision_cpu._Declarer)]

    torchvision_cpu.allow_torchvision()
    assert len(finders()) == 1
    assert finders()[0].find_spec(torchvision_cpu.WAITS_FOR, None) is None
    assert all(hasattr(torch.ops.torchvision, op) for op in torchvision_cpu.OPERATORS)
    assert finders()[0].find_spec("torchvision", None) is None
