"""Adapters on a diffusion transformer: only they are trained, everyone else sees ordinary weights, and pictures change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import BadInput
from editors.flow_editor import FlowEditor
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.flow_config import EMAConfig
from rl.policies.flow import FlowPolicy, collate
from rl.policies.lora import Lora, is_adapter
from tests.editor_pipelines import noise_picture
from tests.rl.flow_models import NOISE, LinearFlow, kontext_policy, trajectories
from tests.rl.flow_runs import CONFIG, LORA, checksum, journal, load_kontext, training, weights

ADAPTED = replace(
    CONFIG, steps=1, lora=LORA, lr=1e-2, prompts_per_step=1, sampling_steps=3, micro_batch_size=8, rollout_batch_size=8
)


def engine(updates: int = 2, checkpointing: bool = False) -> TorchEngine:
    policy = kontext_policy(lora=Lora(4, 8), gradient_checkpointing=checkpointing)
    made = TorchEngine(policy, OptimizerConfig(lr=1e-2))
    items = trajectories(policy)
    for _ in range(updates):
        made.backward(-made.forward(collate(items)).logp_BT.mean())
        made.step()
    return made


@pytest.mark.parametrize("checkpointing", [False, True])
def test_only_adapters_are_trained_in_every_linear_layer_of_every_block(checkpointing: bool) -> None:
    made = engine(checkpointing=checkpointing)
    start = weights(load_kontext())
    held = dict(made.policy.model.named_parameters())
    adapters = {name for name in held if is_adapter(name)}
    assert all(p.requires_grad == (name in adapters) for name, p in held.items())
    assert all(bool(held[name].any()) for name in adapters if ".lora_B." in name)
    linear = {n for n, m in load_kontext().transformer.named_modules() if isinstance(m, torch.nn.Linear)}
    inside = {n for n in linear if "transformer_blocks" in n}
    assert {name.partition(".lora_")[0] for name in adapters} == inside and 0 < len(inside) < len(linear)
    for name, p in held.items():
        if name not in adapters:
            assert torch.equal(p, start[name.replace(".base_layer", "")]), name


def test_merged_weights_are_the_same_model() -> None:
    made, plain = engine(), kontext_policy()
    start = weights(plain.flow)
    exported = {name: value.clone() for name, value in made.named_parameters()}
    assert exported.keys() == start.keys()
    items = trajectories(plain)
    with torch.no_grad():
        before = plain(collate(items)).logp_BT
        for name, p in plain.model.named_parameters():
            p.copy_(exported[name])
        after, ours = plain(collate(items)).logp_BT, made.forward(collate(items)).logp_BT
    torch.testing.assert_close(ours, after, rtol=1e-4, atol=1e-5)
    assert float((ours - before).abs().max()) > 1e-3


def test_other_values_of_adapters_are_merged_where_they_are_asked_for() -> None:
    made = engine()
    zero = {name: torch.zeros_like(value) for name, value in made.trained_parameters()}
    assert all(is_adapter(name) for name in zero)
    start = weights(load_kontext())
    for name, value in made.named_parameters(zero):
        torch.testing.assert_close(value, start[name])


def test_the_reference_is_the_model_without_its_adapters_and_holds_no_weights_of_its_own() -> None:
    made = TorchEngine(kontext_policy(lora=Lora(4, 8)), OptimizerConfig(lr=1e-2))
    reference = made.frozen_copy()
    items = trajectories(kontext_policy())
    with torch.no_grad():
        plain = kontext_policy()(collate(items)).logp_BT
    made.backward(-made.forward(collate(items)).logp_BT.mean())
    made.step()
    assert torch.equal(reference(collate(items)).logp_BT, plain)
    trained = dict(made.policy.model.named_parameters())
    own = {name for name, p in reference.policy.model.named_parameters() if p is not trained[name]}
    assert own == {name for name in trained if is_adapter(name)}


def test_one_step_of_training_changes_the_pictures(tmp_path: Path) -> None:
    own = training(ADAPTED, load=load_kontext)
    own.run(tmp_path)
    assert not any(is_adapter(name) for name, _ in own.flow.transformer.named_parameters())
    pictures = [
        FlowEditor(flow).edit([noise_picture((32, 32))], ["add a hat"], [0])[0] for flow in (load_kontext(), own.flow)
    ]
    assert np.abs(np.asarray(pictures[0], int) - np.asarray(pictures[1], int)).max() > 0


def test_two_steps_are_one_and_one_bit_for_bit(tmp_path: Path) -> None:
    config = replace(ADAPTED, steps=2, ema=EMAConfig(decay=0.5, every=1))
    seen = []
    for folder, stops in (("whole", (2,)), ("halves", (1, 2))):
        for steps in stops:
            own = training(replace(config, steps=steps), load=load_kontext)
            own.run(tmp_path / folder)
        seen.append([checksum(own.flow), *journal(tmp_path / folder)])
    assert seen[0] == seen[1] and seen[0][1][-1]["kl/mean"] > 0


def test_a_transformer_without_blocks_is_refused() -> None:
    with pytest.raises(BadInput, match="no blocks with linear layers"):
        FlowPolicy(LinearFlow(), NOISE, lora=Lora(4, 8))  # type: ignore[arg-type]
