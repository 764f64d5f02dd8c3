"""The flow core: steps against hand-worked numbers and closed forms, batches, chains, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from agents.editing import EditingAgent, call_seed
from common.errors import BadInput, RunFailed
from editors.conditioning import Conditioning, TextEmbeddings
from editors.flow import sample
from editors.flow_editor import FlowEditor, batches
from editors.geometry import Fit, fit_to_grid
from editors.settings import FlowSettings
from editors.steps import mean_kl, ode_step, sde_step
from tests.editor_pipelines import noise_picture, shift_between, soft_picture


class IdentityModel:
    """A flow in pixel space whose velocity leads to the source: what comes out shows what the editor does around its model."""

    def __init__(self, area: int = 64 * 64, **settings) -> None:
        self.settings = FlowSettings(steps=4, area=area, **settings)
        self.prepared: list[list[tuple[int, int]]] = []  # sizes, batch by batch
        self.released = 0
        self.tiled = False
        self.broken_at = -1.0

    def fit(self, image: Image.Image) -> tuple[Image.Image, Fit]:
        return fit_to_grid(image, self.settings.area, 8)

    def prepare(self, images, instructions) -> Conditioning:
        self.prepared.append([image.size for image in images])
        source = torch.stack([torch.from_numpy(np.array(image)).float().flatten(0, 1) for image in images])
        return Conditioning(images[0].size, source, TextEmbeddings(torch.zeros(len(images), 1, 1)))

    def text_length(self, instruction) -> int:
        return 0

    def unread(self, instructions) -> list[str]:
        return [""] * len(instructions)

    def noise(self, prepared, seeds) -> Tensor:
        shape = prepared.source.shape[1:]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def sigmas(self, prepared, steps) -> Tensor:
        return torch.linspace(1, 0, steps + 1)

    def velocity(self, prepared, latents, sigma) -> Tensor:
        if float(sigma) == self.broken_at:
            return torch.full_like(latents, math.nan)
        return (latents - prepared.source) / sigma

    def decode(self, prepared, latents) -> list[Image.Image]:
        width, height = prepared.grid
        pixels = latents.reshape(-1, height, width, 3).round().clamp(0, 255).byte().numpy()
        return [Image.fromarray(picture) for picture in pixels]

    def reset(self) -> None: ...

    def release(self) -> None:
        self.released += 1


# ------------------------------------------------------------------------------------------------------------ steps
def test_an_euler_step_stays_on_the_line_between_noise_and_picture():
    clean, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    for sigma, after in ((1.0, 0.75), (0.75, 0.1), (0.1, 0.0)):
        reached = ode_step((1 - sigma) * clean + sigma * noise, noise - clean, sigma, after)
        torch.testing.assert_close(reached, (1 - after) * clean + after * noise)


def test_a_noisy_step_by_hand():
    """One number, worked out from the published formulas with a calculator's means."""
    x, v, t, after, a, noise = 2.0, 1.0, 0.8, 0.6, 0.7, 0.5
    diffusion = a * math.sqrt(t / (1 - t))  # 1.4
    drift = diffusion**2 / (2 * t)  # 1.225
    mean = x * (1 + drift * -0.2) + v * (1 + drift * 0.2) * -0.2
    std = diffusion * math.sqrt(0.2)
    log_prob = -(noise**2) / 2 - math.log(std) - 0.5 * math.log(2 * math.pi)
    step = sde_step(_one(x), _one(v), t, after, a, noise=_one(noise))
    assert step.mean.item() == pytest.approx(mean, abs=1e-6) == pytest.approx(1.261, abs=1e-6)
    assert step.latents.item() == pytest.approx(mean + std * noise, abs=1e-6)
    assert step.std.item() == pytest.approx(std, abs=1e-6)
    assert step.diffusion.item() == pytest.approx(1.4, abs=1e-6)
    assert step.log_prob.item() == pytest.approx(log_prob, abs=1e-6)


