"""liger-kernel's kernels: what is switched, what is said where they cannot be, and that nothing else changes."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from torch import Tensor

from agents.backends import fused
from agents.backends.vlm import VLM, collate
from common.errors import BadInput
from tests.rl.test_prefix import ANSWERS, REQUESTS
from tests.tiny_models import both_families


def norm(x: Tensor, weight: Tensor, eps: float, offset: float = 0.0, casting_mode: str = "llama") -> Tensor:
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def gate(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.silu(a) * b


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of the same names, whose functions run anywhere."""
    functional = ModuleType("liger_kernel.transformers.functional")
    functional.liger_rms_norm, functional.liger_swiglu = norm, gate  # type: ignore[attr-defined]
    for name in ("liger_kernel", "liger_kernel.transformers"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers.functional", functional)
    fused.liger.cache_clear()
    yield
    fused.liger.cache_clear()


@both_families
def test_norms_and_activations_of_the_language_model_are_switched(tiny_vlm: VLM, stand_in: None) -> None:
    inputs = {
        k: v for k, v in collate(tiny_vlm, tiny_vlm.encode(REQUESTS[:1]), ANSWERS[0][:1]).items() if v is not None
    }
    before = tiny_vlm.model(**inputs).logits
    untouched = copy.deepcopy(tiny_vlm.model)
    kernels = fused.liger()
    assert kernels is not None
    layers = tiny_vlm.model.config.get_text_config().num_hidden_layers
    head_norms = 2 if tiny_vlm.family.head_norm else 0
    assert fused.switch(tiny_vlm.model, *kernels) == layers * (3 + head_norms) + 1
    after = tiny_vlm.model(**inputs).logits
    assert torch.allclose(before, after, atol=1e-5)
    after.sum().backward()
    assert tiny_vlm.model.model.language_model.norm.weight.grad is not None
    assert "forward" not in vars(untouched.model.language_model.norm)  # classes and other models stay as they are
    assert not any("forward" in vars(m) for m in tiny_vlm.model.model.visual.modules())
    twin = copy.deepcopy(tiny_vlm.model)
    assert twin.model.language_model.norm.forward.__self__ is twin.model.language_model.norm  # it has its own weights


def test_without_cuda_one_line_says_why_and_only_if_asked(
    tiny_vlm: VLM, stand_in: None, capsys: pytest.CaptureFixture[str]
) -> None:
    fused._say_why.cache_clear()
    assert fused.use_fused(tiny_vlm.model) == 0 and not capsys.readouterr().out
    assert fused.use_fused(tiny_vlm.model, "true") == fused.use_fused(tiny_vlm.model, "true") == 0
    assert capsys.readouterr().out == "  fused=true changes nothing: it runs on cpu, and liger-kernel needs CUDA\n"
    assert fused.use_fused(tiny_vlm.model, "false") == 0
    with pytest.raises(BadInput, match="choose from auto, true, false"):
        fused.use_fused(tiny_vlm.model, "yes")


def test_a_missing_package_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("liger_kernel", "liger_kernel.transformers", "liger_kernel.transformers.functional"):
        monkeypatch.setitem(sys.modules, name, None)
    fused.liger.cache_clear()
    assert fused.liger() is None
    fused.liger.cache_clear()


@both_families
def test_the_real_kernels_give_the_models_own_outputs_and_gradients(tiny_vlm: VLM) -> None:
    pytest.importorskip("liger_kernel", reason="liger-kernel is not installed (make extra-fused)")
    if not torch.cuda.is_available():
        pytest.skip("liger-kernel's kernels need CUDA")
    where = torch.device("cuda")
    inputs = collate(tiny_vlm, tiny_vlm.encode(REQUESTS[:1]), ANSWERS[0][:1]).items()
    inputs = {k: v.to(where) for k, v in inputs if v is not None}
    fused.liger.cache_clear()
    seen = []
    for kernels in (None, fused.liger()):
        model = copy.deepcopy(tiny_vlm.model).to(where)
        if kernels is not None:
            assert fused.switch(model, *kernels) > 0
        logits = model(**inputs).logits
        logits.log_softmax(-1)[..., 0].sum().backward()
        seen.append((logits.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (logits, gradients), (others, other_gradients) = seen
    assert torch.allclose(logits, others, atol=1e-4) and gradients.keys() == other_gradients.keys()
    for name, value in gradients.items():
        assert torch.allclose(value, other_gradients[name], atol=1e-3 * float(value.abs().max()) + 1e-5), name
