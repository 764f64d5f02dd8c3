"""The memory of a job's phases: by hand for known and small shapes, and against the real adapters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from common.gpus import GIB
from editors.costs import transformer_training_activations
from editors.parts import adapter_parameters
from editors.published import QWEN2_5_VL_7B, PublishedModel
from experiments.preflight import editor_phases, language_phases
from experiments.preflight.adapter_slot import slot_bytes, slot_of
from experiments.preflight.language_phases import Trained
from experiments.preflight.output_layer import output_layer_bytes
from experiments.preflight.phases import MODELS, RESERVE, Phase, models_of, too_large
from experiments.runs.cli import compose, typed
from rl.config import GCPOConfig, LoraConfig
from rl.policies.lora import Lora
from tests.rl.flow_models import kontext_policy

MODEL = Trained(QWEN2_5_VL_7B, "bfloat16", prompt=1000, answer=100)
VLLM = SimpleNamespace(name="vllm", sleep=True, cache_gib=8.0)


def config(*words: str) -> Any:
    return typed(compose("run", ["experiment=edit_r1_paper", *words]))


def gb(held: dict[str, float]) -> dict[str, float]:
    return {name: round(value / 1e9, 1) for name, value in held.items() if value}


def test_gcpo_by_hand() -> None:
    """8.292 B parameters: 2 bytes each whole, and 2 + 12 of gradients and optimiser shared by 8; at stage 3 the weights are shared
    too, and rollouts need a whole model."""
    c = config()
    algo = GCPOConfig(kl_log_sequences=0)
    assert gb(language_phases.kept_in_training(MODEL, algo, c.engine, 8)) == {
        "weights": 16.6, "gradients": 2.1, "optimizer": 12.4,
    }  # fmt: skip
    sharded = config("engine.stage=3").engine
    assert gb(language_phases.kept_in_training(MODEL, GCPOConfig(kl_coef=0.1), sharded, 8)) == {
        "weights": 2.1, "gradients": 2.1, "optimizer": 12.4, "reference": 16.6, "whole copy for rollouts": 16.6,
    }  # fmt: skip


def test_activations_and_caches_by_hand() -> None:
    """28 layers of width 3,584 with an MLP of 18,944; 4 key heads of 128; 152,064 words."""
    layer = 1100 * (8 * 3584 + 4 * 18944) * 2
    logits = 300 * 152064 * (3 * 4 + 2)  # three times in float32 while they are computed, and kept in bfloat16
    assert MODEL.activations(3, checkpointing=False) == 3 * 28 * layer + logits
    assert MODEL.activations(3, checkpointing=True) == 3 * (layer + 28 * 1100 * 3584 * 2) + logits
    long = output_layer_bytes(MODEL.part.config, 5000, 2)  # one chunk of 1,024 is kept, two are more than 512 MiB
    assert long == {"one chunk": 3 * 1024 * 152064 * 4, "kept": 1024 * 152064 * 2}
    assert output_layer_bytes(MODEL.part.config, 5000, 2, frozen=True)["kept"] == 5000 * 3584 * 2
    hf = SimpleNamespace(name="hf", batch_size=4)
    assert language_phases.engine_bytes(MODEL, hf, 100) == {"keys and values": 4 * 2 * 28 * 512 * 1100 * 2}
    for rows, bucket, stays in (
        (12, 16, 1),
        (60, 64, 0),
    ):  # rows of 1,280 tokens: 1.1 GiB stays between rollouts, 4.4 do not
        graphs = SimpleNamespace(name="hf", batch_size=rows, graphs="auto")
        held = bucket * 2 * 28 * 512 * 1280 * 2
        for asked in (True, False):
            found = language_phases.engine_bytes(MODEL, graphs, 100, asked)
            assert found == {"keys and values": held if asked else stays * held}
    assert language_phases.engine_bytes(MODEL, VLLM, 100)["keys and values"] == 8 * GIB
    assert sum(language_phases.engine_bytes(MODEL, VLLM, 100, asked=False).values()) == 0  # it sleeps


def test_the_slot_for_adapters_is_as_large_as_vllms_own() -> None:
    """153,600 bytes were counted in vLLM 0.32, for the tests' model of width 128 and a slot of rank 8 in float32."""
    text = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    tower = {"hidden_size": 32, "intermediate_size": 64, "depth": 2, "spatial_merge_size": 2, "out_hidden_size": 128}
    small = {"text_config": text | {"num_key_value_heads": 2}, "vision_config": tower | {"fullatt_block_indexes": [1]}}
    assert slot_bytes(small, 3, True, 4) == slot_bytes(small, 8, True, 4) == 153_600
    assert slot_bytes(small, 3, False, 4) == 2 * 53_248 == slot_bytes(small, 9, False, 4) / 2
    algo = GCPOConfig(lora=LoraConfig(rank=16), frozen_vision=True)
    alone, merged = (SimpleNamespace(**vars(VLLM), adapters=how) for how in ("auto", "merged"))
    asked = [language_phases.engine_bytes(MODEL, r, 100, True, algo)["vLLM's adapters"] for r in (alone, merged, VLLM)]
    assert asked == [slot_bytes(MODEL.part.config, 16, False, 2), 0, 0] and asked[0] > 0
    assert language_phases.engine_bytes(MODEL, alone, 100, False, algo)["vLLM's adapters"] == 0  # it sleeps
    assert slot_of(MODEL.part.config, algo, alone, 4) == 0  # float32 is merged