def test_a_cps_step_by_hand():
    x, v, t, after, a, noise = 2.0, 1.0, 0.8, 0.6, 0.5, -1.0
    std = after * math.sin(a * math.pi / 2)
    mean = (1 - after) * (x - t * v) + math.sqrt(after**2 - std**2) * (x + (1 - t) * v)
    step = sde_step(_one(x), _one(v), t, after, a, noise=_one(noise), kind="cps")
    assert step.mean.item() == pytest.approx(mean, abs=1e-6)
    assert step.latents.item() == pytest.approx(mean - std, abs=1e-6)
    assert step.log_prob.item() == pytest.approx(-(std**2), abs=1e-6)


def test_at_the_start_the_next_sigma_stands_in_the_denominator():
    step = sde_step(_one(1.0), _one(0.5), 1.0, 0.9, 0.7, noise=_one(0.0))
    assert step.diffusion.item() == pytest.approx(0.7 * math.sqrt(1 / 0.1), rel=1e-5)
    assert step.latents.isfinite().all()


@pytest.mark.parametrize("kind", ["sde", "cps"])
def test_without_noise_it_is_the_euler_step_to_the_last_bit(kind):
    x, v = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    step = sde_step(x, v, 0.7, 0.4, 0.0, noise=torch.randn(2, 3, 4), kind=kind)
    assert torch.equal(step.latents, ode_step(x, v, 0.7, 0.4))
    assert torch.equal(step.log_prob, torch.zeros(2))


@pytest.mark.parametrize("kind", ["sde", "cps"])
def test_the_density_of_a_stored_step_is_the_one_it_was_drawn_with(kind):
    x, v, noise = torch.randn(3, 5, 2, 4)
    drawn = sde_step(x, v, 0.7, 0.5, 0.6, noise=noise, kind=kind)
    stored = sde_step(x, v, 0.7, 0.5, 0.6, sample=drawn.latents, kind=kind)
    assert torch.equal(stored.log_prob, drawn.log_prob) and torch.equal(stored.latents, drawn.latents)
    if kind == "sde":
        normal = torch.distributions.Normal(drawn.mean, drawn.std)
        torch.testing.assert_close(drawn.log_prob, normal.log_prob(drawn.latents).flatten(1).mean(1))


def test_the_gradient_pulls_the_mean_towards_the_sample():
    x, v, noise = torch.randn(3, 1, 2, 4)
    v.requires_grad_()
    step = sde_step(x, v, 0.7, 0.5, 0.6, noise=noise)
    assert not step.latents.requires_grad
    step.log_prob.sum().backward()
    closer = sde_step(x, (v + 0.1 * v.grad).detach(), 0.7, 0.5, 0.6, sample=step.latents)
    assert closer.log_prob.item() > step.log_prob.item()


def test_rows_may_stand_at_different_sigmas():
    x, v, noise = torch.randn(3, 2, 3, 4)
    sigma, after = torch.tensor([0.9, 0.4]), torch.tensor([0.7, 0.3])
    step = sde_step(x, v, sigma, after, 0.5, noise=noise)
    for b in range(2):
        alone = sde_step(x[b : b + 1], v[b : b + 1], float(sigma[b]), float(after[b]), 0.5, noise=noise[b : b + 1])
        torch.testing.assert_close(step.latents[b], alone.latents[0])
        torch.testing.assert_close(step.log_prob[b], alone.log_prob[0])


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_noise_on_the_way_does_not_change_where_the_crowd_arrives(level):
    """Data N(m, c^2) has a velocity in closed form; walking with it must give N(m, c^2), with noise as without."""
    m, c, rows, steps = 0.5, 0.3, 20_000, 200
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 1, 1, generator=generator)
    sigmas = torch.linspace(1, 0, steps + 1)
    for t, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        variance = (1 - t) ** 2 * c**2 + t**2
        apart = (x - (1 - t) * m) / variance
        v = t * apart - (m + (1 - t) * c**2 * apart)
        x = sde_step(x, v, t, after, level, noise=torch.randn(rows, 1, 1, generator=generator)).latents
    assert x.mean().item() == pytest.approx(m, abs=0.01)
    assert x.std().item() == pytest.approx(c, rel=0.05)


