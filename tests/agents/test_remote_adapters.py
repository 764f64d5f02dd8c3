"""What an engine in a process of its own holds after it died: the weights of the last sync, and the adapters beside them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agents.backends import remote
from agents.backends.base import Sampling, SyncReport, fingerprint
from agents.backends.engine_server import stored
from agents.backends.lora import AdapterShape
from agents.backends.remote import Died, RemoteEngine
from agents.backends.vllm_settings import EngineSettings

SETTINGS = EngineSettings("model", "float32", "cpu", {"w": (2, 2)}, {}, (), 1, 2, 10, adapters=AdapterShape(1, 1))
WHOLE = [("w", torch.eye(2))]


def adapters(value: float) -> list[tuple[str, torch.Tensor]]:
    return [(f"w.lora_{half}.default.weight", torch.full((1, 2), value)) for half in "AB"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages to a stand-in of the process, which reads what a sync brings and dies where "die" is among them."""
    said: list[str] = []

    def ask(self: RemoteEngine, what: str, *rest: Any) -> SyncReport | None:
        if said[-1:] == ["die"]:
            said[-1] = "died"
            raise Died("the process died")
        if what != "sync":
            said.append(what)
            return None
        named = list(stored(Path(rest[0])))
        said.append(f"sync {float(named[0][1].flatten()[0]):g} {len(named)}")
        return fingerprint(named)

    process = SimpleNamespace(pid=1, kill=lambda: None, wait=lambda *_: 0)
    monkeypatch.setattr(remote.subprocess, "Popen", lambda *_, **__: process)
    monkeypatch.setattr(RemoteEngine, "_ask", ask)
    return said


def test_a_new_process_gets_the_weights_and_then_the_newest_adapters(asked: list[str]) -> None:
    engine = RemoteEngine(SETTINGS)
    engine.sync(WHOLE)
    engine.sync(adapters(2))
    engine.sync(adapters(3))
    asked[:] = ["die"]
    engine.generate([], 1, Sampling(1))
    assert asked == ["died", "start", "sync 1 1", "sync 3 2", "generate"]
    asked[:] = ["die"]
    engine.sync(adapters(4))
    assert asked == ["died", "start", "sync 1 1", "sync 4 2"]
    engine.drop_adapters()
    asked[:] = ["die"]
    engine.generate([], 1, Sampling(1))
    assert asked == ["died", "start", "sync 1 1", "generate"]
    engine.sync(adapters(5))
    engine.sync(WHOLE)  # empties the slot
    asked[:] = ["die"]
    engine.generate([], 1, Sampling(1))
    assert asked == ["died", "start", "sync 1 1", "generate"]
    assert len(list(engine._folder.glob("weights-*"))) <= 2, "older versions are gone"
    engine.close()
