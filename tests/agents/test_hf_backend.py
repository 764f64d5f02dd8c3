"""The reference rollout engine: what it reports is what it sampled from, whatever the batch around it."""

import pytest
import torch
from PIL import Image

from agents.backends.base import Backend, ModelRequest, Sampling, fingerprint, tensor_checksum
from agents.backends.draws import invert_cdf
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, collate, load_vlm
from common.errors import BadInput, RunFailed
from rl.policies.text import TextBatch, TextPolicy
from tests.tiny_models import both_families

WORDS = ["make the sky darker", "add a hat", "remove the red ball and then swap the others", "x"]


def picture(k: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, (40 * k % 256, 255 - 30 * k, 90))


def requests(n: int = 4) -> list[ModelRequest]:
    """With one picture, with none, with two of other shapes, in turn."""
    kinds = [(picture(1),), (), (picture(2, (32, 64)), picture(3)), (picture(4),)]
    return [ModelRequest(WORDS[i % 4] + "!" * (i // 4), kinds[i % 4]) for i in range(n)]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@both_families
def test_reported_logprobs_are_the_policys(tiny_vlm: VLM, temperature: float) -> None:
    answers = HFBackend(tiny_vlm).generate(requests(), 3, Sampling(12, temperature, seed=5))
    assert len(answers) == 4 and all(len(row) == 3 for row in answers)
    policy = TextPolicy(tiny_vlm, temperature, chunk_tokens=7)
    prompts = policy.encode(requests())
    flat = [(p, c) for p, row in zip(prompts, answers, strict=True) for c in row]
    with torch.no_grad():
        stats = policy(TextBatch([p for p, _ in flat], [c.token_ids for _, c in flat]))
    for row, (_, c) in enumerate(flat):
        own = stats.logp_BT[row][stats.mask_BT[row]]
        assert torch.allclose(own, torch.tensor(c.logprobs), atol=1e-4)


def test_first_token_follows_its_distribution(tiny_vlm: VLM) -> None:
    request = requests(1)
    answers = HFBackend(tiny_vlm, 512).generate(request, 4000, Sampling(1, temperature=0.5, seed=1))[0]
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in answers]), minlength=264) / 4000
    policy = TextPolicy(tiny_vlm, 0.5)
    allowed = [i for i in range(264) if i not in tiny_vlm.banned_ids]
    with torch.no_grad():
        stats = policy(TextBatch([policy.encode(request)[0]] * len(allowed), [[i] for i in allowed]))
    expect = torch.zeros(264)
    expect[allowed] = stats.logp_BT[:, 0].exp()
    assert expect.sum().item() == pytest.approx(1.0, abs=1e-4)
    chi2 = ((counts[allowed] - expect[allowed]) ** 2 / expect[allowed]).sum() * 4000
    assert chi2 < len(allowed) + 5 * (2 * len(allowed)) ** 0.5


@both_families
def test_banned_ids_are_never_sampled(tiny_vlm: VLM) -> None:
    with torch.no_grad():  # a policy that wants nothing but control tokens
        tiny_vlm.model.lm_head.weight[list(tiny_vlm.banned_ids)] *= 50
    assert tiny_vlm.image_token_id in tiny_vlm.banned_ids and tiny_vlm.eos_id not in tiny_vlm.banned_ids
    for temperature in (0.0, 1.0, 3.0):
        for row in HFBackend(tiny_vlm).generate(requests(), 4, Sampling(16, temperature, seed=2)):
            assert not {i for c in row for i in c.token_ids} & set(tiny_vlm.banned_ids)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@both_families
def test_completions_do_not_depend_on_the_batch(tiny_vlm: VLM, temperature: float) -> None:
    together = HFBackend(tiny_vlm, 64).generate(requests(6), 2, Sampling(16, temperature, seed=3))
    pieces = HFBackend(tiny_vlm, 2).generate(requests(6), 2, Sampling(16, temperature, seed=3))
    assert [[c.token_ids for c in row] for row in together] == [[c.token_ids for c in row] for row in pieces]
    alone = HFBackend(tiny_vlm).generate(requests(1), 2, Sampling(16, temperature, seed=3))
    assert [c.token_ids for c in alone[0]] == [c.token_ids for c in together[0]]


@both_families
def test_greedy_equals_transformers_generate(tiny_vlm_path, tiny_vlm: VLM) -> None:
    ours = HFBackend(tiny_vlm).generate(requests(), 1, Sampling(12, temperature=0.0))
    plain = load_vlm(tiny_vlm_path)  # untouched attention and cache
    for prompt, row in zip(plain.encode(requests()), ours, strict=True):
        batch = {k: v for k, v in collate(plain, [prompt], None, "left").items() if v is not None}
        out = plain.model.generate(
            **batch, max_new_tokens=12, do_sample=False, suppress_tokens=list(plain.banned_ids), eos_token_id=plain.eos_id,
            pad_token_id=plain.pad_id,
        )  # fmt: skip
        assert tuple(out[0, len(prompt) :].tolist()) == row[0].token_ids