def test_a_denoisers_backward_by_hand() -> None:
    small = {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 3, "num_single_layers": 2}
    block = 34 * 20 * 8 * 2  # bytes: tokens, width, of two-byte halves of 4 bytes
    assert transformer_training_activations(small, 15, 5, 4, checkpointing=False) == 5 * block
    assert transformer_training_activations(small, 15, 5, 4, checkpointing=True) == block + 5 * 20 * 8 * 4


def test_adapters_have_as_many_weights_as_they_are_said_to_have() -> None:
    transformer = kontext_policy().flow.transformer
    part = PublishedModel(type(transformer).__name__, dict(transformer.config))
    before = {id(p) for p in transformer.parameters()}
    Lora(3, 6).attach_to_blocks(transformer)
    assert adapter_parameters(part, 3) == sum(p.numel() for p in transformer.parameters() if id(p) not in before)


def test_an_editor_with_adapters_keeps_one_transformer_unless_it_is_sharded() -> None:
    """11.90 B parameters in 16 bits, and 4.96 B of encoders and VAE."""
    for stage, reference, transformer in ((2, 0.5, 24.3), (3, 24.3, 3.1)):
        c = config(f"engine.stage={stage}")
        model = editor_phases.edited(c.editor)
        held = gb(editor_phases.kept_in_training(model, c.algo, c.engine, 8))
        assert held["encoders and VAE"] == pytest.approx(9.9, abs=0.1)
        assert held["transformer"] == pytest.approx(transformer, abs=0.6)
        assert held["reference"] == pytest.approx(reference, abs=0.6)
        assert ("whole copy for rollouts" in held) == (stage == 3)


def test_a_micro_batch_and_its_noisy_steps_are_one_graph() -> None:
    c = config()
    model = editor_phases.edited(c.editor)
    one, window = (config(word).algo for word in ("algo.micro_batch_size=1", "algo.window_size=1"))
    assert editor_phases.backward(model, c.algo) == 2 * editor_phases.backward(model, one)
    assert editor_phases.backward(model, c.algo) == 5 * editor_phases.backward(model, window)  # all but the last of 6


class Data:
    name, uses = "data", frozenset[str]()

    def phases(self, config: Any) -> list[Phase]:
        return [
            Phase("data", "a", {"weights": 3 * GIB}),
            Phase("data", "b", {"weights": GIB, "cache": 9 * GIB}, gpus=2),
        ]


def test_phases_that_do_not_fit_are_named_with_what_they_hold() -> None:
    (line,) = too_large([Data(), object()], None, [5 * GIB, 40 * GIB])
    assert (
        line.startswith("GPU memory for data, b: about 12 GiB on each of 2 GPUs (weights 1, cache 9)")
        and "5 GiB" in line
    )
    assert len(list(too_large([Data()], None, []))) == 2 and not list(too_large([Data()], None, [12 * GIB]))
    assert Data().phases(None)[0].total == 3 * GIB + RESERVE


def test_stages_use_all_models_where_they_do_not_say() -> None:
    assert models_of([]) == models_of([object()]) == MODELS
    assert models_of([Data()]) == frozenset()
