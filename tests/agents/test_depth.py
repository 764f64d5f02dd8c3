"""A model with more layers answers as before and can learn; one with fewer is a model of its own kind, as its files say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.backends.depth import with_layers
from agents.backends.vllm_settings import settings_of
from agents.backends.vlm import VLM, load_vlm, save_vlm
from common.errors import BadInput
from tests.tiny_models import both_families

IDS = torch.arange(5, 25).unsqueeze(0)


def layers_of(vlm: VLM) -> int:
    return len(vlm.model.model.language_model.layers)


@both_families
def test_new_layers_change_nothing_at_first_and_learn(tiny_vlm: VLM) -> None:
    there = layers_of(tiny_vlm)
    deep = with_layers(tiny_vlm, there + 2)
    assert layers_of(deep) == there + 2 and with_layers(tiny_vlm, there) is tiny_vlm
    out = deep.model(input_ids=IDS).logits
    assert torch.equal(out, tiny_vlm.model(input_ids=IDS).logits)
    out.square().mean().backward()
    for new in deep.model.model.language_model.layers[there:]:
        assert new.self_attn.o_proj.weight.grad.abs().max() > 0 and new.mlp.down_proj.weight.grad.abs().max() > 0
    cached = deep.model.generate(input_ids=IDS, max_new_tokens=4, do_sample=False)
    assert torch.equal(cached, tiny_vlm.model.generate(input_ids=IDS, max_new_tokens=4, do_sample=False))


@both_families
def test_fewer_layers_are_the_first_ones_and_the_last_one_and_are_kept_in_a_file(tiny_vlm: VLM, tmp_path: Path) -> None:
    there = layers_of(tiny_vlm)
    four = with_layers(tiny_vlm, max(there, 4))
    small = with_layers(four, 3)
    old, new = (m.model.model.language_model.layers for m in (four, small))
    for i, source in enumerate((0, 1, -1)):
        assert torch.equal(new[i].mlp.up_proj.weight, old[source].mlp.up_proj.weight)
        assert new[i].self_attn.layer_idx == i
    save_vlm(small, tmp_path / "small")
    again = load_vlm(tmp_path / "small")
    assert layers_of(again) == 3 and with_layers(again, 3) is again
    assert torch.allclose(again.model(input_ids=IDS).logits, small.model(input_ids=IDS).logits, atol=1e-6)
    with pytest.raises(BadInput, match="2 layers or more"):
        with_layers(tiny_vlm, 1)
    if there != 3:
        with pytest.raises(BadInput, match="rollouts=hf"):
            settings_of(small)
