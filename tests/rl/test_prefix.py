"""A tree of completions computes what separate sequences compute: the tree itself, log-probabilities, gradients."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agents.backends.attention import use_grouped_attention
from agents.backends.base import ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm
from common.errors import BadInput
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.text import TextBatch, TextPolicy
from rl.prefix import BLOCK, grow, pack
from tests.tiny_models import both_families

REQUESTS = [
    ModelRequest("add a hat", (Image.new("RGB", (64, 64), "red"),)),
    ModelRequest("a longer request without a picture"),
    ModelRequest("two", (Image.new("RGB", (32, 64), "blue"), Image.new("RGB", (64, 64), "green"))),
]
LONG = [20, 30, 40, 50, 60, 70]
# Ragged, forking early and late, equal ones, one that another continues, one token; and a group where nothing is shared.
ANSWERS = {
    0: [LONG, [20, 30, 99, 98], LONG, [20, 31], [20, 30, 40, 50, 61, 62, 63, 64, 65], [77]],
    1: [[50] * 90, [51] * 3, [50] * 89 + [52]],
    2: [LONG[:3], LONG, LONG[::-1]],
}


def texts(size: int) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=size)


@given(texts(6))
def test_a_tree_holds_every_distinct_beginning_once(completions: list[list[int]]) -> None:
    tree = grow(completions)
    beginnings = {tuple(c[:n]) for c in completions for n in range(1, len(c) + 1)}
    inner = {tuple(c[:n]) for c in completions for n in range(1, len(c))}
    assert len(tree.target) == len(beginnings) and len(tree.ids) == len(inner)
    for c, path in zip(completions, tree.paths, strict=True):
        assert [tree.target[m] for m in path] == c
        nodes = [tree.source[m] for m in path[1:]]  # the nodes of all tokens but the last
        assert tree.source[path[0]] == -1 and [tree.ids[n] for n in nodes] == c[:-1]
        assert [tree.depth[n] for n in nodes] == list(range(len(c) - 1))
        for last in range(len(nodes)):  # a node's ancestors are those before it on the path, and no others
            i = nodes[last]
            assert [j for j in range(len(tree.ids)) if j < i < tree.end[j]] == nodes[:last]


@given(texts(6))
def test_blocks_cut_the_tree_between_branches(completions: list[list[int]]) -> None:
    tree = grow(completions)
    assert all(end == len(tree.ids) for end in tree.end[: tree.stem])
    covered = [n for a, b in tree.blocks() for n in range(a, b)]
    assert covered == list(range(tree.stem, len(tree.ids)))
    for a, b in tree.blocks():
        assert all(tree.end[n] <= b for n in range(a, b))


def test_a_tree_by_hand() -> None:
    tree = grow([[5, 6, 7], [5, 8], [5, 6, 9, 1], [5, 6, 7]])
    assert tree.ids == [5, 6, 9] and tree.depth == [0, 1, 2] and tree.end == [3, 3, 3] and tree.stem == 3
    assert [[tree.target[m] for m in p] for p in tree.paths] == [[5, 6, 7], [5, 8], [5, 6, 9, 1], [5, 6, 7]]
    assert tree.paths[0] == tree.paths[3] and len(tree.target) == 6
    apart = grow([[i] * (BLOCK // 2 + 1) for i in range(4)])
    assert apart.stem == 0 and len(apart.blocks()) == 2  # two branches of 32 nodes in each


def both(path, **kw) -> tuple[TextPolicy, TextPolicy]:
    return TextPolicy(load_vlm(path), shared_prefix=True, **kw), TextPolicy(load_vlm(path), shared_prefix=False, **kw)


def batch(policy: TextPolicy, groups: Sequence[int]) -> tuple[list, list]:
    prompts = policy.encode(REQUESTS)
    pairs = [(prompts[i], c) for i in groups for c in ANSWERS[i]]
    return [p for p, _ in pairs], [c for _, c in pairs]


def loss(stats, seed: int = 0) -> torch.Tensor:
    """A weighted mean over tokens, so that every completion pulls in another direction."""
    weight = torch.randn(len(stats.logp_BT), 1, generator=torch.Generator().manual_seed(seed))
    return (weight * stats.logp_BT).sum() / stats.mask_BT.sum()


def gradients(policy: TextPolicy) -> dict[str, torch.Tensor]:
    return {n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("groups", [[0], [1], [2], [0, 1, 2]])
@both_families
def test_log_probs_and_gradients_equal_the_unshared_path(tiny_vlm_path, groups: list[int], checkpointed: bool) -> None:
    shared, apart = both(tiny_vlm_path, temperature=0.7, chunk_tokens=16, gradient_checkpointing=checkpointed)
    a, b = shared(TextBatch(*batch(shared, groups))), apart(TextBatch(*batch(apart, groups)))
    assert torch.equal(a.mask_BT, b.mask_BT)
    assert (a.logp_BT - b.logp_BT).abs().max() < 1e-5 and (a.entropy_BT - b.entropy_BT).abs().max() < 1e-5
    loss(a).backward()
    loss(b).backward()
    ours, theirs = gradients(shared), gradients(apart)
    assert ours.keys() == theirs.keys() and (("visual" in " ".join(ours)) == (groups != [1]))
    assert max((ours[n] - theirs[n]).abs().max() for n in ours) < 1e-5
    assert max(g.abs().max() for g in theirs.values()) > 1e-3  # there was something to compare


@both_families
def test_the_split_into_micro_batches_changes_nothing(tiny_vlm_path) -> None:
    results = []
    for cuts in ([[0, 1, 2]], [[0], [1], [2]]):
        policy = TextPolicy(load_vlm(tiny_vlm_path), frozen_vision=True)
        total = sum(len(c) for i in ANSWERS for c in ANSWERS[i])
        for groups in cuts:
            (policy(TextBatch(*batch(policy, groups))).logp_BT.sum() / total).backward()
        results.append(gradients(policy))
    assert max((results[0][n] - results[1][n]).abs().max() for n in results[0]) < 1e-5


def test_rows_may_come_in_any_order(tiny_vlm: VLM) -> None:
    policy = TextPolicy(tiny_vlm)
    prompts, answers = batch(policy, [0, 1, 2])
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.no_grad():
        straight = policy(TextBatch(prompts, answers))
        mixed = policy(TextBatch([prompts[i] for i in order], [answers[i] for i in order]))
    assert (straight.logp_BT[order] - mixed.logp_BT).abs().max() < 1e-5


def test_what_completions_share_enters_the_model_once(tiny_vlm: VLM) -> None:
    prompts = tiny_vlm.encode(REQUESTS)
    row = pack(prompts, tiny_vlm.prompts.positions(prompts), [ANSWERS[i] for i in range(3)])
    inner = sum(len({tuple(c[:n]) for c in ANSWERS[i] for n in range(1, len(c))}) for i in range(3))
    assert len(row.ids_N) == sum(map(len, prompts)) + inner == sum(row.shape.sizes) == row.positions_3N.shape[1]
    assert sum(row.ids_N.eq(tiny_vlm.image_token_id)) == 3 * 16 - 8  # (64/16)^2 twice, half of it once


@pytest.fixture
def calls(tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each pass of the vision tower had."""
    seen: list[int] = []
    tower = tiny_vlm.model.model.get_image_features
    monkeypatch.setattr(
        tiny_vlm.model.model, "get_image_features", lambda px, g, **kw: seen.append(len(g)) or tower(px, g, **kw)
    )
    return seen


