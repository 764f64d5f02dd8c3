"""The other matrix library gives the same numbers and the same module."""

import copy

import pytest
import torch
from torch import nn

from agents.backends.vlm import VLM
from editors import onednn as cpu

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this processor were one that profits."""
    monkeypatch.setattr(cpu, "mkl_is_slow", lambda: True)


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 8), (5, 8), (2, 3, 8), (0, 8), (33, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_torch(everywhere: None, shape: tuple[int, ...], bias: bool) -> None:
    plain = nn.Linear(8, 12, bias=bias)
    fast = copy.deepcopy(plain)
    cpu.use_onednn(fast)
    assert type(fast) is cpu.OneDNNLinear
    x = torch.randn(shape, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    a, b = plain(x), fast(y)
    assert torch.allclose(a, b, atol=1e-6)
    weight = torch.randn_like(a)
    (a * weight).sum().backward()
    (b * weight).sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-6)
    for p, q in zip(plain.parameters(), fast.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-5)


@needs_onednn
def test_strided_and_frozen_inputs(everywhere: None) -> None:
    layer = nn.Linear(8, 12)
    fast = copy.deepcopy(layer).requires_grad_(False)
    cpu.use_onednn(fast)
    x = torch.randn(8, 7).t()
    assert torch.allclose(layer(x), fast(x), atol=1e-6) and not fast(x).requires_grad
    assert fast.bfloat16()(x.bfloat16()).dtype == torch.bfloat16  # other types take the usual way


def test_a_model_keeps_its_parameters_and_copies_stand_alone(everywhere: None, tiny_vlm: VLM) -> None:
    before = {n: p for n, p in tiny_vlm.model.named_parameters()}
    cpu.use_onednn(tiny_vlm.model)
    assert all(p is before[n] for n, p in tiny_vlm.model.named_parameters())
    assert tiny_vlm.model.lm_head.weight is tiny_vlm.model.get_input_embeddings().weight
    other = copy.deepcopy(tiny_vlm.model)
    with torch.no_grad():
        other.lm_head.weight.zero_()
        x = torch.randn(3, other.lm_head.in_features)
        assert tiny_vlm.model.lm_head(x).abs().max() > 0 == other.lm_head(x).abs().max()
