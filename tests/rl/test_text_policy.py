"""Log-probabilities equal the plain model's, for every mixture of pictures, chunking, order and checkpointing."""

import pytest
import torch
from PIL import Image

from agents.backends.base import ModelRequest
from agents.backends.vlm import VLM, collate, load_vlm
from common.errors import BadInput
from rl.policies.text import TextBatch, TextPolicy
from tests.tiny_models import both_families

REQUESTS = [
    ModelRequest("add a hat", (Image.new("RGB", (64, 64), "red"),)),
    ModelRequest("a longer request without a picture"),
    ModelRequest("two", (Image.new("RGB", (32, 64), "blue"), Image.new("RGB", (64, 64), "green"))),
]
ANSWERS = [[20, 30, 40], [50] * 9, [60]]


def reference(vlm: VLM, prompt, answer, temperature: float) -> torch.Tensor:
    """One sequence at a time through the whole model, as a textbook would."""
    batch = {k: v for k, v in collate(vlm, [prompt], [answer]).items() if v is not None}
    logits = vlm.model(**batch).logits[0, len(prompt) - 1 : -1].float() / temperature
    logits[:, list(vlm.banned_ids)] = -torch.inf
    return logits.log_softmax(-1)


both_paths = pytest.mark.parametrize("shared", [True, False], ids=["shared prefix", "separate"])


@both_paths
@pytest.mark.parametrize("which", [[0], [1], [0, 1, 2], [2, 2, 0], [1, 1]])
@both_families
def test_equals_the_plain_model(tiny_vlm_path, tiny_vlm: VLM, which: list[int], shared: bool) -> None:
    policy, plain = TextPolicy(tiny_vlm, 0.7, chunk_tokens=4, shared_prefix=shared), load_vlm(tiny_vlm_path)
    prompts = policy.encode(REQUESTS)
    stats = policy(TextBatch([prompts[i] for i in which], [ANSWERS[i] for i in which]))
    assert stats.mask_BT.sum(1).tolist() == [len(ANSWERS[i]) for i in which]
    for row, i in enumerate(which):
        log_p = reference(plain, prompts[i], ANSWERS[i], 0.7)
        n = len(ANSWERS[i])
        assert torch.allclose(stats.logp_BT[row, :n], log_p[torch.arange(n), ANSWERS[i]], atol=1e-5)
        entropy = -(log_p.exp() * log_p.nan_to_num(neginf=0)).sum(-1)
        assert torch.allclose(stats.entropy_BT[row, :n], entropy, atol=1e-4)
        assert stats.logp_BT[row, n:].eq(0).all()


@both_paths
@pytest.mark.parametrize("checkpointed", [False, True])
@both_families
def test_gradients_equal_the_plain_models(tiny_vlm_path, tiny_vlm: VLM, checkpointed: bool, shared: bool) -> None:
    policy = TextPolicy(tiny_vlm, chunk_tokens=3, gradient_checkpointing=checkpointed, shared_prefix=shared)
    plain = load_vlm(tiny_vlm_path)
    prompts = policy.encode(REQUESTS)
    stats = policy(TextBatch([*prompts, prompts[0]], [*ANSWERS, [70, 71]]))
    stats.logp_BT.sum().backward()
    for prompt, answer in zip([*prompts, prompts[0]], [*ANSWERS, [70, 71]], strict=True):
        reference(plain, prompt, answer, 1.0)[torch.arange(len(answer)), answer].sum().backward()
    for (name, p), q in zip(tiny_vlm.model.named_parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-4, rtol=1e-3), name


@both_paths
@both_families
def test_frozen_vision_gets_no_gradient_and_the_same_numbers(tiny_vlm_path, tiny_vlm: VLM, shared: bool) -> None:
    free = TextPolicy(load_vlm(tiny_vlm_path), shared_prefix=shared)
    frozen = TextPolicy(tiny_vlm, frozen_vision=True, shared_prefix=shared)
    prompts = frozen.encode(REQUESTS)
    a, b = free(TextBatch(prompts, ANSWERS)).logp_BT, frozen(TextBatch(prompts, ANSWERS)).logp_BT
    assert torch.equal(a, b)
    b.sum().backward()
    assert all(p.grad is None for p in tiny_vlm.model.model.visual.parameters())
    assert tiny_vlm.model.model.language_model.norm.weight.grad is not None


@pytest.mark.parametrize("keep_mib", [0, 512])
def test_of_tokens_by_vocabulary_no_more_is_kept_than_was_allowed(tiny_vlm: VLM, keep_mib: int) -> None:
    policy = TextPolicy(tiny_vlm, chunk_tokens=8, keep_mib=keep_mib)
    prompts = policy.encode(REQUESTS[1:2]) * 8
    V, kept = tiny_vlm.model.config.text_config.vocab_size, []

    def note(t: torch.Tensor) -> torch.Tensor:
        if t.shape[-1:] == (V,) and t.ndim == 2:
            kept.append(t.shape[0])
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        policy(TextBatch(prompts, [[50 + i] * 16 for i in range(8)]))
    assert sum(kept) == (8 * 16 if keep_mib else 0)


def test_bad_input(tiny_vlm: VLM) -> None:
    policy = TextPolicy(tiny_vlm)
    prompts = policy.encode(REQUESTS[:1])
    for bad in ([], [[]], [[1], [2]]):
        with pytest.raises(BadInput):
            policy(TextBatch(prompts, bad))
    with pytest.raises(BadInput):
        TextPolicy(tiny_vlm, temperature=0.0)


@both_paths
def test_the_gradient_of_the_entropy_is_that_of_its_definition(tiny_vlm_path, tiny_vlm: VLM, shared: bool) -> None:
    """H = -sum p log p per token: the same numbers with and without a gradient, and the gradient of finite differences."""
    plain = TextPolicy(load_vlm(tiny_vlm_path), shared_prefix=shared)
    policy = TextPolicy(tiny_vlm, shared_prefix=shared, entropy_gradient=True, chunk_tokens=3)
    batch = TextBatch(policy.encode(REQUESTS), ANSWERS)
    out = policy(batch)
    assert torch.allclose(out.entropy_BT, plain(batch).entropy_BT, atol=1e-5)
    assert torch.allclose(out.logp_BT, plain(batch).logp_BT, atol=1e-5)
    weight = tiny_vlm.model.model.language_model.norm.weight
    (slope,) = torch.autograd.grad(out.entropy_BT.sum(), weight)
    step = slope / slope.norm()  # the steepest direction stands out most from rounding
    with torch.no_grad():
        total = []
        for sign in (1, -1):
            weight.add_(sign * 1e-2 * step)
            total.append(float(policy(batch).entropy_BT.double().sum()))
            weight.sub_(sign * 1e-2 * step)
    assert float((slope * step).sum()) == pytest.approx((total[0] - total[1]) / 2e-2, rel=0.02)
