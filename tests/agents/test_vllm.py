"""vLLM agrees with the reference engine and with the trainer, holds exactly what was sent, and comes back when it is killed."""

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from agents.backends.base import Backend, ModelRequest, Sampling, fingerprint
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm
from common.errors import BadInput, RunFailed
from common.jsonl import read_jsonl
from rl.engine.torch import TorchEngine
from rl.policies.text import TextBatch, TextPolicy
from tests.agents.test_hf_backend import picture, requests
from tests.rl.runs import CONFIG, train
from tests.tiny_models import build_tiny_vlm

if (
    importlib.util.find_spec("vllm") is None
):  # importing it takes four seconds, which only the process that needs it spends
    pytest.skip("vLLM is not installed (make extra-vllm)", allow_module_level=True)

from agents.backends.vllm import VLLMBackend  # noqa: E402
from agents.backends.vllm_engine import VLLMEngine  # noqa: E402

ROOT = Path(__file__).parents[2]
SMALL = dict(max_sequences=64, max_tokens=512, cache_gib=1 / 16)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads of 32: vLLM's attention on the CPU takes none narrower."""
    return build_tiny_vlm(tmp_path_factory.mktemp("vllm"), hidden=128)


@pytest.fixture(scope="module")
def started(path: Path) -> VLLMBackend:
    return VLLMBackend(load_vlm(path), **SMALL)


@pytest.fixture
def engine(started: VLLMBackend) -> VLLMEngine:
    assert isinstance(started.engine, VLLMEngine)
    return started.engine


@pytest.fixture
def backend(started: VLLMBackend) -> VLLMBackend:
    started.sync(started.vlm.model.named_parameters())  # the start weights, whatever the test before did
    return started


def moved(path: Path, seed: int = 0, by: float = 0.05) -> VLM:
    """A copy with every parameter changed, the vision tower's too."""
    vlm = load_vlm(path)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in vlm.model.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * by)
    return vlm


def test_greedy_decoding_is_that_of_the_reference_before_and_after_a_sync(backend: VLLMBackend, path: Path) -> None:
    """The prompts and pictures are the same both times, so nothing computed with the old weights may be left."""
    assert isinstance(backend, Backend)
    greedy = Sampling(16, temperature=0.0)
    results = []
    for vlm in (load_vlm(path), moved(path)):
        report = backend.sync(vlm.model.named_parameters())
        assert report == fingerprint(vlm.model.named_parameters())
        ours, reference = (b.generate(requests(), 2, greedy) for b in (backend, HFBackend(vlm)))
        for mine, theirs in zip(ours, reference, strict=True):
            assert [c.token_ids for c in mine] == [c.token_ids for c in theirs]
            assert [(c.text, c.finish_reason) for c in mine] == [(c.text, c.finish_reason) for c in theirs]
            assert torch.tensor(mine[0].logprobs) == pytest.approx(torch.tensor(theirs[0].logprobs), abs=1e-4)
        results.append(ours)
    assert results[0] != results[1]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_reported_logprobs_are_the_trainers(backend: VLLMBackend, path: Path, temperature: float) -> None:
    trainer = moved(path, seed=1)
    backend.sync(trainer.model.named_parameters())
    answers = backend.generate(requests(), 3, Sampling(12, temperature, seed=5))
    policy = TextPolicy(trainer, temperature)
    flat = [(p, c) for p, row in zip(policy.encode(requests()), answers, strict=True) for c in row]
    with torch.no_grad():
        stats = policy(TextBatch([p for p, _ in flat], [c.token_ids for _, c in flat]))
    for row, (_, c) in enumerate(flat):
        assert torch.allclose(stats.logp_BT[row][stats.mask_BT[row]], torch.tensor(c.logprobs), atol=1e-4)


