"""Adapters alone in vLLM's slot answer as merged weights do and as the trainer says, and nothing of an older version is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from agents.backends import vllm_lora
from agents.backends.base import Sampling
from agents.backends.lora import AdapterShape, is_adapter
from agents.backends.vlm import load_vlm
from common.errors import RunFailed
from common.jsonl import read_jsonl
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.lora import Lora
from rl.policies.text import TextBatch, TextPolicy
from rl.weight_sync import weights_for
from tests.agents.test_hf_backend import requests
from tests.rl.runs import CONFIG, train
from tests.tiny_models import build_tiny_vlm

pytest.importorskip("vllm", reason="vLLM is not installed (make extra-vllm)")
pytestmark = pytest.mark.slow  # every test here asks a real engine that was started for it

from agents.backends.vllm import VLLMBackend  # noqa: E402
from agents.backends.vllm_engine import VLLMEngine  # noqa: E402
from agents.backends.vllm_shared import owned_engines  # noqa: E402

SMALL = dict(max_sequences=32, max_tokens=512, cache_gib=1 / 16)
LORA = Lora(rank=3, alpha=4)  # no scale that is a power of two
CLOSE = 2e-5  # nats, float32 on a CPU; seen: 1e-6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_vlm(tmp_path_factory.mktemp("adapters"), hidden=128)


@pytest.fixture(scope="module")
def backend(path: Path) -> Iterator[VLLMBackend]:
    """Of a run that trains adapters in the vision tower as well."""
    with owned_engines(adapters=AdapterShape(LORA.rank, LORA.alpha, vision=True)):
        yield VLLMBackend(load_vlm(path), **SMALL)


def trainer(path: Path, seed: int, vision: bool = True, language: bool = True) -> TorchEngine[TextBatch]:
    """Adapters that have moved, those of the tower, of the decoder or both."""
    engine = TorchEngine(TextPolicy(load_vlm(path), lora=LORA), OptimizerConfig())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in engine.policy.model.named_parameters():
            if is_adapter(name) and (vision if ".visual." in name else language):
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return engine


def difference(backend: VLLMBackend, engine: TorchEngine[TextBatch]) -> float:
    """The largest one between the log-probabilities that vLLM reports and the trainer's."""
    answers = backend.generate(requests(), 3, Sampling(12, seed=5))
    flat = [(p, c) for p, row in zip(engine.policy.encode(requests()), answers, strict=True) for c in row]
    with torch.no_grad():
        out = engine.forward(TextBatch([p for p, _ in flat], [c.token_ids for _, c in flat]))
    told = torch.tensor([x for _, c in flat for x in c.logprobs])
    return float((out.logp_BT[out.mask_BT] - told).abs().max())


def test_adapters_alone_answer_as_merged_ones_and_as_the_trainer_and_move_little(
    backend: VLLMBackend, path: Path
) -> None:
    """Version after version with the same prompts and pictures, also where the vision tower alone has changed."""
    scored = []
    for seed, vision, language in ((1, True, True), (2, True, False), (3, False, True)):
        engine = trainer(path, seed, vision, language)
        merged = backend.sync(engine.named_parameters())
        whole = backend.token_scores(requests(), tuple("0123"))
        assert difference(backend, engine) < CLOSE
        backend.sync(load_vlm(path).model.named_parameters())  # those beside which the adapters were trained
        alone = backend.sync(weights_for(backend, engine)())
        assert alone.names == len(list(engine.trained_parameters())) and alone.bytes < 0.05 * merged.bytes
        assert difference(backend, engine) < CLOSE
        assert torch.allclose(backend.token_scores(requests(), tuple("0123")), whole, atol=CLOSE)
        scored.append(whole)
    assert (scored[0] - scored[1]).abs().max() > 1e-2 < (scored[1] - scored[2]).abs().max()


def test_a_sync_of_adapters_names_what_is_wrong_and_the_next_one_heals(backend: VLLMBackend, path: Path) -> None:
    engine = trainer(path, 4)
    named = list(engine.trained_parameters())
    backend.sync(load_vlm(path).model.named_parameters())
    odd: dict[str, list[tuple[str, Tensor]]] = {
        "was never sent, only the other half": named[:-1],
        "was written twice": [*named, named[0]],
        "no slot for adapters of model.nonsense": [
            *named,
            *((n.replace(named[0][0].split(".lora_")[0], "model.nonsense"), v) for n, v in named[:2]),
        ],
        "and the adapters have rank 3": [(named[0][0], named[0][1][:2]), *named[1:]],
        "is none": [*named, ("model.language_model.norm.weight", torch.ones(128))],
    }
    for message, sent in odd.items():
        with pytest.raises(RunFailed, match=message):
            backend.sync(sent)
        with pytest.raises(RunFailed, match="no weight sync"):
            backend.generate(requests(1), 1, Sampling(2))
    backend.sync(named)
    assert difference(backend, engine) < CLOSE


def test_a_slot_that_holds_something_else_is_found_out(
    backend: VLLMBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One number in the last bit."""
    write = vllm_lora.write_adapters

    def careless(folder: Path, adapters, shape: AdapterShape) -> None:  # type: ignore[no-untyped-def]
        layer = next(name for name in adapters if "k_proj" in name)
        b = adapters[layer].b.clone()
        b.view(-1)[-1] = torch.nextafter(b.view(-1)[-1], torch.tensor(9.0))
        write(folder, {**adapters, layer: replace(adapters[layer], b=b)}, shape)

    monkeypatch.setattr(vllm_lora, "write_adapters", careless)
    with pytest.raises(RunFailed, match=r"holds of the adapter of .*k_proj is not what was sent"):
        backend.sync(trainer(path, 5).trained_parameters())


def test_backends_take_turns_on_an_engine_with_a_slot_and_only_one_has_adapters(
    backend: VLLMBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the sequencer of a team, which asks the model from before RL. The weights beside the adapters are not sent again."""
    engine = trainer(path, 6)
    backend.sync(load_vlm(path).model.named_parameters())
    first = VLLMBackend(load_vlm(path), **SMALL)
    assert first.engine is backend.engine
    first.sync(engine.trained_parameters())
    second = VLLMBackend(load_vlm(path), **SMALL)
    adapted, plain = (b.generate(requests(), 1, Sampling(8, 0.0)) for b in (first, second))
    assert adapted != plain
    monkeypatch.setattr(VLLMEngine, "_sync_weights", lambda *_: pytest.fail("whole weights were sent"))
    for _ in range(2):
        assert second.generate(requests(), 1, Sampling(8, 0.0)) == plain
        assert first.generate(requests(), 1, Sampling(8, 0.0)) == adapted
    assert difference(first, engine) < CLOSE


def test_grpo_with_adapters_alone_is_on_policy_and_ends_with_the_trained_model(path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3, checkpoint_every=3, kl_coef=0.0, tis_cap=2.0)
    with owned_engines(adapters=AdapterShape(LORA.rank, LORA.alpha, vision=True)):
        rollouts = VLLMBackend(load_vlm(path), **SMALL)
        engine = TorchEngine(TextPolicy(load_vlm(path), config.temperature, lora=LORA), config, config.schedule())
        train(config, engine, rollouts, tmp_path / "run")
        rows = read_jsonl(tmp_path / "run" / "metrics.jsonl")
        adapters = len(list(engine.trained_parameters()))
        assert [row["sync/parameters"] for row in rows] == [adapters] * 3
        assert all(row["trained/mismatch/max"] < 1e-3 for row in rows)
        assert difference(rollouts, engine) < CLOSE
