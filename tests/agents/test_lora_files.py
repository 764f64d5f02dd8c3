"""Adapters on their way to a rollout engine: peft reads the folder that vLLM gets, and it is a small part of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.backends.base import fingerprint
from agents.backends.lora import AdapterShape, is_adapter, pairs, write_adapters
from agents.backends.vllm import VLLMBackend
from agents.backends.vllm_lora import RANKS, slot_arguments, slot_rank, why_merged
from agents.backends.vllm_shared import owned_engines
from agents.backends.vlm import load_vlm
from common.errors import BadInput, RunFailed
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.lora import Lora
from rl.policies.text import TextBatch, TextPolicy
from rl.weight_sync import weights_for
from tests.tiny_models import both_families

LORA = Lora(3, 4)
TINY = Path(__file__).parents[2] / "assets" / "tiny" / "decomposer"


def trained(path: Path, lora: Lora | None = LORA) -> TorchEngine[TextBatch]:
    engine = TorchEngine(TextPolicy(load_vlm(path), lora=lora), OptimizerConfig())
    with torch.no_grad():
        for name, p in engine.policy.model.named_parameters():
            if is_adapter(name):
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1)
    return engine


@both_families
def test_peft_reads_what_is_written_as_the_model_that_was_trained(tiny_vlm_path: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    engine, plain = trained(tiny_vlm_path), load_vlm(tiny_vlm_path)
    write_adapters(tmp_path, pairs(engine.trained_parameters(), 3), AdapterShape(3, 4))
    read = PeftModel.from_pretrained(plain.model, str(tmp_path)).merge_and_unload()
    held = dict(read.named_parameters())
    for name, value in engine.named_parameters():
        assert torch.allclose(held[name], value, atol=1e-6), name


def test_adapters_are_a_small_part_of_what_a_merged_sync_moves() -> None:
    engine = trained(TINY, Lora(4, 8))
    alone, merged = fingerprint(engine.trained_parameters()), fingerprint(engine.named_parameters())
    assert 0 < alone.bytes < 0.05 * merged.bytes


def test_only_a_backend_with_a_slot_of_that_shape_is_sent_adapters_alone(tiny_vlm_path: Path) -> None:
    class Slotted:
        slot: AdapterShape | None = AdapterShape(3, 4)

    backend, engine, whole = Slotted(), trained(tiny_vlm_path), trained(tiny_vlm_path, None)
    assert weights_for(backend, engine) == engine.trained_parameters  # type: ignore[arg-type]
    assert weights_for(backend, whole) == whole.named_parameters  # type: ignore[arg-type]
    for other in (None, AdapterShape(8, 4), AdapterShape(3, 8)):
        backend.slot = other
        assert weights_for(backend, engine) == engine.named_parameters  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("release", "device", "dtype", "rank", "said"),
    [
        ((0, 32), "cpu", "float32", 8, ""),
        ((0, 33), "cpu", "bfloat16", 512, ""),
        ((0, 29), "cpu", "float32", 8, ""),
        ((0, 28), "cpu", "float32", 8, "from vLLM 0.29 on, and this is 0.28"),
        (None, "cpu", "float32", 8, "this one cannot be told"),
        ((0, 32), "cpu", "float32", 513, "largest slot has rank 512, and algo.lora.rank is 513"),
        ((0, 32), "cuda", "float32", 8, "16 bits, and decomposer.dtype is float32"),
        ((0, 32), "cuda", "bfloat16", 8, ""),
    ],
)
def test_what_cannot_be_synced_alone_is_merged_for_a_reason(
    monkeypatch: pytest.MonkeyPatch, release: tuple[int, int] | None, device: str, dtype: str, rank: int, said: str
) -> None:
    class Model:
        def __init__(self) -> None:
            self.device, self.dtype = torch.device(device), getattr(torch, dtype)

    class Loaded:
        model = Model()

    monkeypatch.setattr("agents.backends.vllm_lora.installed_release", lambda: release)
    why = why_merged(Loaded(), AdapterShape(rank, 16))  # type: ignore[arg-type]
    assert said in why if said else why == ""


def test_a_slot_holds_the_rank() -> None:
    assert [slot_rank(r) for r in (1, 8, 9, 512)] == [8, 8, 16, 512] and slot_rank(513) is None and max(RANKS) == 512
    assert slot_arguments(None) == {}
    assert slot_arguments(AdapterShape(9, 4, vision=True))["enable_tower_connector_lora"] is True


def test_what_is_no_pair_of_matrices_is_named() -> None:
    a, b = ("m.q.lora_A.default.weight", torch.ones(2, 5)), ("m.q.lora_B.default.weight", torch.ones(7, 2))
    assert pairs([b, a], 2)["m.q"].a.shape == (2, 5)
    for sent, said in (
        ([a], r"m\.q\.lora_B\.default\.weight was never sent"),
        ([a, b, a], r"lora_A\.default\.weight was written twice"),
        ([a, b, ("m.q.weight", a[1])], r"m\.q\.weight came with adapters and is none"),
        ([(a[0], torch.ones(3, 5)), b], r"is \(3, 5\), and the adapters have rank 2"),
    ):
        with pytest.raises(RunFailed, match=said):
            pairs(sent, 2)


def test_a_run_may_insist_on_adapters_alone(tiny_vlm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.backends.vllm_lora.installed_release", lambda: (0, 32))
    too_large = r"adapters=alone cannot be: .*rank 512, and algo\.lora"
    with owned_engines(adapters=AdapterShape(rank=1000, alpha=1)), pytest.raises(BadInput, match=too_large):
        VLLMBackend(load_vlm(tiny_vlm_path), adapters="alone")
    with pytest.raises(BadInput, match="adapters=some is unknown; choose auto, merged or alone"):
        VLLMBackend(load_vlm(tiny_vlm_path), adapters="some")
