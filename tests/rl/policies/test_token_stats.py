"""Log-probabilities and entropies by chunks: values, gradients and memory against the definition."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rl.policies.token_stats import token_stats

N, D, V = 7, 5, 11
ROOM = 3 * V * 8  # bytes: the logits of the first chunk of three in float64, and not of the next


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    h, w = (torch.randn(n, D, generator=generator, dtype=torch.float64).to(dtype) for n in (N, V))
    ban = torch.zeros(V, dtype=torch.promote_types(dtype, torch.float32))
    ban[[2, 9]] = -1e30
    return h.requires_grad_(), w.requires_grad_(), torch.tensor([0, 1, 3, 10, 4, 4, 8]), ban


def by_definition(h: Tensor, w: Tensor, ids: Tensor, ban: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    log_p = ((h @ w.T).to(ban.dtype) / temperature + ban).log_softmax(-1)
    return log_p.gather(-1, ids[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)


@pytest.mark.parametrize("entropy", [False, True])
def test_values_and_gradients_are_those_of_the_definition(entropy: bool) -> None:
    """For every share of the logits that is kept, with and without trained weights."""
    for keep, temperature, frozen in product((0, ROOM, 10**9), (1.0, 0.7), (False, True)):
        h, w, ids, ban = inputs()
        if frozen:
            w.requires_grad_(False)
        trained = [x for x in (h, w) if x.requires_grad]
        weight = torch.linspace(-1, 2, N, dtype=torch.float64)
        found = []
        for logp, H in (
            token_stats(h, w, ids, ban, temperature, 3, keep, entropy), by_definition(h, w, ids, ban, temperature)
        ):  # fmt: skip
            total = (logp * weight).sum() + ((H * weight.flip(0)).sum() if entropy else 0.0)
            found.append([logp, H, *torch.autograd.grad(total, trained)])
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("entropy", [False, True])
def test_gradients_pass_gradcheck(entropy: bool) -> None:
    h, w, ids, ban = inputs()
    torch.autograd.gradcheck(
        lambda h, w: token_stats(h, w, ids, ban, 0.7, 3, ROOM, entropy)[: 2 if entropy else 1], (h, w)
    )
    torch.autograd.gradcheck(lambda h: token_stats(h, w.detach(), ids, ban, 0.7, 3, ROOM, entropy)[0], (h,))


def test_bfloat16_gives_what_checkpointed_chunks_gave() -> None:
    """Same types, same products: sums over more than one chunk are kept in fp32 and so at least as near to the truth."""
    found = []
    weight = torch.linspace(-1, 2, N)
    for ours in (True, False):
        h, w, ids, ban = inputs(torch.bfloat16)
        if ours:
            logp, _ = token_stats(h, w, ids, ban, 0.7, 4)
        else:
            parts = zip(h.split(4), ids.split(4), strict=True)
            logp = torch.cat([checkpoint(by_definition, a, w, b, ban, 0.7, use_reentrant=False)[0] for a, b in parts])
        found.append((logp, *torch.autograd.grad((logp * weight).sum(), (h, w))))
    assert all(torch.allclose(a.float(), b.float(), atol=0.03, rtol=0.02) for a, b in zip(*found, strict=True))
    assert found[0][0].dtype == torch.float32 and found[0][1].dtype == torch.bfloat16


def test_autocast_multiplies_in_its_type_and_answers_in_fp32() -> None:
    h, w, ids, ban = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        logp, _ = token_stats(h, w, ids, ban, 1.0, 3, ROOM)
    logp.sum().backward()
    exact, _ = by_definition(h.bfloat16(), w.bfloat16(), ids, ban, 1.0)
    assert logp.dtype == h.grad.dtype == w.grad.dtype == torch.float32
    assert torch.allclose(logp, exact, atol=1e-4)


def test_a_second_backward_finds_what_it_needs() -> None:
    h, w, ids, ban = inputs()
    logp, _ = token_stats(h, w, ids, ban, 0.7, 3, 10**9)
    first, second = (torch.autograd.grad(logp.sum(), (h, w), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
