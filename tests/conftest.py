"""Fixtures of all tests: tiny random models of each family with a byte-level tokenizer, built once per session, no download."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from functools import cache

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest
import torch

from agents.backends.vlm import VLM, load_vlm
from tests.tiny_models import build_tiny_vlm

torch.set_num_threads(1)  # at these sizes a second thread only waits, and on a busy machine it waits long

# what a script starts in the background inherits that Ctrl-C is ignored, and tests press it
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that no worker of a parallel run is left alone with one of them at the end."""
    items.sort(key=lambda item: "tests/e2e/" not in item.nodeid)


@pytest.fixture(autouse=True)
def subnormals() -> Iterator[None]:
    """Commands flush subnormal numbers for the whole process; hypothesis refuses to draw floats in one that does."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Hydra gives a command's process a handler that writes to the standard output of that moment, which of a test is closed at its
    end; whatever a later test logged would be an error there."""
    root = logging.getLogger()
    handlers, level = set(root.handlers), root.level
    yield
    root.handlers = [handler for handler in root.handlers if handler in handlers]
    root.setLevel(level)


@pytest.fixture(scope="session")
def tiny_vlm_paths(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the random tiny model of a family (about 0.15M parameters), written when it is first wanted."""
    return cache(lambda family: build_tiny_vlm(tmp_path_factory.mktemp("tiny_vlm"), family=family))


@pytest.fixture(scope="session")
def tiny_vlm_path(tiny_vlm_paths: Callable[[str], Path], request: pytest.FixtureRequest) -> Path:
    """That of a Qwen2.5-VL, or of the family that a test names: see `tests.tiny_models.both_families`."""
    return tiny_vlm_paths(getattr(request, "param", "qwen2_5_vl"))


@pytest.fixture
def tiny_vlm(tiny_vlm_path: Path) -> VLM:
    """A fresh copy of the tiny model for every test, so that no test sees another's training."""
    return load_vlm(tiny_vlm_path)
