"""What is computed in another way on a CPU gives the same numbers."""

import copy

import pytest
import torch
from diffusers.models.activations import GELU
from torch import nn

from editors.fast_gelu import fast_gelu, use_fast_gelu
from editors.flow import sample
from editors.flux_cpu import LastBlock, PairedRotation, use_cpu_blocks
from editors.flux_kontext import KontextModel
from editors.settings import FlowSettings
from tests.editor_pipelines import noise_picture, small_kontext


@torch.no_grad()
def test_gelu_is_torchs_from_far_left_to_far_right():
    x = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e4, -1e4])])
    assert (fast_gelu(x) - nn.functional.gelu(x, approximate="tanh")).abs().max() < 2e-6


def test_gelus_gradient_too():
    x = torch.linspace(-12, 12, 4001, requires_grad=True)
    weight = torch.randn(4001)
    (mine,) = torch.autograd.grad((fast_gelu(x) * weight).sum(), x)
    (theirs,) = torch.autograd.grad((nn.functional.gelu(x, approximate="tanh") * weight).sum(), x)
    assert torch.allclose(mine, theirs, atol=2e-6)


@torch.no_grad()
def test_only_the_tanh_form_is_changed_and_no_parameter():
    model = nn.Sequential(nn.GELU(), nn.GELU(approximate="tanh"), GELU(4, 8, approximate="tanh"), GELU(8, 4))
    x, before = torch.randn(3, 4), {name: p for name, p in model.named_parameters()}
    expected = model(x)
    use_fast_gelu(model)
    use_fast_gelu(model)
    assert torch.allclose(model(x), expected, atol=1e-6)
    assert [type(m).__name__ for m in model] == ["GELU", "FastGELU", "FastProjectedGELU", "GELU"]
    assert {name: p for name, p in model.named_parameters()} == before


@pytest.fixture(scope="module")
def pipes():
    torch.manual_seed(0)
    plain = small_kontext()
    for p in plain.transformer.parameters():  # gates that start near 0 would hide the blocks
        p.data.normal_(0, 0.1)
    lean = copy.deepcopy(plain)
    use_cpu_blocks(lean.transformer)
    use_cpu_blocks(lean.transformer)
    return plain, lean


@pytest.mark.parametrize("size", [(64, 64), (96, 40)], ids=str)
@pytest.mark.parametrize("true_cfg", [1.0, 3.0])
def test_a_lean_transformer_walks_the_same_way(pipes, size, true_cfg):
    settings = FlowSettings(steps=4, area=64 * 64, true_cfg=true_cfg, max_sequence_length=16)
    ends = []
    for pipe in pipes:
        model = KontextModel(pipe, settings)
        pictures = [model.fit(noise_picture(size, seed))[0] for seed in (1, 2)]
        prepared = model.prepare(pictures, ["make the star red", "remove the tree"])
        ends.append(sample(model, prepared, model.noise(prepared, [3, 4]), settings))
    assert (ends[0] - ends[1]).abs().max() <= 1e-4 * ends[0].abs().max()


def test_gradients_too(pipes):
    grads = []
    for pipe in pipes:
        model = KontextModel(pipe, FlowSettings(steps=2, area=64 * 64, max_sequence_length=16))
        prepared = model.prepare([model.fit(noise_picture((64, 64), 1))[0]], ["make the star red"])
        pipe.transformer.zero_grad()
        model.velocity(prepared, model.noise(prepared, [0]), 0.7).square().mean().backward()
        grads.append({name: p.grad for name, p in pipe.transformer.named_parameters() if p.grad is not None})
    plain, lean = grads
    assert plain.keys() == lean.keys()
    scale = max(float(g.abs().max()) for g in plain.values())
    assert all((plain[name] - lean[name]).abs().max() < 1e-4 * scale for name in plain)


def test_names_and_weights_stay(pipes):
    plain, lean = pipes
    ours, theirs = lean.transformer.state_dict(), plain.transformer.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert type(lean.transformer.single_transformer_blocks[-1]) is LastBlock
    assert all(type(p) is PairedRotation for p in lean.transformer.attn_processors.values())