def test_first_tokens_follow_their_distribution(backend: VLLMBackend, path: Path) -> None:
    request = requests(1)
    answers = backend.generate(request, 2000, Sampling(1, temperature=0.5, seed=1))[0]
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in answers]), minlength=264) / 2000
    vlm = load_vlm(path)
    policy, allowed = TextPolicy(vlm, 0.5), [i for i in range(264) if i not in vlm.banned_ids]
    with torch.no_grad():
        stats = policy(TextBatch([policy.encode(request)[0]] * len(allowed), [[i] for i in allowed]))
    expect = stats.logp_BT[:, 0].exp()
    chi2 = ((counts[allowed] - expect) ** 2 / expect).sum() * 2000
    assert chi2 < len(allowed) + 5 * (2 * len(allowed)) ** 0.5


def test_banned_ids_are_never_sampled(backend: VLLMBackend, path: Path) -> None:
    vlm = load_vlm(path)
    with torch.no_grad():  # a policy that wants nothing but control tokens
        vlm.model.lm_head.weight[list(vlm.banned_ids)] *= 50
    backend.sync(vlm.model.named_parameters())
    for temperature in (0.0, 1.0, 2.0):
        for row in backend.generate(requests(), 4, Sampling(16, temperature, seed=2)):
            assert not {i for c in row for i in c.token_ids} & set(vlm.banned_ids)


def test_end_token_stops_a_sample_and_is_kept(backend: VLLMBackend, path: Path) -> None:
    vlm = load_vlm(path)
    with torch.no_grad():  # tied weights: end tokens become likely
        vlm.model.lm_head.weight[vlm.eos_id] *= 8
    backend.sync(vlm.model.named_parameters())
    rows = [c for row in backend.generate(requests(), 16, Sampling(24, seed=4)) for c in row]
    assert len({len(c.token_ids) for c in rows if c.finish_reason == "stop"}) > 3
    for c in rows:
        assert len(c.logprobs) == len(c.token_ids) and "<|im_end|>" not in c.text
        assert (c.token_ids[-1] == vlm.eos_id) == (c.finish_reason == "stop")
        assert c.finish_reason == "stop" or len(c.token_ids) == 24


def test_seed_decides_and_the_process_keeps_its_own_state(backend: VLLMBackend) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = backend.generate(requests(2), 2, Sampling(8, seed=9))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    backend.generate(requests(4), 1, Sampling(8, seed=3))
    assert backend.generate(requests(2), 2, Sampling(8, seed=9)) == first  # to the last bit, whatever came between
    assert backend.generate(requests(2), 2, Sampling(8, seed=10)) != first
    assert first[0][0] != first[0][1]
    assert backend.generate([], 2, Sampling(4)) == []
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)  # vLLM had taken this function away
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)


def test_a_sync_names_what_is_wrong_and_the_next_one_heals(backend: VLLMBackend) -> None:
    named = list(backend.vlm.model.named_parameters())
    middle = [name for name, _ in named].index("model.language_model.layers.1.self_attn.k_proj.weight")
    odd = {
        "never sent, first " + named[middle][0]: named[:middle] + named[middle + 1 :],
        named[3][0] + " was written twice": [*named, named[3]],
        "no parameter 'nonsense'": [*named, ("nonsense", torch.zeros(1))],
        named[0][0] + " is": [(named[0][0], torch.zeros(3)), *named[1:]],
    }
    for message, sent in odd.items():
        with pytest.raises(RunFailed, match=message.replace("[", r"\[")):
            backend.sync(sent)
        with pytest.raises(RunFailed, match="no weight sync"):
            backend.generate(requests(1), 1, Sampling(2))
    assert backend.sync(named) == fingerprint(named)
    reference = HFBackend(backend.vlm).generate(requests(), 1, Sampling(8, 0.0))
    ours = backend.generate(requests(), 1, Sampling(8, 0.0))
    assert [r[0].token_ids for r in ours] == [r[0].token_ids for r in reference]