def test_cps_keeps_the_share_of_noise_even_in_one_long_step():
    """Where the data is one point the velocity knows it, and (1 - t) m + t eps must stay of that form."""
    m, t, after = 0.5, 0.9, 0.3
    eps, noise = torch.randn(2, 20_000, 1, 1, generator=torch.Generator().manual_seed(0))
    x = sde_step((1 - t) * m + t * eps, eps - m, t, after, 0.6, noise=noise, kind="cps").latents
    assert x.mean().item() == pytest.approx((1 - after) * m, abs=0.01)
    assert x.std().item() == pytest.approx(after, rel=0.02)


def test_kl_of_two_means():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    exact = torch.distributions.kl_divergence(torch.distributions.Normal(a, 0.3), torch.distributions.Normal(b, 0.3))
    torch.testing.assert_close(mean_kl(a, b, 0.3), exact.flatten(1).mean(1))
    assert torch.equal(mean_kl(a, a, 0.3), torch.zeros(2))


def test_bf16_latents_are_stepped_in_float32():
    x, v = torch.randn(2, 1, 3, 4, dtype=torch.bfloat16)
    assert ode_step(x, v, 0.9, 0.8).dtype == torch.float32
    assert sde_step(x, v, 0.9, 0.8, 0.5, noise=torch.randn(1, 3, 4)).log_prob.dtype == torch.float32


def test_steps_that_make_no_sense_are_refused():
    x = v = torch.zeros(1, 1, 1)
    with pytest.raises(BadInput, match="noise level of -0.1"):
        sde_step(x, v, 0.5, 0.4, -0.1, noise=x)
    with pytest.raises(BadInput, match="no density"):
        sde_step(x, v, 0.5, 0.4, 0.0, sample=x)
    with pytest.raises(BadInput, match="either noise"):
        sde_step(x, v, 0.5, 0.4, 0.5)
    with pytest.raises(BadInput, match="unknown kind"):
        sde_step(x, v, 0.5, 0.4, 0.5, noise=x, kind="heun")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- batches
def test_settings_that_would_be_ignored_are_refused():
    with pytest.raises(BadInput, match="negative prompt"):
        FlowSettings(steps=4, area=4096, true_cfg=4.0, negative_prompt=None)
    with pytest.raises(BadInput, match="negative prompt"):
        FlowSettings(steps=4, area=4096, true_cfg=4.0, negative_prompt="")
    with pytest.raises(BadInput, match="would be ignored"):
        FlowSettings(steps=4, area=4096, true_cfg=0.5)
    with pytest.raises(BadInput, match="at least 1"):
        FlowSettings(steps=0, area=4096)
    assert not FlowSettings(steps=4, area=4096).guided and FlowSettings(steps=4, area=4096, true_cfg=2.0).guided


def test_texts_of_different_lengths_share_a_batch():
    rows = [torch.randn(length, 3) for length in (2, 5, 3)]
    text = TextEmbeddings.pad(rows)
    assert text.embeds.shape == (3, 5, 3) and text.mask is not None
    assert text.mask.sum(1).tolist() == [2, 5, 3]
    picked = text.select([2, 0, 2])
    assert picked.embeds.shape == (3, 3, 3) and picked.mask is not None
    assert picked.mask.sum(1).tolist() == [3, 2, 3]
    torch.testing.assert_close(picked.embeds[0], rows[2])
    assert text.select([1]).mask is None  # nothing left to hide
    assert TextEmbeddings.pad([rows[0], rows[0]]).mask is None