def test_a_frozen_tower_sees_each_picture_once_unless_weights_are_copied_in(tiny_vlm: VLM, calls: list[int]) -> None:
    policy = TextPolicy(tiny_vlm, frozen_vision=True)
    prompts, answers = batch(policy, [0, 1, 2])
    for _ in range(2):
        policy(TextBatch(prompts, answers))
    assert calls == [3]
    with torch.no_grad():
        before = policy(TextBatch(prompts, answers)).logp_BT
        next(tiny_vlm.model.model.visual.parameters()).mul_(1.5)
        after = policy(TextBatch(prompts, answers)).logp_BT
    assert calls == [3, 3] and not torch.allclose(before, after, atol=1e-4)


@both_families
def test_a_frozen_tower_serves_rollouts_training_and_the_reference_in_one_pass(tiny_vlm: VLM, calls: list[int]) -> None:
    engine = TorchEngine(TextPolicy(tiny_vlm, frozen_vision=True), OptimizerConfig())
    reference = engine.frozen_copy()
    prompts = engine.policy.encode(REQUESTS)
    answers = HFBackend(tiny_vlm).generate(REQUESTS, 1, Sampling(4))
    completions = [row[0].token_ids for row in answers]
    engine.backward(engine.forward(TextBatch(prompts, completions)).logp_BT.sum())
    engine.step()
    reference(TextBatch(prompts, completions))
    assert calls == [3]


@both_families
def test_a_tower_in_training_is_never_stale(tiny_vlm: VLM, calls: list[int]) -> None:
    engine, backend = TorchEngine(TextPolicy(tiny_vlm), OptimizerConfig(lr=0.1)), HFBackend(tiny_vlm)
    prompts = engine.policy.encode(REQUESTS[:1])  # the very same objects before and after the update
    before, sampled = tiny_vlm.prompts.features(prompts)[0][0].detach(), backend.generate(REQUESTS[:1], 1, Sampling(4))
    engine.backward(engine.forward(TextBatch(prompts, [[20, 30]])).logp_BT.sum())
    engine.step()
    after, again = tiny_vlm.prompts.features(prompts)[0][0].detach(), backend.generate(REQUESTS[:1], 1, Sampling(4))
    assert calls == [1] * 5 and not torch.allclose(before, after, atol=1e-2)
    assert sampled[0][0].logprobs[0] != again[0][0].logprobs[0]


def test_attention_that_cannot_follow_is_refused(tiny_vlm: VLM) -> None:
    tiny_vlm.model.config.text_config._attn_implementation = "eager"
    with pytest.raises(BadInput, match="eager"):
        TextPolicy(tiny_vlm)
    TextPolicy(tiny_vlm, shared_prefix=False)  # the reference path takes any
    tiny_vlm.model.config.text_config._attn_implementation = "sdpa"
    use_grouped_attention(tiny_vlm.model)
    tiny_vlm.model.config.text_config.layer_types[0] = "sliding_attention"
    with pytest.raises(BadInput, match="sliding"):
        TextPolicy(tiny_vlm)
