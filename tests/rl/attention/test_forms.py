"""The forms of attention over trees of answers are one: outputs and gradients of query, key and value, and a whole policy."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.flex_attention import create_mask
from torch.nn.functional import scaled_dot_product_attention

from agents.backends.prompts import Positions
from agents.backends.vlm import EncodedPrompt, load_vlm
from common.errors import BadInput
from rl.attention import flex, split
from rl.attention.flex import FlexAttention, tree_mask
from rl.attention.forms import chosen_form, form_indices, layout_of
from rl.attention.kernels import FlashCPU, FlashCUDA, Lengths, Plain
from rl.attention.shape import RowShape, bucket
from rl.attention.split import split_indices, stretches
from rl.policies.text import TextBatch, TextPolicy
from rl.prefix import pack
from tests.rl.test_prefix import ANSWERS, batch, gradients, loss
from tests.tiny_models import both_families

CPU = torch.device("cpu")
DEEP = [[1] * n + [2] * (9 - n) for n in range(1, 9)]  # forks again at every token


def row_of(groups: Sequence[Sequence[Sequence[int]]], prompt: int = 5, length=None) -> RowShape:
    ids = torch.arange(3, 3 + prompt)
    positions = Positions(torch.arange(prompt).expand(3, -1), prompt)
    prompts = [EncodedPrompt(ids, None, None) for _ in groups]
    return pack(prompts, [positions] * len(groups), groups, length).shape


groups = st.lists(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=7), min_size=1, max_size=6), min_size=1, max_size=3
)


def tensors(n: int, dtype: torch.dtype, heads: int = 4, kv: int = 2, width: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    made = [torch.randn(1, h, n, width, generator=generator, dtype=torch.float64) for h in (heads, kv, kv)]
    return [x.to(dtype).requires_grad_() for x in made]


def outcome(attend, n: int, dtype: torch.dtype) -> list[Tensor]:
    """Output and gradients, under a weight for every entry."""
    inputs = tensors(n, dtype)
    out = attend(0, *inputs, 0.3)
    weight = torch.linspace(-1, 1, out.numel(), dtype=dtype).view(out.shape)
    (out * weight).sum().backward()
    return [out.detach(), *(x.grad for x in inputs)]


def by_definition(shape: RowShape):
    """One dense mask from the rule that flex's kernel has."""
    end_N = torch.tensor(shape.end)
    mask = create_mask(lambda b, h, i, j: (j <= i) & (i < end_N[j]), None, None, len(shape), len(shape), device="cpu")
    return lambda layer, q, k, v, scale: scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=scale, enable_gqa=True
    )


def form(name: str, shape: RowShape, dtype: torch.dtype):
    return layout_of(name, shape, form_indices(name, shape), dtype).attend


@settings(deadline=None, max_examples=40)
@given(groups, st.sampled_from([(torch.float64, 1e-10), (torch.float32, 1e-4), (torch.bfloat16, 0.1)]), st.booleans())
def test_masks_and_split_equal_the_definition(answers, precision: tuple[torch.dtype, float], padded: bool) -> None:
    dtype, close = precision
    shape = row_of(answers, length=(lambda n: n + 3) if padded else None)
    wanted = outcome(by_definition(shape), len(shape), dtype)
    for name in ("masks", "split"):
        for ours, theirs in zip(outcome(form(name, shape, dtype), len(shape), dtype), wanted, strict=True):
            assert torch.allclose(ours, theirs, atol=close, rtol=close), name