def test_variants_share_what_was_encoded():
    prepared = Conditioning((8, 8), torch.randn(2, 3, 4), TextEmbeddings.pad([torch.randn(n, 3) for n in (2, 4)]))
    group = prepared.repeat(3)
    assert len(group) == 6
    assert torch.equal(group.source[:3], prepared.source[:1].expand(3, 3, 4))
    assert torch.equal(group.text.embeds[3:], prepared.text.embeds[1:].expand(3, 4, 3))


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=20), st.integers(1, 5))
def test_batches_hold_one_size_and_every_row_once(sizes, batch_size):
    rows = batches(sizes, batch_size)
    assert sorted(b for batch in rows for b in batch) == list(range(len(sizes)))
    assert all(len(batch) <= batch_size and len({sizes[b] for b in batch}) == 1 for batch in rows)


# ------------------------------------------------------------------------------------------------------------- walk
def test_the_walk_ends_where_the_velocity_leads():
    model = IdentityModel()
    prepared = model.prepare([noise_picture((64, 64))], ["keep"])
    seen = []
    end = sample(model, prepared, model.noise(prepared, [0]), model.settings, lambda done, x: seen.append(done))
    torch.testing.assert_close(end, prepared.source, atol=1e-4, rtol=0)
    assert seen == [1, 2, 3, 4] and not end.requires_grad


def test_a_walk_that_breaks_names_its_step():
    model = IdentityModel()
    model.broken_at = 0.5
    prepared = model.prepare([noise_picture((64, 64))], ["keep"])
    with pytest.raises(RunFailed, match=r"step 3 of 4 \(sigma 0.500\) are NaN .* rows \[0\]"):
        sample(model, prepared, model.noise(prepared, [0]), model.settings)
    with pytest.raises(RunFailed, match="step 3"):
        FlowEditor(model).edit([noise_picture((64, 64))], ["keep"], [0])
    assert model.released == 1  # also after a failure: a GPU is not left full


# ----------------------------------------------------------------------------------------------------------- editor
SIZES = [(64, 64), (65, 63), (127, 201), (300, 200), (200, 300), (512, 512), (720, 1280), (999, 333), (4096, 300)]


@pytest.mark.parametrize("area", [64 * 64, 512 * 512])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_identity_edit_moves_and_crops_nothing(size, area):
    picture = soft_picture(size)
    (edited,) = FlowEditor(IdentityModel(area)).edit([picture], ["keep"], [0])
    assert edited.size == size and edited.mode == "RGB"
    assert shift_between(picture, edited) < 0.5
    assert np.abs(np.asarray(edited, float) - np.asarray(picture, float)).mean() < 4  # the edges are there too


def test_the_measure_of_a_shift_sees_one():
    picture = soft_picture((200, 150))
    assert shift_between(picture, picture) < 0.01
    moved = Image.fromarray(np.roll(np.asarray(picture), (2, -3), (0, 1)))
    assert shift_between(picture, moved) == pytest.approx(math.hypot(2, 3), abs=0.3)


def test_sizes_are_grouped_never_stretched_and_order_is_kept():
    sizes = [(64, 64), (100, 150), (64, 64), (300, 64), (64, 64), (100, 150)]
    pictures = [soft_picture(size, seed) for seed, size in enumerate(sizes)]
    model, told = IdentityModel(batch_size=2), []
    editor = FlowEditor(model, on_progress=lambda done, total: told.append((done, total)))
    edited = editor.edit(pictures, ["keep"] * 6, range(6))
    assert [image.size for image in edited] == sizes
    for before, after in zip(pictures, edited, strict=True):
        assert np.abs(np.asarray(before, float) - np.asarray(after, float)).mean() < 4
    assert [len(batch) for batch in model.prepared] == [2, 1, 2, 1]
    assert all(len(set(batch)) == 1 for batch in model.prepared)
    assert told == [(2, 6), (3, 6), (5, 6), (6, 6)]
    assert FlowEditor(model).edit([], [], []) == []