def test_end_token_stops_a_row_and_is_kept(tiny_vlm: VLM) -> None:
    with torch.no_grad():  # tied weights: end tokens become likely, so rows end at many different lengths
        tiny_vlm.model.lm_head.weight[tiny_vlm.eos_id] *= 8
    rows = [c for row in HFBackend(tiny_vlm).generate(requests(), 16, Sampling(24, seed=4)) for c in row]
    stopped = [c for c in rows if c.finish_reason == "stop"]
    assert stopped and len({len(c.token_ids) for c in stopped}) > 3
    for c in rows:
        assert len(c.logprobs) == len(c.token_ids) and "<|im_end|>" not in c.text
        assert (c.token_ids[-1] == tiny_vlm.eos_id) == (c.finish_reason == "stop")
        assert tiny_vlm.eos_id not in c.token_ids[:-1]
        assert c.finish_reason == "stop" or len(c.token_ids) == 24
    again = HFBackend(tiny_vlm, 16).generate(requests(), 16, Sampling(24, seed=4))  # other rows dropped together
    assert [c.token_ids for row in again for c in row] == [c.token_ids for c in rows]


def test_seed_decides_and_global_state_is_untouched(tiny_vlm: VLM) -> None:
    backend = HFBackend(tiny_vlm)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = backend.generate(requests(2), 2, Sampling(8, seed=9))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert backend.generate(requests(2), 2, Sampling(8, seed=9)) == first
    assert backend.generate(requests(2), 2, Sampling(8, seed=10)) != first
    assert first[0][0] != first[0][1]  # samples of one prompt differ


def test_truncated_sampling_stays_inside_its_set(tiny_vlm: VLM) -> None:
    backend = HFBackend(tiny_vlm)
    ranked = backend.generate(requests(1), 64, Sampling(1, top_k=3, seed=0))[0]
    assert len({c.token_ids for c in ranked}) <= 3
    nucleus = backend.generate(requests(1), 64, Sampling(1, temperature=0.2, top_p=0.05, seed=0))[0]
    greedy = backend.generate(requests(1), 1, Sampling(1, temperature=0.0))[0][0]
    assert greedy.token_ids in {c.token_ids for c in nucleus}
    assert len({c.token_ids for c in nucleus}) < 64


def test_inverse_cdf_never_draws_probability_zero() -> None:
    log_p = torch.tensor([[-torch.inf, 0.5, -torch.inf, 0.5, -torch.inf]]).log_softmax(-1).repeat(3, 1)
    drawn = invert_cdf(log_p, torch.tensor([[0.0], [0.5], [1.0 - 2**-53]], dtype=torch.float64))
    assert drawn.tolist() == [[1], [3], [3]]
    assert invert_cdf(log_p[:1], torch.tensor([[0.6, 0.1]], dtype=torch.float64)).tolist() == [[3, 1]]


def test_sync_to_the_same_module_proves_identity(tiny_vlm: VLM) -> None:
    backend = HFBackend(tiny_vlm)
    assert isinstance(backend, Backend)
    report = backend.sync(tiny_vlm.model.named_parameters())
    assert report == fingerprint(tiny_vlm.model.named_parameters())
    assert report.names == len(list(tiny_vlm.model.parameters()))
    assert report.elements == sum(p.numel() for p in tiny_vlm.model.parameters())


@both_families
def test_sync_to_another_copy_writes_everything(tiny_vlm_path, tiny_vlm: VLM) -> None:
    trained = load_vlm(tiny_vlm_path)
    with torch.no_grad():
        for p in trained.model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    backend = HFBackend(tiny_vlm)
    sent = dict(trained.model.named_parameters()) | {
        "lm_head.weight": trained.model.lm_head.weight
    }  # a tied alias may come
    report = backend.sync(sent.items())
    assert report == fingerprint(trained.model.named_parameters())
    sampling = Sampling(8, temperature=0.0)
    assert backend.generate(requests(), 1, sampling) == HFBackend(trained).generate(requests(), 1, sampling)


def test_sync_names_what_is_wrong(tiny_vlm: VLM) -> None:
    backend, named = HFBackend(tiny_vlm), list(tiny_vlm.model.named_parameters())
    with pytest.raises(RunFailed, match=named[-1][0]):
        backend.sync(named[:-1])
    with pytest.raises(RunFailed, match="twice"):
        backend.sync([*named, named[3]])
    with pytest.raises(RunFailed, match="no parameter 'nonsense'"):
        backend.sync([*named, ("nonsense", torch.zeros(1))])
    with pytest.raises(RunFailed, match=named[0][0]):
        backend.sync([(named[0][0], torch.zeros(3)), *named[1:]])


def test_checksum_sees_single_bits_order_and_dtype() -> None:
    x = torch.randn(1000)
    y = x.clone()
    y[500] = torch.nextafter(y[500], torch.tensor(9.0))
    assert tensor_checksum(x) == tensor_checksum(x.clone()) != tensor_checksum(y)
    assert tensor_checksum(x) != tensor_checksum(x.flip(0))
    assert fingerprint([("a", x), ("b", y)]) == fingerprint([("b", y), ("a", x)]) != fingerprint([("a", y), ("b", x)])
    assert fingerprint([("a", x)]) != fingerprint([("a", x.bfloat16())])


@pytest.mark.parametrize("kw", [dict(max_new_tokens=0), dict(temperature=-1.0), dict(temperature=float("nan")), dict(top_p=0.0),
                                dict(top_p=1.5), dict(top_k=0)])  # fmt: skip
def test_bad_sampling_is_refused(kw: dict) -> None:
    with pytest.raises(BadInput):
        Sampling(**({"max_new_tokens": 4} | kw))


def test_no_requests_and_bad_n(tiny_vlm: VLM) -> None:
    backend = HFBackend(tiny_vlm)
    assert backend.generate([], 2, Sampling(4)) == []
    with pytest.raises(BadInput):
        backend.generate(requests(1), 0, Sampling(4))