def test_a_tied_weight_reaches_both_of_its_places(backend: VLLMBackend, engine: VLLMEngine, path: Path) -> None:
    """It is sent once, under one name; vLLM keeps a packed copy of it for the output."""
    assert engine.settings.tied == {"lm_head.weight": "model.language_model.embed_tokens.weight"}
    vlm = moved(path, seed=2)
    named = dict(vlm.model.named_parameters())
    assert "lm_head.weight" not in named
    assert backend.sync(named.items()) == fingerprint(named.items())
    both = named | {"lm_head.weight": vlm.model.lm_head.weight}
    assert backend.sync(both.items()) == fingerprint(named.items())
    with pytest.raises(RunFailed, match=r"lm_head\.weight was written twice"):
        backend.sync((named | {"lm_head.weight": vlm.model.lm_head.weight + 1}).items())


@pytest.mark.parametrize(
    "where",
    ["model.visual.blocks.1.attn.qkv.weight", "model.language_model.layers.0.self_attn.v_proj.weight",
     "model.language_model.layers.1.mlp.up_proj.weight", "model.visual.merger.ln_q.weight"],
)  # fmt: skip
def test_a_loader_that_writes_something_else_is_found_out(
    backend: VLLMBackend, engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """One number, in the last bit, in matrices that vLLM joins, packs and renames."""
    load = engine._engine.collective_rpc

    def careless(method: str, kwargs: dict[str, Iterator[tuple[str, Tensor]]]) -> None:
        def stream() -> Iterator[tuple[str, Tensor]]:
            for name, value in kwargs["weights_iterator"]:
                if name == where:
                    value = value.clone()
                    value.view(-1)[-1] = torch.nextafter(value.view(-1)[-1], torch.tensor(9.0))
                yield name, value

        load(method, kwargs={"weights_iterator": stream()})

    monkeypatch.setattr(engine._engine, "collective_rpc", careless)
    with pytest.raises(RunFailed, match=f"holds of {where} is not what was sent"):
        backend.sync(backend.vlm.model.named_parameters())


def test_a_sync_that_hangs_says_where(
    backend: VLLMBackend, engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, go_on = list(backend.vlm.model.named_parameters()), threading.Event()

    def stuck() -> Iterator[tuple[str, Tensor]]:
        yield from named[:2]
        go_on.wait()
        yield from named[2:]

    monkeypatch.setattr(engine, "settings", replace(engine.settings, sync_limit_s=0.5))
    with pytest.raises(
        RunFailed, match=f"waiting for the parameter after, at {named[1][0]}: nothing happened for 0.5 s"
    ):
        backend.sync(stuck())
    with pytest.raises(RunFailed, match="never came to its end"):
        backend.sync(named)
    go_on.set()
    while not engine.usable:
        time.sleep(0.01)
    monkeypatch.undo()
    assert backend.sync(named) == fingerprint(named)


def test_prompts_that_do_not_fit_are_refused_before_they_start(backend: VLLMBackend) -> None:
    with pytest.raises(BadInput, match="rollouts.max_tokens=512"):
        backend.generate(requests(1), 1, Sampling(500))
    with pytest.raises(BadInput, match="up to 2"):
        backend.generate(requests(1), 1, Sampling(4, temperature=3.0))
    with pytest.raises(BadInput):
        backend.generate(requests(1), 0, Sampling(4))


def test_the_engine_of_a_backend_that_is_gone_serves_the_next(path: Path) -> None:
    limits = SMALL | {"max_sequences": 4}
    first = VLLMBackend(load_vlm(path), **limits)
    used = first.engine
    del first
    vlm = moved(path, seed=3)
    second = VLLMBackend(vlm, **limits)
    assert second.engine is used  # with the weights of its own model
    ours, reference = (b.generate(requests(), 1, Sampling(8, 0.0)) for b in (second, HFBackend(vlm)))
    assert [r[0].token_ids for r in ours] == [r[0].token_ids for r in reference]


def greedy(backend: VLLMBackend | HFBackend) -> list[tuple[int, ...]]:
    return [tuple(row[0].token_ids) for row in backend.generate(requests(), 1, Sampling(8, 0.0))]


def test_backends_that_live_together_share_one_engine_and_each_answers_with_its_own_weights(path: Path) -> None:
    """As the decomposer and the sequencer of a team do, and the phases of a run whose backends something still holds."""
    one, other = load_vlm(path), moved(path, seed=5)
    first, second = VLLMBackend(one, **SMALL), VLLMBackend(other, **SMALL)
    assert first.engine is second.engine
    wanted = [greedy(HFBackend(vlm)) for vlm in (one, other)]
    assert wanted[0] != wanted[1]
    for _ in range(2):
        assert [greedy(first), greedy(second)] == wanted


def test_weights_of_a_training_come_back_after_another_backend_used_the_engine(path: Path) -> None:
    """The last sync's, though the trainer's own have moved on since."""
    trainer, trained = load_vlm(path), moved(path, seed=6)
    first = VLLMBackend(trainer, **SMALL)
    report = first.sync(trained.model.named_parameters())
    answers = greedy(first)
    second = VLLMBackend(load_vlm(path), **SMALL)
    other = greedy(second)
    assert greedy(first) == answers == greedy(HFBackend(trained)) and first.report == report
    assert greedy(second) == other != answers


def test_equal_weights_are_not_sent_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = VLLMBackend(load_vlm(path), **SMALL), VLLMBackend(load_vlm(path), **SMALL)
    monkeypatch.setattr(VLLMEngine, "sync", lambda *_: pytest.fail("sent again"))
    assert greedy(first) == greedy(second) == greedy(first)


def test_a_closed_engine_is_replaced_and_gives_up_what_it_held(path: Path) -> None:
    limits = SMALL | {"max_sequences": 2}
    backend = VLLMBackend(load_vlm(path), **limits)
    engine = backend.engine
    assert isinstance(engine, VLLMEngine)
    engine.close()
    engine.close()
    assert engine._engine is None and not engine.usable
    assert greedy(VLLMBackend(load_vlm(path), **limits)) == greedy(HFBackend(load_vlm(path)))


def test_a_second_engine_on_a_gpu_keeps_its_memory_where_another_holds_the_allocator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """vLLM asserts that nothing is held there when an engine that can sleep starts."""
    from agents.backends.vllm_start import _memory_is_claimed

    held = SimpleNamespace(get_current_usage=lambda: 1)
    module = SimpleNamespace(CuMemAllocator=SimpleNamespace(instance=held))
    monkeypatch.setitem(sys.modules, "vllm.device_allocator.cumem", module)
    assert _memory_is_claimed()
    held.get_current_usage = lambda: 0
    assert not _memory_is_claimed()


@pytest.mark.slow  # a second engine
def test_qwen3_vl_decodes_like_the_reference_and_its_deepstack_weights_are_synced(
    tmp_path: Path,
) -> None:
    folder = build_tiny_vlm(tmp_path, hidden=128, family="qwen3_vl")
    newer = VLLMBackend(load_vlm(folder), **SMALL)
    found = []
    for vlm in (load_vlm(folder), moved(folder)):
        assert newer.sync(vlm.model.named_parameters()) == fingerprint(vlm.model.named_parameters())
        answers, reference = (b.generate(requests(), 2, Sampling(16, 0.0)) for b in (newer, HFBackend(vlm)))
        for mine, theirs in zip(answers, reference, strict=True):
            assert [c.token_ids for c in mine] == [c.token_ids for c in theirs]
            assert torch.tensor(mine[0].logprobs) == pytest.approx(torch.tensor(theirs[0].logprobs), abs=1e-4)
        found.append(answers)
    assert found[0] != found[1]
    for where in (
        "model.visual.deepstack_merger_list.1.linear_fc2.weight",
        "model.visual.pos_embed.weight",
        "model.language_model.layers.1.self_attn.k_norm.weight",
    ):
        named = [(n, p) for n, p in newer.vlm.model.named_parameters() if n != where]
        with pytest.raises(RunFailed, match=f"never sent, first {where}"):
            newer.sync(named)
    wrote = newer.sync(newer.vlm.model.named_parameters())
    assert wrote.names == len(list(newer.vlm.model.parameters()))


def test_new_weights_of_the_vision_tower_alone_change_the_answers_to_the_same_picture(
    backend: VLLMBackend, path: Path
) -> None:
    """vLLM keeps what the tower made of a picture, and keys and values of the prompt, by their contents: a sync drops both."""
    seen = [ModelRequest("which?", (picture(3, (16, 16)),))]
    before = backend.token_scores(seen, tuple("0123"))
    vlm = load_vlm(path)
    with torch.no_grad():
        for p in vlm.model.model.visual.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    backend.sync(vlm.model.named_parameters())
    after = backend.token_scores(seen, tuple("0123"))
    assert (after - before).abs().max() > 1e-3
    assert torch.allclose(after, HFBackend(vlm).token_scores(seen, tuple("0123")), atol=1e-4)
    blind = [ModelRequest("which?")]
    assert torch.allclose(
        backend.token_scores(blind, tuple("0123")), HFBackend(vlm).token_scores(blind, tuple("0123")), atol=1e-4
    )


def test_a_cache_too_small_for_one_sequence_is_one_line_that_names_the_keys(path: Path) -> None:
    with pytest.raises(BadInput, match=r"rollouts\.cache_gib=0\.0001.*rollouts\.max_tokens=512; raise the first"):
        VLLMBackend(load_vlm(path), **SMALL | {"cache_gib": 1e-4})


def test_an_engine_that_failed_is_closed_and_the_next_one_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = SMALL | {"max_sequences": 3}
    first = VLLMBackend(load_vlm(path), **limits)
    broken = first.engine
    assert isinstance(broken, VLLMEngine)
    monkeypatch.setattr(broken._engine, "step", lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")))
    with pytest.raises(RunFailed, match="ran out of memory while it generated; lower rollouts.batch_size"):
        greedy(first)
    assert broken.closed and not broken.usable
    assert greedy(first) == greedy(HFBackend(load_vlm(path))) and first.engine is not broken


@pytest.mark.slow  # another engine
def test_a_16_bit_model_is_sampled_from_float32_logits(path: Path) -> None:
    """The output layer is asked not to round, and the CPU's float32 biases are no other weights."""
    halved = load_vlm(path, "bfloat16")
    backend = VLLMBackend(halved, **SMALL)
    assert isinstance(backend.engine, VLLMEngine)
    assert backend.engine._engine.vllm_config.model_config.head_dtype == torch.float32
    ours = backend.token_scores(requests(4), tuple("0123456789"))
    assert torch.allclose(ours, HFBackend(halved).token_scores(requests(4), tuple("0123456789")), atol=0.02)


def test_more_pictures_than_the_engine_takes_are_refused_by_name(backend: VLLMBackend) -> None:
    many = ModelRequest("which?", tuple(picture(k, (16, 16)) for k in range(17)))
    with pytest.raises(BadInput, match="17 pictures, and vLLM was started for 16"):
        backend.generate([*requests(1), many], 1, Sampling(2))
    assert backend.generate(requests(1), 1, Sampling(2))[0][0].token_ids  # and nothing is left inside


def test_grpo_with_vllm_is_on_policy(backend: VLLMBackend, path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3, checkpoint_every=3, kl_coef=0.0, tis_cap=2.0)
    rows = {}
    for name in ("vllm", "hf"):
        vlm = load_vlm(path)
        engine = TorchEngine(TextPolicy(vlm, config.temperature), config, config.schedule())
        rollouts = backend if name == "vllm" else HFBackend(vlm)
        train(config, engine, rollouts, tmp_path / name)
        rows[name] = read_jsonl(tmp_path / name / "metrics.jsonl")
    assert rows["vllm"][0].keys() == rows["hf"][0].keys()
    for row in rows["vllm"]:
        assert 0 < row["trained/mismatch/max"] < 1e-3 and row["trained/tis_capped/mean"] == 0
        assert row["trained/tis_ratio/mean"] == pytest.approx(1, abs=1e-3) and row["sync/parameters"] == 56
        assert abs(row["trained/ratio/max"] - 1) < 1e-6  # old log-probs are the trainer's own


@pytest.mark.slow
def test_a_killed_engine_is_started_again_and_the_answers_are_the_same(
    path: Path, started: VLLMBackend, caplog: pytest.LogCaptureFixture
) -> None:
    from agents.backends.remote import RemoteEngine

    vlm = moved(path, seed=4)
    remote = VLLMBackend(vlm, **SMALL, separate=True)
    engine = remote.engine
    assert isinstance(engine, RemoteEngine)
    sampling = Sampling(64, seed=6)
    answers = remote.generate(requests(), 8, sampling)
    started.sync(vlm.model.named_parameters())
    assert [[c.token_ids for c in row] for row in started.generate(requests(), 8, sampling)] == [
        [c.token_ids for c in row] for row in answers
    ]

    named = list(vlm.model.named_parameters())
    with pytest.raises(RunFailed, match=f"never sent, first {named[-1][0]}"):  # the engine's own errors come through
        remote.sync(named[:-1])
    assert remote.sync(named) == fingerprint(named)

    pid = engine.pid
    os.kill(pid, signal.SIGSTOP)  # it holds the request when it dies
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with caplog.at_level(logging.WARNING):
        assert remote.generate(requests(), 8, sampling) == answers
    assert f"process {pid} died (killed by SIGKILL)" in caplog.text and engine.pid != pid
    engine.close()


LEAVING = """
import os, sys
from agents.backends.base import ModelRequest, Sampling
from agents.backends.vlm import load_vlm
from agents.backends.vllm import VLLMBackend
from rl.engine.process_group import join, leave

def answer():
    backend = VLLMBackend(load_vlm(sys.argv[1]), max_sequences=8, max_tokens=128, cache_gib=1 / 32)
    return backend.generate([ModelRequest("a hat")], 2, Sampling(8, seed=1))

before = answer()  # in a process group that vLLM makes for itself
join("cpu")
assert "LOCAL_RANK" in os.environ and answer() == before
leave()
assert answer() == before, "a new engine, since the old one ended with the process group"
print("done")
"""


@pytest.mark.slow
def test_joining_and_leaving_a_process_group_end_the_engines_before_without_noise(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, str(path)], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stderr[-3000:]
    assert "Traceback" not in done.stderr


def test_first_token_probabilities_are_those_of_the_reference(backend: VLLMBackend, path: Path) -> None:
    """Before and after a sync, also of words that the model hardly ever says."""
    words = tuple("012345")
    for vlm in (load_vlm(path), moved(path)):
        backend.sync(vlm.model.named_parameters())
        assert torch.allclose(
            backend.token_scores(requests(), words), HFBackend(vlm).token_scores(requests(), words), atol=1e-4
        )
    answer = tuple(load_vlm(path).tokenizer("a 7")["input_ids"])
    begun = [replace(request, answer=answer) for request in requests()]
    told, reference = (b.token_scores(begun, answer) for b in (backend, HFBackend(moved(path))))
    assert torch.allclose(told, reference, atol=1e-4)
    assert backend.token_scores([], words).shape == (0, 6)
    with pytest.raises(BadInput, match="20 tokens at most, not of 21"):
        backend.token_scores(requests(1), tuple("abcdefghijklmnopqrstu"))
    again = backend.generate(requests(), 1, Sampling(4, temperature=0.0))
    assert [c.token_ids for row in again for c in row] == [
        c.token_ids for row in HFBackend(moved(path)).generate(requests(), 1, Sampling(4, temperature=0.0)) for c in row
    ]