def test_inputs_are_brought_to_rgb_and_left_alone():
    picture = soft_picture((64, 64)).convert("RGBA")
    before = picture.tobytes()
    (edited,) = FlowEditor(IdentityModel()).edit([picture], ["keep"], [0])
    assert edited.mode == "RGB" and picture.tobytes() == before
    with pytest.raises(BadInput, match="one instruction and one seed per picture"):
        FlowEditor(IdentityModel()).edit([picture], ["keep"], [])


def test_a_chain_is_resized_once_and_every_call_is_given_back():
    """Ten identity calls through a coarse grid: the picture stays at the grid, so the tenth equals the first."""
    picture = soft_picture((333, 250))
    model = IdentityModel()
    (chain, short) = FlowEditor(model).edit_chain(
        [picture, soft_picture((64, 64), 1)], [["keep"] * 10, ["keep"]], [list(range(10)), [3]]
    )
    assert [len(chain), len(short)] == [10, 1]
    assert all(image.size == picture.size for image in chain)
    assert chain[9].tobytes() == chain[0].tobytes()
    assert len({batch[0] for batch in model.prepared[2:]}) == 1  # one grid throughout
    (once,) = FlowEditor(model).edit([picture], ["keep"], [0])
    assert once.tobytes() == chain[0].tobytes()
    with pytest.raises(BadInput, match="picture 0 has 2 instructions and 1 seeds"):
        FlowEditor(model).edit_chain([picture], [["a", "b"]], [[0]])


def test_multi_execution_keeps_the_grid_of_the_first_call():
    """The editing agent through a coarse grid: ten calls lose no more than one."""
    picture, agent = soft_picture((333, 250)), EditingAgent(FlowEditor(IdentityModel()), "multi")
    (ten, one) = agent.run(["a", "b"], [picture, picture], [["keep"] * 10, ["keep"]])
    assert len(ten.pictures) == 10 and not ten.failure
    assert ten.pictures[9].tobytes() == one.pictures[0].tobytes()
    assert [call.seed for call in ten.calls] == [call_seed(0, "a", k) for k in range(10)]


def test_coming_back_in_meets_the_same_grid():
    """What the editing agent does between calls: a picture of the original size goes in again."""
    for size in SIZES:
        model = IdentityModel()
        first, fit = model.fit(soft_picture(size))
        (edited,) = FlowEditor(model).edit([soft_picture(size)], ["keep"], [0])
        assert model.fit(edited)[1] == fit and first.size == fit.grid


def test_tiles_are_refused_where_a_reward_looks():
    model = IdentityModel()
    model.tiled = True
    FlowEditor(model)
    with pytest.raises(BadInput, match="tiling"):
        FlowEditor(model, reward_path=True)


def _one(value: float) -> Tensor:
    return torch.tensor([[[value]]])


@pytest.mark.parametrize(("kind", "steps", "spread"), [("sde", 200, 1.0), ("cps", 10, 0.72), ("cps", 200, 0.78)])
def test_the_spread_of_what_is_sampled_from_a_gaussian(kind, steps, spread):
    """With the exact velocity of x0 ~ N(0, 1): what the docstring of `sde_step` says of cps."""
    torch.manual_seed(0)
    x, sigmas = torch.randn(20_000, 1, 1), torch.linspace(1, 0, steps + 1)
    for t, after in zip(sigmas[:-1], sigmas[1:], strict=True):
        variance = (1 - t) ** 2 + t**2
        velocity = (t - (1 - t)) / variance * x  # E[eps - x0 | x]
        if after == 0:
            x = ode_step(x, velocity, t, after)
        else:
            x = sde_step(x, velocity, t, after, 0.8, noise=torch.randn_like(x), kind=kind).latents
    assert float(x.std()) == pytest.approx(spread, abs=0.02)