@pytest.mark.parametrize("answers", [[DEEP], [DEEP, [[1]], [[1, 1, 2]] * 3]], ids=["deep", "several"])
def test_the_plain_kernel_does_the_same(answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA uses for float32; the formula of the backward pass, written out."""
    shape = row_of(answers)
    wanted = outcome(by_definition(shape), len(shape), torch.float64)
    monkeypatch.setattr(split, "kernel_for", lambda query: Plain())
    for ours, theirs in zip(
        outcome(form("split", shape, torch.float64), len(shape), torch.float64), wanted, strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-10)


def test_flex_equals_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch refuses its backward pass on a CPU, where no compiled kernel has one; uncompiled it works."""
    monkeypatch.setattr("torch.nn.attention.flex_attention._validate_device", lambda *qkv: None)
    shape = row_of([DEEP, [[1]], [[2, 1, 1], [1, 1]]], length=lambda n: n + 3)
    attend = FlexAttention(torch.tensor(shape.end)).attend
    wanted = outcome(by_definition(shape), len(shape), torch.float32)
    for ours, theirs in zip(outcome(attend, len(shape), torch.float32), wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@given(groups)
def test_stretches_cover_the_row_and_meet_every_pair_once(answers) -> None:
    shape = row_of(answers)
    found = stretches(shape.end)
    assert found[0].start == 0 and found[-1].stop == len(shape)
    assert all(a.stop == b.start for a, b in pairwise(found))
    seen = torch.zeros(len(shape), len(shape), dtype=torch.int)
    for name, (queries, keys) in split._ranges(shape.end).items():
        for (a, b), (c, d) in zip(queries, keys, strict=True):
            block = torch.ones(b - a, d - c, dtype=torch.int)
            seen[a:b, c:d] += block.tril() if name == "own" else block
    i, end = torch.arange(len(shape)), torch.tensor(shape.end)
    assert torch.equal(seen.bool(), (i[None] <= i[:, None]) & (i[:, None] < end[None])) and seen.max() == 1


def test_answers_that_part_right_behind_the_prompt_take_two_calls() -> None:
    assert len(split._ranges(row_of([[[n, 1, 1] for n in range(8)]] * 2).end)) == 2
    assert len(split._ranges(row_of([[[1]], [[1, 1]] * 3]).end)) == 1  # no branches at all


def test_cudas_kernel_takes_what_it_is_given() -> None:
    """Shapes alone, on the device that has no values: the calls fit the signatures of this torch."""
    shape = row_of([DEEP, [[1]]])
    indices = {name: x.to("meta") for name, x in split_indices(shape).items()}
    queries, keys = split._ranges(shape.end)["0"]
    lengths = Lengths.of(queries, keys, indices["0.q"], indices["0.k"], causal=False)
    n, m = lengths.starts_q[-1], lengths.starts_k[-1]
    q, k, v = (torch.empty(t, h, 64, dtype=torch.bfloat16, device="meta") for t, h in ((n, 4), (m, 2), (m, 2)))
    out, lse = FlashCUDA().forward(q, k, v, lengths, 0.3)
    assert out.shape == q.shape and lse.shape == (n, 4)
    grads = FlashCUDA().backward(out, q, k, v, out, lse, lengths, 0.3)
    assert [g.shape for g in grads] == [q.shape, k.shape, v.shape]


@both_families
def test_a_policys_log_probs_and_gradients_are_those_of_every_form(tiny_vlm_path) -> None:
    found = []
    for name in ("masks", "split"):
        other = name == "split"  # padded to 256 or more tokens, too, and every layer run twice over the same row
        policy = TextPolicy(load_vlm(tiny_vlm_path), attention=name, gradient_checkpointing=other, pad_rows=other)
        out = policy(TextBatch(*batch(policy, list(ANSWERS))))
        loss(out).backward()
        found.append((out.logp_BT.detach(), gradients(policy)))
    (logp, mine), (same, theirs) = found
    assert torch.allclose(logp, same, atol=1e-5)
    assert max((mine[n] - theirs[n]).abs().max() for n in mine) < 1e-5


@torch.no_grad()
def test_a_block_mask_is_made_once_for_all_passes_over_a_batch(tiny_vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(flex, "tree_mask", lambda end_N: made.append(len(end_N)) or tree_mask(end_N))
    policy, reference = TextPolicy(tiny_vlm, pad_rows=True), TextPolicy(tiny_vlm)
    policy.form = reference.form = "flex"  # on a CPU it may not be configured
    answers = TextBatch(*batch(policy, [1]))
    outs = [policy(answers).logp_BT for _ in range(2)]
    assert len(made) == 1 and made[0] % 128 == 0
    assert torch.allclose(outs[1], reference(answers).logp_BT, atol=1e-5)
    assert len(made) == 2  # one for each length of the row: there is no tail in the reference's


@pytest.mark.parametrize("name", ["masks", "split"])
def test_autocast_gives_a_form_one_type(tiny_vlm_path, name: str) -> None:
    policy = TextPolicy(load_vlm(tiny_vlm_path), attention=name)
    with torch.autocast("cpu", torch.bfloat16):
        out = policy(TextBatch(*batch(policy, [0])))
    out.logp_BT.sum().backward()
    assert out.logp_BT.dtype == torch.float32 and out.logp_BT.isfinite().all()


def test_names() -> None:
    assert chosen_form("auto", CPU) == "masks" and chosen_form("auto", torch.device("cuda")) == "flex"
    with pytest.raises(BadInput, match="no backward pass on a CPU"):
        chosen_form("flex", CPU)
    with pytest.raises(BadInput, match="choose from auto, flex, split, masks"):
        chosen_form("fast", CPU)


@given(st.integers(1, 200_000))
def test_buckets_are_few_and_near(tokens: int) -> None:
    size = bucket(tokens)
    assert tokens <= size and size % 128 == 0 and bucket(size) == size
    assert size - tokens < 128 or size < 1.07 * tokens


def test_there_are_at_most_sixteen_lengths_to_the_double() -> None:
    assert len({bucket(n) for n in range(4097, 8193)}) == 16


def test_flash_for_the_cpu_is_the_default_there() -> None:
    assert isinstance(split.kernel_for(torch.empty(1)), FlashCPU)
