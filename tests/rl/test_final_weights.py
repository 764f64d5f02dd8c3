"""A training ends with its own weights in the model that is saved, also where rollouts come from an engine that has copies."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from rl.config import LoraConfig
from rl.engine.torch import TorchEngine
from rl.text_training import GRPOTraining
from tests.rl.runs import CONFIG, MAX_NEW_TOKENS, SEED, letters, sample, to_request


@pytest.mark.parametrize("changes", [{"lora": LoraConfig(rank=2, alpha=4)}, {"max_offpolicy_steps": 1}, {}])
def test_what_is_saved_is_what_was_trained(tiny_vlm_path: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    config = replace(CONFIG, steps=2, kl_coef=0.0, **changes)  # type: ignore[arg-type]
    tools = SimpleNamespace(
        load=lambda: load_vlm(tiny_vlm_path), engine=lambda policy, c, schedule: TorchEngine(policy(), c, schedule),
        sharded=False, backend=lambda vlm: HFBackend(load_vlm(tiny_vlm_path)), sample=partial(sample, 0),
        to_request=to_request, reward=letters, anchors=None, max_new_tokens=MAX_NEW_TOKENS, seed=SEED, loop=None,
    )  # fmt: skip
    training = GRPOTraining(config, tools)  # type: ignore[arg-type]
    training.run(tmp_path)
    start, saved = (dict(vlm.model.named_parameters()) for vlm in (load_vlm(tiny_vlm_path), training.vlm))
    trained = dict(training.engine.named_parameters())
    assert all(torch.equal(saved[name], value) for name, value in trained.items())
    assert any(not torch.equal(saved[name], value) for name, value in start.items())
