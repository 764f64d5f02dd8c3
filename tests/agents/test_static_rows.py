"""The loop without host waits draws what the loop that shares rows draws, and looks at nothing while it decodes."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.backends.base import Completion, ModelRequest, Sampling
from agents.backends.buckets import column_bucket, row_bucket
from agents.backends.hf import HFBackend
from agents.backends.static_rows import LOOK_EVERY, Batch, StaticRows, moves
from agents.backends.vlm import VLM
from tests.agents.test_hf_backend import requests
from tests.tiny_models import both_families

# what a GPU would have to wait for, or the host to send: reading a number, sizes that depend on numbers, copies between devices
WAITS = (
    "_local_scalar_dense",
    "nonzero",
    "lift_fresh",
    "to another device",
    "is_nonzero",
    "equal",
    "masked_select",
    "unique",
)


def close(ours: list[list[Completion]], theirs: list[list[Completion]]) -> bool:
    """The same tokens, with log-probabilities equal up to the order of sums."""
    pairs = [(a, b) for row, other in zip(ours, theirs, strict=True) for a, b in zip(row, other, strict=True)]
    return all(
        (a.token_ids, a.text, a.finish_reason) == (b.token_ids, b.text, b.finish_reason)
        and torch.allclose(torch.tensor(a.logprobs), torch.tensor(b.logprobs), atol=1e-5)
        for a, b in pairs
    )


def soon_ending(vlm: VLM) -> VLM:
    """The end token is drawn about every tenth time."""
    more = torch.zeros(vlm.model.config.get_text_config().vocab_size)
    more[vlm.eos_id] = 3.3
    vlm.model.lm_head.register_forward_hook(lambda module, inputs, logits: logits + more)
    return vlm


@both_families
def test_draws_are_those_of_shared_rows_and_ended_samples_leave(tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    shrink = Batch.shrink
    monkeypatch.setattr(Batch, "shrink", lambda *a: rows.append(a[3]) or shrink(*a))
    vlm = soon_ending(tiny_vlm)
    asked = [*requests(4), ModelRequest("add a hat", answer=(9, 10, 11))]
    static, shared = HFBackend(vlm, graphs=True), HFBackend(vlm)
    assert isinstance(static.loop, StaticRows)
    sampled, greedy = Sampling(2 * LOOK_EVERY + 3, seed=4), Sampling(6, temperature=0.0)
    assert close(static.generate(asked, 6, sampled), shared.generate(asked, 6, sampled))
    assert rows and rows == sorted(rows, reverse=True) and rows[0] < 32
    for store in static.loop.step.cache.stores:  # type: ignore[union-attr]
        store.fill_(torch.nan)  # what an earlier call left behind never shows
    assert close(static.generate(asked, 1, greedy), shared.generate(asked, 1, greedy))
    assert close(HFBackend(vlm, 3, graphs=True).generate(asked, 1, greedy), shared.generate(asked, 1, greedy))


class Ops(TorchDispatchMode):
    """Names of the operations between the first draw and the last, token by token."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[list[str]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if self.tokens:
            name = func.overloadpacket.__name__
            moved = name == "_to_copy" and (kwargs or {}).get("device") is not None
            self.tokens[-1].append("to another device" if moved else name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("sampling", [dict(), dict(temperature=0.0), dict(top_k=9, top_p=0.9, temperature=0.6)])
def test_no_step_waits_for_the_host_and_all_are_the_same_work(
    tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch, sampling: dict[str, float]
) -> None:
    ops, draw = Ops(), Batch.draw
    monkeypatch.setattr(Batch, "draw", lambda *a: ops.tokens.append([]) or draw(*a))
    tiny_vlm.banned_ids = (*tiny_vlm.banned_ids, tiny_vlm.eos_id)  # no sample ends
    with ops:
        HFBackend(tiny_vlm, graphs=True).generate(requests(2), 3, Sampling(LOOK_EVERY, seed=1, **sampling))  # type: ignore[arg-type]
    _, *middle, _ = ops.tokens  # the banned tokens are sent before the first, the results come back after the last
    assert len(middle) == LOOK_EVERY - 2 and len(middle[0]) > 50
    for token in middle:
        assert token == middle[0] and not set(token) & set(WAITS)


@both_families
def test_between_looks_it_runs_on_a_device_that_has_no_numbers(tiny_vlm: VLM) -> None:
    """So nothing depends on one, and nothing is computed half here and half on the host."""
    words = [ModelRequest(text) for text in ("add a hat", "a longer request")]
    backend = HFBackend(tiny_vlm, graphs=True)
    prompts, loop = tiny_vlm.encode(words), backend.loop
    tiny_vlm.model.to("meta")
    with torch.no_grad(), pytest.raises(NotImplementedError, match="meta"):
        loop.decode(prompts, 3, Sampling(LOOK_EVERY + 1, top_k=5, top_p=0.9), torch.rand(2, 3, LOOK_EVERY + 1).double())
    assert isinstance(loop, StaticRows) and loop.step is not None
    assert loop.step.cache.end == max(map(len, prompts)) + LOOK_EVERY - 1  # as far as the first look


def test_the_host_looks_once_in_so_many_tokens(tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    going = Batch.going
    monkeypatch.setattr(Batch, "going", lambda self: looks.append(1) or going(self))
    tiny_vlm.banned_ids = tuple(i for i in range(264) if i != tiny_vlm.eos_id)  # all end at once
    ((answer,),) = HFBackend(tiny_vlm, graphs=True).generate(requests(1), 1, Sampling(4 * LOOK_EVERY))
    assert answer.token_ids == (tiny_vlm.eos_id,) and looks == [1]


def test_buckets_and_moves() -> None:
    assert [row_bucket(n) for n in (1, 2, 8, 9, 32, 33, 128)] == [1, 8, 8, 16, 32, 64, 128]
    assert [column_bucket(n) for n in (1, 256, 257)] == [256, 256, 512]
    source, target = moves([1, 9, 12], 8)
    assert (source, target) == ([9, 12], [0, 2])
