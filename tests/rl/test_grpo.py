"""The loop as a whole: it learns, the split of the batch does not matter, and nothing is silently treated as zero."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from common.errors import BadInput, RunFailed
from common.jsonl import read_jsonl
from rl.config import GRPOConfig
from rl.engine.torch import TorchEngine
from rl.policies.text import TextBatch, TextPolicy
from tests.rl import runs
from tests.rl.runs import CONFIG, VARIANTS, Scored, letters, run, sample, settings_of
from tests.tiny_models import both_families, build_tiny_vlm


def train(path: Path, out: Path, config: GRPOConfig, reward=letters, samples=sample, frozen_vision=False, **kw):
    """(final state, weights, metrics rows)"""
    vlm = load_vlm(path)
    policy = TextPolicy(vlm, config.temperature, frozen_vision=frozen_vision, shared_prefix=config.shared_prefix)
    engine = TorchEngine(policy, config, config.schedule())
    state = runs.train(config, engine, HFBackend(vlm), out, reward, samples, **kw)
    return state, {n: p.detach().clone() for n, p in vlm.model.named_parameters()}, read_jsonl(out / "metrics.jsonl")


@pytest.mark.parametrize(("variant", "shared"), [("grpo", True), ("grpo", False), ("dr_grpo", True), ("gspo", True)])
def test_the_split_and_the_prefix_path_do_not_change_the_parameters(
    tiny_vlm_path: Path, tmp_path: Path, variant: str, shared: bool
) -> None:
    """1 x 8, 2 x 4, 8 x 1, and a token budget: within 2e-5 of each other and of the reference path. AdamW divides by the size of a
    gradient, so that the last bits of very small ones show: 1.3e-5 was seen after these six updates."""
    own = settings_of(variant) | {"kl_coef": 0.05}
    base = replace(CONFIG, steps=3, prompts_per_step=2, lr=5e-4, updates_per_batch=2, **own)
    weights = []
    reference = dict(micro_batch_size=8, shared_prefix=False)
    for k, cut in enumerate([reference, *[dict(micro_batch_size=s) for s in (8, 2, 1)], dict(micro_batch_tokens=70)]):
        # end tokens made likely: lengths are ragged
        def ragged(samples, texts, seeds):
            return [
                Scored(s.total + len(t) / 20, s.components)
                for s, t in zip(letters(samples, texts, seeds), texts, strict=True)
            ]

        config = replace(base, **({"shared_prefix": shared} | cut))
        weights.append(train(tiny_vlm_path, tmp_path / str(k), config, ragged)[1])
    start = dict(load_vlm(tiny_vlm_path).model.named_parameters())
    assert max((start[n] - w).abs().max() for n, w in weights[0].items()) > 1e-3  # it did move
    for other in weights[1:]:
        assert max((weights[0][n] - w).abs().max() for n, w in other.items()) < 2e-5


@both_families
def test_first_update_is_on_policy_and_engines_agree(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2, temperature=0.7)
    _, _, rows = train(tiny_vlm_path, tmp_path, config)
    for row in rows:
        assert row["trained/ratio/mean"] == row["trained/ratio/max"] == 1.0
        assert row["trained/clip_low/mean"] == row["trained/clip_high/mean"] == 0
        assert row["trained/mismatch/max"] < 1e-4 and row["trained/tis_ratio/mean"] == pytest.approx(1, abs=1e-4)
    assert rows[0]["kl/mean"] == pytest.approx(0, abs=1e-9) and rows[1]["kl/mean"] > 0
    twice = train(tiny_vlm_path, tmp_path / "2", replace(config, updates_per_batch=2))[2]
    assert twice[0]["trained/ratio/max"] > 1.0


@pytest.mark.parametrize("variant", VARIANTS)
def test_learns_a_trivial_reward(tiny_vlm_path: Path, tmp_path: Path, variant: str) -> None:
    config = replace(CONFIG, steps=14, prompts_per_step=4, group_size=8, micro_batch_size=32, lr=1e-2, checkpoint_every=99,
                     **{"kl_coef": 0.0} | settings_of(variant)
                     | {"dynamic_sampling": False, "mask_truncated": False})  # fmt: skip
    rows = train(tiny_vlm_path, tmp_path, config)[2]
    mean = [r["reward/mean"] for r in rows]
    assert sum(mean[-3:]) / 3 > sum(mean[:3]) / 3 + 0.25


def test_every_promised_number_is_logged(tiny_vlm_path: Path, tmp_path: Path) -> None:
    seen, steps = [], []
    config = replace(CONFIG, steps=3)
    state, _, rows = train(
        tiny_vlm_path, tmp_path, config, log=seen.append, progress=lambda k, n, m: steps.append((k, n))
    )
    assert steps == [(1, 3), (2, 3), (3, 3)] and seen == rows and state.metrics == rows[-1] and state.step == 3
    wanted = """step reward/mean reward/std reward/letters/mean reward/letters/std groups/no_spread kl/mean entropy/mean
        trained/clip_low/mean trained/clip_high/mean trained/mismatch/mean trained/mismatch/max trained/ratio/mean
        trained/ratio/max trained/entropy/mean rollout/logp_missing tokens/mean tokens/max tokens/truncated
        reward/missing grad_norm lr tokens_per_s time/rollout time/reward time/logprob time/train time/sync time/checkpoint"""
    for row in rows:
        assert not set(wanted.split()) - set(row)
        assert all(math.isfinite(v) for v in row.values())
    assert [r["lr"] for r in rows] == pytest.approx([1.5e-3, 3e-3, 3e-3])  # warm-up of two
    assert rows[2]["time/checkpoint"] > 0  # the one after step 2
    samples = read_jsonl(tmp_path / "samples.jsonl")
    assert len(samples) == 3 * 12 and {s["step"] for s in samples} == {1, 2, 3}
    first = samples[0]
    assert first["sample"] == "0-0" and first["request"].startswith("write letters")
    assert first["components"]["letters"] == first["reward"]
    means = [sum(s["reward"] for s in samples if s["step"] == k) / 12 for k in (1, 2, 3)]
    assert means == pytest.approx([r["reward/mean"] for r in rows])


class Forgetful:
    """A rollout engine that reports no number for the first token of every answer."""

    def __init__(self, backend: HFBackend) -> None:
        self.backend = backend

    def generate(self, requests, n, sampling):
        rows = self.backend.generate(requests, n, sampling)
        return [[replace(c, logprobs=(math.nan, *c.logprobs[1:])) for c in row] for row in rows]

    def sync(self, parameters):
        return self.backend.sync(parameters)


def test_the_entropy_is_that_of_all_answers(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """Only the group at place 0 has rewards that differ: the others are not trained on, but answer too."""

    def one_group(samples, texts, seeds):
        scored = letters(samples, texts, seeds)
        return [s if x.id.endswith("-0") else Scored(0.5) for s, x in zip(scored, samples, strict=True)]

    backends = []

    def remember(backend: HFBackend) -> HFBackend:
        backends.append(Recording(backend))
        return backends[0]

    config = replace(CONFIG, steps=1, kl_coef=0.0)
    run(tiny_vlm_path, tmp_path, config, one_group, wrap=remember)
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    vlm = load_vlm(tiny_vlm_path)
    requests, answers = backends[0].seen[0]
    prompts = [p for p, row_ in zip(vlm.encode(requests), answers, strict=True) for _ in row_]
    with torch.no_grad():
        now = TextPolicy(vlm).forward(TextBatch(prompts, [c.token_ids for row_ in answers for c in row_]))
    entropy = float(now.entropy_BT[now.mask_BT].mean())
    nats = [-x for row_ in answers for c in row_ for x in c.logprobs]
    error = 4 * float(torch.tensor(nats).std()) / len(nats) ** 0.5
    assert row["update/sequences"] == 4 and row["entropy/mean"] == pytest.approx(sum(nats) / len(nats))
    assert row["entropy/mean"] == pytest.approx(entropy, abs=error)
    assert row["trained/entropy/mean"] == pytest.approx(float(now.entropy_BT[:4][now.mask_BT[:4]].mean()), abs=1e-4)


class Recording:
    """The backend, and what it was asked and answered."""

    def __init__(self, backend: HFBackend) -> None:
        self.backend, self.seen = backend, []

    def generate(self, requests, n, sampling):
        self.seen.append((requests, self.backend.generate(requests, n, sampling)))
        return self.seen[-1][1]

    def sync(self, parameters):
        return self.backend.sync(parameters)


def test_a_token_without_log_probability_is_counted_and_harms_nothing(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2)
    rows = {}
    for name, wrap in (("whole", lambda b: b), ("forgetful", Forgetful)):
        run(tiny_vlm_path, tmp_path / name, config, wrap=wrap)
        rows[name] = read_jsonl(tmp_path / name / "metrics.jsonl")
    assert [r["rollout/logp_missing"] for r in rows["whole"]] == [0, 0]
    assert [r["rollout/logp_missing"] for r in rows["forgetful"]] == [12, 12]
    for ours, theirs in zip(rows["forgetful"], rows["whole"], strict=True):
        assert all(math.isfinite(v) for v in ours.values())
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)  # the ratio is 1 on policy anyway


@pytest.mark.parametrize("frozen_vision", [True, False])
def test_kl_to_the_start_is_logged_without_a_kl_term_and_changes_nothing(
    tiny_vlm_path: Path, tmp_path: Path, frozen_vision: bool
) -> None:
    config = replace(CONFIG, steps=4, updates_per_batch=2, kl_coef=0.0)
    on, _, rows = train(
        tiny_vlm_path, tmp_path / "on", replace(config, kl_log_sequences=6), frozen_vision=frozen_vision
    )
    off, _, bare = train(
        tiny_vlm_path, tmp_path / "off", replace(config, kl_log_sequences=0), frozen_vision=frozen_vision
    )
    assert on.checksum == off.checksum and not any("kl/mean" in r for r in bare)
    plain = [
        {k: v for k, v in r.items() if not k.startswith(("kl/", "time/", "memory/", "perf/", "tokens_per_s"))}
        for r in rows
    ]
    assert plain == [
        {k: v for k, v in r.items() if not k.startswith(("time/", "memory/", "perf/", "tokens_per_s"))} for r in bare
    ]
    assert all(abs(rows[0][f"kl/{k}"]) < 1e-5 for k in ("k1", "k2", "k3"))  # nothing has been learnt yet
    assert rows[-1]["kl/k2"] > 1e-4 and rows[-1]["kl/k3"] > 1e-4 and rows[-1]["kl/mean"] == rows[-1]["kl/k3"]


def test_missing_rewards_carry_no_gradient(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """Where only prompt 0 has rewards, the update is that of a batch of which prompt 0 is all that counts."""

    def only_first(samples, texts, seeds):
        scored = letters(samples, texts, seeds)
        return [
            s if x.id.endswith("-0") else Scored(None, {"letters": None}) for x, s in zip(samples, scored, strict=True)
        ]

    config = replace(CONFIG, steps=1, kl_coef=0.0)
    part, w, rows = train(tiny_vlm_path, tmp_path / "a", config, only_first)
    assert rows[0]["reward/missing"] == pytest.approx(2 / 3) and rows[0]["update/sequences"] <= 4

    # the same with nonsense where rewards are missing: NaN is missing too
    def nan(samples, texts, seeds):
        return [s if s.total is not None else Scored(math.nan) for s in only_first(samples, texts, seeds)]

    assert train(tiny_vlm_path, tmp_path / "b", config, nan)[0].checksum == part.checksum
    # as if the others were not there: their tokens are not in the normaliser either
    alone = train(tiny_vlm_path, tmp_path / "c", replace(config, prompts_per_step=1))[1]
    assert max((alone[n] - w[n]).abs().max() for n in w) < 1e-5


def test_steps_without_any_reward_skip_the_update_then_fail(tiny_vlm_path: Path, tmp_path: Path) -> None:
    none = lambda samples, texts, seeds: [Scored(None) for _ in texts]  # noqa: E731
    config = replace(CONFIG, max_missing_steps=3)
    with pytest.raises(RunFailed, match="3 consecutive"):
        train(tiny_vlm_path, tmp_path / "a", config, none)
    rows = read_jsonl(tmp_path / "a" / "metrics.jsonl")
    assert [r["update/missing_steps"] for r in rows] == [1, 2, 3] and all(r["reward/missing"] == 1 for r in rows)
    once, calls = [], []

    def second_only(samples, texts, seeds):
        calls.append(1)
        once.append(len(calls) == 2)
        return none(samples, texts, seeds) if once[-1] else letters(samples, texts, seeds)

    rows = train(tiny_vlm_path, tmp_path / "b", replace(config, steps=3), second_only)[2]
    assert [r["update/missing_steps"] for r in rows] == [0, 1, 0] and rows[1]["update/skipped"] == 1


def test_equal_rewards_move_nothing_without_kl(tiny_vlm_path: Path, tmp_path: Path) -> None:
    flat = lambda samples, texts, seeds: [Scored(0.5) for _ in texts]  # noqa: E731
    _, w, rows = train(tiny_vlm_path, tmp_path, replace(CONFIG, steps=2, kl_coef=0.0), flat)
    start = dict(load_vlm(tiny_vlm_path).model.named_parameters())
    assert all(torch.equal(start[n], p) for n, p in w.items())
    assert all(r["groups/no_spread"] == 1 and r["update/sequences"] == 0 for r in rows)


def test_dynamic_sampling_replaces_groups_without_spread(tiny_vlm_path: Path, tmp_path: Path) -> None:
    asked = []

    def counted(step: int, j: int):
        asked.append((step, j))
        return sample(step, j)

    def half(samples, texts, seeds):  # prompts 0..2 of every step teach nothing, later ones do
        scored = letters(samples, texts, seeds)
        return [Scored(0.0) if int(x.id.split("-")[1]) < 3 else s for x, s in zip(samples, scored, strict=True)]

    config = replace(CONFIG, steps=1, dynamic_sampling=True, max_tries=4)
    row = train(tiny_vlm_path, tmp_path / "a", config, half, samples=counted)[2][0]
    assert asked[:3] == [(0, 0), (0, 1), (0, 2)] and (0, 3) in asked
    assert row["groups/drawn"] > 3 and row["update/sequences"] > 0 and row["groups/no_spread"] < 1
    asked.clear()
    flat = lambda samples, texts, seeds: [Scored(0.5) for _ in texts]  # noqa: E731
    row = train(tiny_vlm_path, tmp_path / "b", config, flat, samples=counted)[2][0]
    assert len(asked) == 12 and row["groups/drawn"] == 12 and row["groups/no_spread"] == 1  # tries are bounded


def test_truncated_answers_can_be_left_out(tiny_vlm_path: Path, tmp_path: Path) -> None:
    row = train(tiny_vlm_path, tmp_path, replace(CONFIG, steps=1, mask_truncated=True))[2][0]
    cut = row["tokens/truncated"] * 12
    assert cut > 0 and row["update/sequences"] == pytest.approx(12 - cut)


@pytest.mark.parametrize(
    "kw",
    [
        dict(temperature=0.0),
        dict(group_size=1),
        dict(steps=0),
        dict(advantage_scale="std"),
        dict(betas=[0.9]),
        dict(max_grad_norm=0.0),
        dict(decay_share=1.5),
    ],
)
def test_configs_that_bias_the_ratio_or_make_no_sense_are_refused(kw: dict) -> None:
    with pytest.raises(BadInput):
        GRPOConfig(**kw)


def test_a_folder_of_another_run_is_refused(tiny_vlm_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(tiny_vlm_path, out, replace(CONFIG, steps=2))
    with pytest.raises(BadInput, match="seed"):
        run(tiny_vlm_path, out, seed=8)
    other = build_tiny_vlm(tmp_path / "other", inter=64)
    with pytest.raises(BadInput, match="start weights"):
        run(other, out)
