"""Hand-worked answers for every variant, and invariance of the sum under any split of the batch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from rl.config import LossConfig
from rl.losses import (
    LossInputs,
    LossOutputs,
    batch_normaliser,
    kl_estimate,
    merge_metrics,
    policy_loss,
)
from tests.rl.runs import VARIANTS, loss_of

LOG = math.log
# Two sequences of 2 and 1 tokens; ratios 1.5 and 0.9 in the first (A = 1), 4.0 in the second (A = -2).
MASK = torch.tensor([[True, True], [True, False]])
RATIO = torch.tensor([[1.5, 0.9], [4.0, 1.0]])
OLD = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]])
ADV = torch.tensor([[1.0], [-2.0]])


def run(variant: str, normaliser: float, **kw: object) -> tuple[LossOutputs, torch.Tensor]:
    logp = (OLD + RATIO.log()).requires_grad_()
    out = policy_loss(LossInputs(logp, OLD, ADV, MASK, normaliser), loss_of(variant, **kw))
    out.loss.backward()
    return out, logp.grad


def test_grpo_clips_each_side_and_bounds_negative_advantages() -> None:
    out, grad = run("grpo", 3.0, clip_low=0.2, clip_high=0.3, dual_clip=3.0)
    # token 1: min(1.5, 1.3) = 1.3; token 2: 0.9; token 3: A<0, ratio 4 > dual clip 3 -> loss 2 * 3 = 6
    assert out.loss.item() == pytest.approx((-1.3 - 0.9 + 6.0) / 3)
    # only the unclipped token has a gradient: -A * ratio / 3
    assert torch.allclose(grad, torch.tensor([[0.0, -0.3], [0.0, 0.0]]))
    assert out.sums["clip_high"] == 1 and out.sums["clip_low"] == 0 and out.sums["clip_dual"] == 1
    assert out.sums["tokens"] == 3 and out.maxima["ratio"] == pytest.approx(4.0)


def test_grpo_without_dual_clip_keeps_the_large_ratio() -> None:
    out, grad = run("grpo", 3.0, clip_low=0.2, clip_high=0.3, dual_clip=None)
    assert out.loss.item() == pytest.approx((-1.3 - 0.9 + 8.0) / 3)
    assert grad[1, 0].item() == pytest.approx(8.0 / 3)


def test_low_clip_acts_on_negative_advantages() -> None:
    logp = torch.tensor([[LOG(0.5)]], requires_grad=True)
    out = policy_loss(LossInputs(logp, torch.zeros(1, 1), torch.tensor([[-1.0]]), torch.ones(1, 1, dtype=torch.bool), 1.0),
                      LossConfig(clip_low=0.2))  # fmt: skip
    out.loss.backward()
    assert out.loss.item() == pytest.approx(0.8) and logp.grad.item() == 0 and out.sums["clip_low"] == 1


def test_dapo_is_grpo_with_its_own_higher_upper_clip() -> None:
    out, _ = run("dapo", 3.0, dual_clip=None)
    assert out.loss.item() == pytest.approx((-1.28 - 0.9 + 8.0) / 3)


def test_dr_grpo_divides_by_a_constant() -> None:
    n = batch_normaliser("constant", [2, 1], 10)
    assert n == 20
    out, _ = run("dr_grpo", n, dual_clip=None)
    assert out.loss.item() == pytest.approx((-1.2 - 0.9 + 8.0) / 20)


def test_gspo_uses_the_length_normalised_sequence_ratio() -> None:
    s = math.exp((LOG(1.5) + LOG(0.9)) / 2)  # 1.1619
    out, grad = run("gspo", 2.0, clip_low=0.2, clip_high=0.3)
    # sequence means: -s and (A = -2, ratio 4 unclipped because the max is taken) 8
    assert out.loss.item() == pytest.approx((-s + 8.0) / 2, rel=1e-6)
    assert torch.allclose(grad, torch.tensor([[-s / 4, -s / 4], [4.0, 0.0]]), atol=1e-6)
    clipped, grad = run("gspo", 2.0)  # its own clip of 4e-4: the first sequence is over it
    assert clipped.loss.item() == pytest.approx((-1.0004 + 8.0) / 2, rel=1e-6) and grad[0].eq(0).all()


def test_cispo_keeps_the_gradient_of_clipped_tokens() -> None:
    out, grad = run("cispo", 3.0)
    w = torch.tensor([[1.2, 0.9], [1.2, 0.0]])
    assert torch.allclose(grad, -w * ADV / 3, atol=1e-6)
    expect = -(1.2 * (LOG(1.5) - 1) + 0.9 * (LOG(0.9) - 2) - 2 * 1.2 * (LOG(4) - 3)) / 3
    assert out.loss.item() == pytest.approx(expect, rel=1e-6)
    assert out.sums["clip_high"] == 2


def test_sequence_aggregation_of_grpo_is_the_papers_form() -> None:
    out, _ = run("grpo", 2.0, clip_high=0.3, dual_clip=None, aggregation="sequence")
    assert out.loss.item() == pytest.approx((-(1.3 + 0.9) / 2 + 8.0) / 2)


def test_kl_estimators_known_answers() -> None:
    logp, ref = torch.tensor([[LOG(0.5)]]), torch.tensor([[LOG(0.25)]])
    assert kl_estimate(logp, ref, "k1").item() == pytest.approx(LOG(2))
    assert kl_estimate(logp, ref, "k2").item() == pytest.approx(LOG(2) ** 2 / 2)
    assert kl_estimate(logp, ref, "k3").item() == pytest.approx(0.5 - 1 + LOG(2))


def test_k1_and_k3_are_unbiased_over_a_whole_distribution() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.5, 0.3])
    exact = (p * (p / q).log()).sum()
    for k in ("k1", "k3"):
        assert torch.allclose((p * kl_estimate(p.log(), q.log(), k)).sum(), exact, atol=1e-6)


def test_kl_is_added_with_its_coefficient() -> None:
    logp = torch.tensor([[LOG(0.5)]], requires_grad=True)
    mask, zero = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1)
    out = policy_loss(LossInputs(logp, logp.detach(), zero, mask, 1.0, ref_logp_BT=torch.tensor([[LOG(0.25)]])),
                      LossConfig(kl_coef=0.1))  # fmt: skip
    out.loss.backward()
    assert out.loss.item() == pytest.approx(0.1 * (LOG(2) - 0.5))
    assert logp.grad.item() == pytest.approx(0.1 * (1 - 0.5))  # d k3 / d logp = 1 - q/p


def test_importance_is_capped_only_above() -> None:
    logp = torch.zeros(1, 4, requires_grad=True)
    rollout = -torch.tensor([[LOG(3.0), LOG(0.5), 0.0, 7.0]])
    mask = torch.tensor([[True, True, True, False]])
    out = policy_loss(
        LossInputs(logp, torch.zeros(1, 4), torch.ones(1, 1), mask, 3.0, rollout), LossConfig(tis_cap=2.0)
    )
    out.loss.backward()
    assert torch.allclose(logp.grad, -torch.tensor([[2.0, 0.5, 1.0, 0.0]]) / 3)
    assert out.maxima["mismatch"] == pytest.approx(LOG(3.0)) and out.sums["tis_capped"] == 1  # raw, before the cap
    assert out.maxima["tis_ratio"] == pytest.approx(3.0) and out.sums["tis_ratio"] == pytest.approx(3 + 0.5 + 1)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_unknown_rollout_log_probability_has_the_ratio_1(level: str, bad: float) -> None:
    def gradient(rollout: list[float]) -> tuple[torch.Tensor, dict[str, float]]:
        logp = torch.zeros(1, 3, requires_grad=True)
        mask = torch.ones(1, 3, dtype=torch.bool)
        inputs = LossInputs(logp, torch.zeros(1, 3), torch.ones(1, 1), mask, 3.0, torch.tensor([rollout]))
        out = policy_loss(inputs, LossConfig(tis_level=level))
        out.loss.backward()
        return logp.grad, out.sums | out.maxima

    (grad, numbers), (wanted, same) = gradient([-LOG(1.5), bad, 0.0]), gradient([-LOG(1.5), 0.0, 0.0])
    assert torch.equal(grad, wanted) and numbers == same and all(map(math.isfinite, numbers.values()))


def test_importance_of_whole_answers_is_the_product_over_tokens() -> None:
    logp = torch.zeros(2, 3, requires_grad=True)
    rollout = -torch.tensor([[LOG(3.0), LOG(0.5), 9.0], [LOG(2.0), LOG(2.0), LOG(0.5)]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    inputs = LossInputs(logp, torch.zeros(2, 3), torch.ones(2, 1), mask, 5.0, rollout)
    out = policy_loss(inputs, LossConfig(tis_cap=1.8, tis_level="sequence"))
    out.loss.backward()
    assert torch.allclose(logp.grad, -torch.tensor([[1.5, 1.5, 0.0], [1.8, 1.8, 1.8]]) / 5)  # 3 x 0.5, and 2 capped
    assert out.maxima["tis_ratio"] == pytest.approx(2.0) and out.sums["tis_capped"] == 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_on_policy_gradient_is_the_policy_gradient(variant: str) -> None:
    logp = OLD.clone().requires_grad_()
    out = policy_loss(LossInputs(logp, OLD, ADV, MASK, 3.0), loss_of(variant, aggregation="token"))
    out.loss.backward()
    assert torch.allclose(logp.grad, torch.where(MASK, -ADV.expand(2, 2), 0.0) / 3)
    assert out.sums["ratio"] == 3 and out.sums["clip_low"] == out.sums["clip_high"] == 0


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(VARIANTS), st.integers(0, 10**6), st.integers(1, 5))
def test_any_split_into_micro_batches_gives_the_same_loss_and_gradient(variant: str, seed: int, size: int) -> None:
    g = torch.Generator().manual_seed(seed)
    B, T = 6, 7
    lengths = torch.randint(1, T + 1, (B,), generator=g)
    mask = torch.arange(T)[None] < lengths[:, None]
    logp, old, ref, engine = (-torch.rand(B, T, generator=g, dtype=torch.float64) * 3 for _ in range(4))
    adv = torch.randn(B, 1, generator=g, dtype=torch.float64)
    config = loss_of(variant, kl_coef=0.1)
    n = batch_normaliser(config.aggregation, lengths.tolist(), T)

    def gradient(pieces: list[torch.Tensor]) -> tuple[torch.Tensor, float, dict[str, float]]:
        x = logp.clone().requires_grad_()
        outs = []
        for i in pieces:
            cut = int(lengths[i].max())
            outs.append(policy_loss(LossInputs(x[i, :cut], old[i, :cut], adv[i], mask[i, :cut], n, engine[i, :cut],
                                               ref[i, :cut]), config))  # fmt: skip
            outs[-1].loss.backward()
        return x.grad, sum(o.loss.item() for o in outs), merge_metrics(outs)

    whole, split = gradient([torch.arange(B)]), gradient(list(torch.randperm(B, generator=g).split(size)))
    assert torch.allclose(whole[0], split[0], atol=1e-12) and whole[1] == pytest.approx(split[1])
    assert whole[2] == pytest.approx(split[2])


def test_credit_may_differ_by_action_and_a_filter_weighs_it() -> None:
    """Per-action advantages and weights: the on-policy gradient of each action is its own -A w / n."""
    logp = OLD.clone().requires_grad_()
    advantage = torch.tensor([[1.0, -0.5], [2.0, 9.0]])
    weight = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    policy_loss(LossInputs(logp, OLD, advantage, MASK, 3.0, weight_BT=weight), LossConfig()).loss.backward()
    assert torch.allclose(logp.grad, torch.where(MASK, -advantage * weight, 0.0) / 3)
    whole = OLD.clone().requires_grad_()
    policy_loss(LossInputs(whole, OLD, ADV.expand(2, 2), MASK, 3.0), LossConfig()).loss.backward()
    broadcast = OLD.clone().requires_grad_()
    policy_loss(LossInputs(broadcast, OLD, ADV, MASK, 3.0), LossConfig()).loss.backward()
    assert torch.equal(whole.grad, broadcast.grad)


def test_an_exact_kl_takes_the_place_of_the_estimate() -> None:
    """KL between Gaussians of equal deviation 2: (m - q)^2 / 8, with its own gradient."""
    mean, start = torch.tensor([[1.0, 3.0]], requires_grad=True), torch.tensor([[0.0, 1.0]])
    kl = (mean - start).square() / 8
    mask, zeros = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2)
    inputs = LossInputs(zeros, zeros, zeros, mask, 2.0, ref_logp_BT=zeros - 5, kl_BT=kl)
    out = policy_loss(inputs, LossConfig(kl_coef=0.5))
    out.loss.backward()
    assert out.sums["kl"] == pytest.approx((1 + 4) / 8) and out.loss.item() == pytest.approx(0.5 * (1 + 4) / 8 / 2)
    assert torch.allclose(mean.grad, 0.5 * (mean.detach() - start) / 4 / 2)


def test_masked_rows_and_garbage_in_padding_change_nothing() -> None:
    logp = torch.tensor([[-1.0, float("nan")], [float("inf"), float("nan")]], requires_grad=True)
    mask = torch.tensor([[True, False], [False, False]])
    out = policy_loss(LossInputs(logp, logp.detach(), torch.ones(2, 1), mask, 1.0), LossConfig())
    out.loss.backward()
    assert out.loss.item() == -1.0 and torch.equal(logp.grad, torch.tensor([[-1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize(
    "kw",
    [dict(ratio_level="word"), dict(clip_form="none"), dict(clip_form="weight", dual_clip=3.0), dict(kl_estimator="k4"),
     dict(clip_low=1.5), dict(clip_high=-1.0), dict(dual_clip=1.0), dict(kl_coef=-1.0), dict(kl_coef=math.nan),
     dict(tis_cap=0.0), dict(tis_level="word"), dict(aggregation="mean")],
)  # fmt: skip
def test_bad_configs_are_refused(kw: dict) -> None:
    with pytest.raises(BadInput):
        LossConfig(**kw)


def test_the_entropy_term_is_the_mean_entropy_of_the_batch() -> None:
    """Two rows of 1 and 2 tokens, entropies 1 and (2, 3), normaliser 3: the loss falls by coef x 6 / 3."""
    mask = torch.tensor([[True, False], [True, True]])
    entropy = torch.tensor([[1.0, 99.0], [2.0, 3.0]], requires_grad=True)
    inputs = LossInputs(torch.zeros(2, 2), torch.zeros(2, 2), torch.zeros(2, 1), mask, 3.0, entropy_BT=entropy)
    loss = policy_loss(inputs, LossConfig(entropy_coef=0.5)).loss
    assert float(loss) == pytest.approx(-1.0)
    loss.backward()
    assert torch.allclose(entropy.grad, torch.tensor([[-1 / 6, 0.0], [-1 / 6, -1 / 6]]))
    assert float(policy_loss(inputs, LossConfig()).loss) == 0.0
