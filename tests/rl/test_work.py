"""FLOPs of a training step: by hand, against what torch itself counts, and the peaks of known devices."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents.backends.base import ModelRequest
from agents.backends.vlm import VLM
from common.gpus import gpu_of_device
from experiments.benches.rl.flops import Rows, forward_flops
from rl.policies.answers import AnswerPolicy
from rl.policies.text import TextBatch
from rl.work import Work, flow_work, peak_flops, text_work

CONFIG = {
    "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16, "num_hidden_layers": 3,
    "vocab_size": 50,
}  # fmt: skip


def test_a_prompt_with_an_answer_by_hand() -> None:
    """A token: query and output 8x8, key and value 8x4, MLP 3 x 8x16. The tokens of 2 + 1 see 1 + 2 + 3 tokens."""
    work = text_work(CONFIG, [[1, 2]], [[3]], shared=False)
    matrices = 2 * (2 * 64 + 2 * 32 + 3 * 128)
    assert work == Work(3 * (3 * matrices + 4 * 8 * 6) + 2 * 8 * 50, tokens=3)


def test_a_shared_prompt_counts_once_and_its_answers_still_see_it() -> None:
    prompt, answers = [1] * 5, [[1] * 3, [1] * 4]
    whole, once = (text_work(CONFIG, [prompt, prompt], answers, shared) for shared in (False, True))
    alone = text_work(CONFIG, [prompt], [[]], shared=False)
    assert whole.tokens - once.tokens == alone.tokens == 5
    assert whole.flops - once.flops == pytest.approx(alone.flops)
    assert text_work(CONFIG, [prompt, list(prompt)], answers, shared=True) == whole  # equal, but not the same object


def test_the_bench_counts_the_same() -> None:
    """It leaves the last token of an answer out of the model, since that predicts nothing."""

    class Config:
        hidden_size, num_attention_heads, num_key_value_heads = 8, 2, 1
        intermediate_size, num_hidden_layers, vocab_size = 16, 3, 50

    rows = Rows(prompt=6, answer=4, group=3)
    answers = [[1] * 3] * 3
    head = 2 * 8 * 50 * 3  # of the vocabulary, for the tokens that were left out
    assert text_work(CONFIG, [[1] * 6] * 3, answers, False).flops + head == forward_flops(Config, rows, False)


def test_torch_counts_about_the_same_for_a_real_model(tiny_vlm: VLM) -> None:
    vlm = tiny_vlm
    policy = AnswerPolicy(vlm, frozen_vision=True)
    prompts = vlm.encode([ModelRequest("make the red star blue and remove the tree " * 4)])
    batch = TextBatch(prompts, [[5] * 40])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        policy(batch)
    ours = policy.work(batch)
    assert ours.tokens == len(prompts[0]) + 40
    # every product of matrices; torch does not count a fused attention on the CPU
    config, length = vlm.model.config.text_config, ours.tokens
    attention = config.num_hidden_layers * 4 * (length * (length + 1) // 2) * config.hidden_size
    assert ours.flops - attention == counter.get_total_flops()
    assert policy.update_work(batch).flops == 3 * ours.flops


def test_a_denoiser_counts_each_picture_step_and_branch() -> None:
    config = {
        "num_attention_heads": 2, "attention_head_dim": 4, "patch_size": 1, "in_channels": 4, "joint_attention_dim": 8,
        "num_layers": 2, "num_single_layers": 1, "pooled_projection_dim": 8,
    }  # fmt: skip
    one = flow_work("FluxTransformer2DModel", config, 8, [4], 1, 1)
    assert one.flops > 0 and one.images == 1
    guided = flow_work("FluxTransformer2DModel", config, 8, [4, 4], 3, 5)
    assert guided.flops == 30 * one.flops and guided.images == 3
    assert flow_work("SomethingElse", config, 8, [4], 3, 5) == Work(images=3)


def test_devices_by_the_names_their_drivers_give() -> None:
    known = {
        "NVIDIA H100 80GB HBM3": "H100 SXM 80 GB",
        "NVIDIA H200": "H200 SXM 141 GB",
        "NVIDIA A100-SXM4-80GB": "A100 SXM 80 GB",
        "NVIDIA A100-PCIE-40GB": "A100 SXM 80 GB",
        "NVIDIA GeForce RTX 4090": "GeForce RTX 4090",
        "NVIDIA H100 PCIe": None,
        "NVIDIA H100 NVL": None,
        "NVIDIA GH200 480GB": None,
        "Tesla T4": None,
    }
    assert {name: gpu and gpu.name for name in known for gpu in [gpu_of_device(name)]} == known
    assert peak_flops(torch.device("cpu"), True) is None
