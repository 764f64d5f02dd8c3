"""Adapters are trained and nothing else; everyone else sees them as ordinary weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from agents.backends.base import ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from common.errors import BadInput
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.lora import Lora, is_adapter
from rl.policies.text import TextBatch, TextPolicy
from tests.agents.test_static_rows import close
from tests.agents.test_step_graphs import StandIn, with_graphs
from tests.rl.runs import CONFIG, outcome, train
from tests.tiny_models import both_families

LORA = Lora(rank=4, alpha=8)
REQUEST = ModelRequest("write", (Image.new("RGB", (32, 32), (200, 90, 10)),))
ANSWER = [40, 41, 42, 43]


def engine_of(path: Path, updates: int = 3, **kw: bool) -> TorchEngine:
    engine = TorchEngine(TextPolicy(load_vlm(path), lora=LORA, **kw), OptimizerConfig(lr=1e-2, weight_decay=0.01))
    for _ in range(updates):
        engine.backward(-engine.forward(TextBatch(engine.policy.encode([REQUEST]), [ANSWER])).logp_BT.mean())
        engine.step()
    return engine


@pytest.mark.parametrize("frozen_vision", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
@both_families
def test_only_adapters_are_trained(tiny_vlm_path: Path, frozen_vision: bool, checkpointing: bool) -> None:
    start = dict(load_vlm(tiny_vlm_path).model.named_parameters())
    engine = engine_of(tiny_vlm_path, frozen_vision=frozen_vision, gradient_checkpointing=checkpointing)
    held = dict(engine.policy.model.named_parameters())
    adapters = {name: p for name, p in held.items() if is_adapter(name)}
    assert all(p.requires_grad == (name in adapters) for name, p in held.items())
    assert any("visual" in name for name in adapters) != frozen_vision
    assert all(p.abs().max() > 0 for name, p in adapters.items() if ".lora_B." in name)
    for name, p in held.items():
        if name not in adapters:
            assert torch.equal(p, start[name.replace(".base_layer", "")]), name
    changed = {name for name, p in engine.named_parameters() if not torch.equal(p, start[name])}
    assert changed == {f"{name.partition('.lora_')[0]}.weight" for name in adapters}


@both_families
def test_merged_weights_are_the_same_model(tiny_vlm_path: Path) -> None:
    engine = engine_of(tiny_vlm_path)
    plain = load_vlm(tiny_vlm_path)
    report = HFBackend(plain).sync(engine.named_parameters())
    assert report.names == len(dict(load_vlm(tiny_vlm_path).model.named_parameters()))
    with torch.no_grad():
        theirs = TextPolicy(plain)(TextBatch(plain.encode([REQUEST]), [ANSWER])).logp_BT
        start = TextPolicy(load_vlm(tiny_vlm_path))(TextBatch(plain.encode([REQUEST]), [ANSWER])).logp_BT
        ours = engine.forward(TextBatch(engine.policy.encode([REQUEST]), [ANSWER])).logp_BT
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert (ours - start).abs().max() > 0.1  # they did learn


@both_families
def test_the_reference_stays_where_it_was(tiny_vlm_path: Path) -> None:
    engine = engine_of(tiny_vlm_path, updates=1)
    prompts = engine.policy.encode([REQUEST])
    with torch.no_grad():
        before = engine.forward(TextBatch(prompts, [ANSWER])).logp_BT
    reference = engine.frozen_copy()
    for _ in range(2):
        engine.backward(-engine.forward(TextBatch(prompts, [ANSWER])).logp_BT.mean())
        engine.step()
    assert torch.equal(reference(TextBatch(prompts, [ANSWER])).logp_BT, before)
    assert not torch.equal(engine.forward(TextBatch(prompts, [ANSWER])).logp_BT, before)


def test_a_run_with_adapters_goes_on_like_one_that_was_never_stopped(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=4)

    def run(out: Path, steps: int) -> list:
        engine = TorchEngine(TextPolicy(load_vlm(tiny_vlm_path), lora=LORA), config, config.schedule())
        rollouts = HFBackend(load_vlm(tiny_vlm_path))
        state = train(replace(config, steps=steps), engine, rollouts, out)
        return outcome(state, out)

    run(tmp_path / "halves", 2)
    whole = run(tmp_path / "whole", 4)
    assert run(tmp_path / "halves", 4) == whole
    assert all(
        row["kl/k3"] >= 0 and abs(row["trained/mismatch/mean"]) < 1e-3
        for row in whole[1]
        if "trained/mismatch/mean" in row
    )


def test_replayed_decoding_steps_use_adapters_that_came_later(tiny_vlm_path: Path) -> None:
    vlm, cuda = load_vlm(tiny_vlm_path), StandIn()
    graphs, sampling = with_graphs(vlm, cuda), Sampling(17, temperature=0.0)
    graphs.generate([REQUEST], 2, sampling)
    LORA.attach(vlm.model, vlm.family, vision=False)
    for captures in (2, 2):  # by other weights, then by values in place
        with torch.no_grad():
            for name, p in vlm.model.named_parameters():
                if is_adapter(name):
                    p.add_(0.05 * torch.randn_like(p))
        assert close(graphs.generate([REQUEST], 2, sampling), HFBackend(vlm).generate([REQUEST], 2, sampling))
        assert sum(said.startswith("capture") for said in cuda.said) == captures


@pytest.mark.parametrize(("rank", "alpha"), [(0, 1), (-1, 1), (4, 0)])
def test_numbers_that_cannot_work_are_refused(rank: int, alpha: int) -> None:
    with pytest.raises(BadInput, match="LoRA needs"):
        Lora(rank, alpha)
