"""Inside a step nothing asks the device for a number: on a GPU each such question would stop the host until all is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import rl.policies.text_batch
from agents.backends.vlm import load_vlm
from rl.clock import Clock
from rl.config import GRPOConfig, OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.text import TextBatch, TextPolicy
from rl.text_update import TextUpdate
from rl.transfer import apart, joined, move
from tests.rl.test_prefix import ANSWERS, REQUESTS
from tests.tiny_models import both_families

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense, aten.is_nonzero, aten.nonzero, aten.masked_select, aten.equal, aten._unique2, aten.item,
    aten.lift_fresh,  # torch.tensor(...), which on a GPU would be a copy from memory that is not pinned
}  # fmt: skip
READING = {torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.__bool__}


class NoOperation(TorchDispatchMode):
    """Raises at operations whose result the host needs, a mask as an index among them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        masked = packet in (aten.index, aten.index_put, aten.index_put_) and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        if packet in WAITING or masked:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


class NoReading(TorchFunctionMode):
    """Raises at methods that read a tensor without an operation of their own on a CPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in READING:
            raise AssertionError(f"{func} reads from the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting() -> Iterator[None]:
    with NoReading(), NoOperation():
        yield


class Item:
    """A credited answer."""

    def __init__(self, prompt, tokens: list[int], advantage: float) -> None:
        self.prompt, self.token_ids, self.advantage, self.present = prompt, tokens, advantage, True
        self.logprobs = [-1.0] * len(tokens)
        self.rollout = self.completion = self
        self.finish_reason = "stop"


def update_of(path, **policy) -> tuple[TextUpdate, list[Item]]:
    config = GRPOConfig(micro_batch_size=4, updates_per_batch=2, kl_coef=0.1, entropy_coef=0.01, tis_cap=2.0)
    engine = TorchEngine(
        TextPolicy(load_vlm(path), frozen_vision=True, entropy_gradient=True, **policy), OptimizerConfig()
    )
    update = TextUpdate(config, engine, 16, engine.frozen_copy(), thought=lambda ids: len(ids) // 2)
    prompts = engine.policy.encode(REQUESTS)
    items = [Item(prompts[k], a, 1.0 - i) for k in ANSWERS for i, a in enumerate(ANSWERS[k])]
    return update, items


def test_the_guard_sees_what_waits() -> None:
    x, asked = (
        torch.arange(4.0),
        [lambda x: x.tolist(), lambda x: float(x[0]), lambda x: x[x > 1], lambda x: bool(x[1] > 0)],
    )
    for ask in [*asked, lambda x: x.new_tensor([1.0]), lambda x: x.max().item()]:
        with pytest.raises(AssertionError), no_waiting():
            ask(x)


@pytest.mark.parametrize("form", ["masks", "split"])
@both_families
def test_a_micro_batch_waits_for_nothing(tiny_vlm_path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward, loss and backward of every micro-batch and the update of the weights, in a real update of two passes."""
    update, items = update_of(tiny_vlm_path, attention=form)
    engine, moves, batches = update.engine, [], set()
    monkeypatch.setattr(
        rl.policies.text_batch, "move", lambda tensors, device: moves.append(1) or move(tensors, device)
    )
    guarded = {name: getattr(engine, name) for name in ("forward", "backward")} | {"loss": update._loss}

    def inside(work):
        def run(*args):
            if isinstance(args[0], TextBatch):
                batches.add(id(args[0]))
                engine.policy.vlm.prompts.features(args[0].order[0])  # of pictures seen for the first time
                args[0].packed_on(engine.policy.vlm, form, False)  # made on the CPU, from tensors that are there
            with no_waiting():
                return work(*args)

        return run

    for name in ("forward", "backward"):
        monkeypatch.setattr(engine, name, inside(guarded[name]))
    monkeypatch.setattr(update, "_loss", inside(guarded["loss"]))
    metrics = update(items, Clock())
    assert metrics["grad_norm"] > 0 and metrics["trained/ratio/mean"] == pytest.approx(1, abs=0.1)
    assert all(type(v) is float for v in metrics.values())
    assert len(moves) == len(batches)  # each is moved once: for two passes, the reference and the loss together


def test_the_update_of_the_weights_reads_one_number_after_it(tiny_vlm_path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(TextPolicy(load_vlm(tiny_vlm_path), frozen_vision=True), OptimizerConfig())
    prompts = engine.policy.encode(REQUESTS[:1])
    step, stepped = engine.optimizer.step, []

    def guarded() -> None:
        step()
        stepped.append(1)

    monkeypatch.setattr(engine.optimizer, "step", guarded)

    class OnlyAfter(NoOperation):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if stepped:
                return func(*args, **(kwargs or {}))
            return super().__torch_dispatch__(func, types, args, kwargs)

    engine.backward(engine.forward(TextBatch(prompts, [[20, 30]])).logp_BT.sum())
    with OnlyAfter():
        assert engine.step().grad_norm > 0
    assert stepped


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_gradient_that_is_no_number_leaves_weights_and_moments(tiny_vlm_path, optimizer: str) -> None:
    engine = TorchEngine(TextPolicy(load_vlm(tiny_vlm_path)), OptimizerConfig(optimizer=optimizer, max_grad_norm=1.0))
    prompts = engine.policy.encode(REQUESTS[:1])

    def step(factor: float):
        engine.backward(engine.forward(TextBatch(prompts, [[20, 30]])).logp_BT.sum() * factor)
        return engine.step()

    assert not step(1.0).skipped
    before = [p.detach().clone() for p in engine.trained]
    moments = [v.clone() for v in _tensors(engine.optimizer.state_dict())]
    for factor in (float("nan"), float("inf")):
        assert step(factor).skipped
    assert all(torch.equal(a, b) for a, b in zip(before, engine.trained, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(moments, _tensors(engine.optimizer.state_dict()), strict=True))
    assert not step(1.0).skipped and not all(torch.equal(a, b) for a, b in zip(before, engine.trained, strict=True))


def _tensors(state) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else ()
    return [t for part in parts for t in _tensors(part)]


def test_one_buffer_holds_tensors_of_every_type() -> None:
    given = {
        "a": torch.arange(5),
        "b": torch.tensor([True, False, True]),
        "c": torch.randn(3, 2, dtype=torch.float64),
        "none": torch.empty(0, 4),
        "d": torch.randn(1, 7).bfloat16(),
        "e": torch.arange(3, dtype=torch.int32),
    }
    back = apart(joined(given), given)
    assert back.keys() == given.keys()
    assert all(torch.equal(back[k], v) and back[k].dtype == v.dtype for k, v in given.items())
    there = move(given, torch.device("meta"))
    assert all(there[k].shape == v.shape and there[k].dtype == v.dtype for k, v in given.items())
