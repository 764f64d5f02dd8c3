"""The numbers of Flow-GRPO and DiffusionNFT: published variants are settings, and what cannot work is refused by its key."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from common.errors import BadInput
from rl.flow_config import FlowGRPOConfig, FlowTrainingConfig, NFTConfig
from rl.window import noisy_steps, trained_places

ALGO = Path(__file__).parents[2] / "conf" / "algo"
GRPO_VARIANTS = ("flow_grpo", "flow_grpo_fast", "flow_grpo_cps", "flow_grpo_guard", "mix_grpo", "dance_grpo")


def settings_of(variant: str) -> dict[str, Any]:
    values = OmegaConf.create(yaml.safe_load((ALGO / f"{variant}.yaml").read_text()))
    cls = NFTConfig if variant == "nft" else FlowGRPOConfig
    known = {f.name for f in fields(cls)}
    typed = OmegaConf.merge(OmegaConf.structured(cls), {k: v for k, v in values.items() if k in known})
    return OmegaConf.to_object(typed)  # type: ignore[return-value]


@pytest.mark.parametrize("variant", [*GRPO_VARIANTS, "nft"])
def test_variants_are_settings_of_existing_keys(variant: str) -> None:
    config: Any = settings_of(variant)
    assert isinstance(config, FlowTrainingConfig) and config.name == variant
    assert config.group_size <= 24 and (ALGO / f"{variant}.yaml").read_text().startswith("# ")
    if isinstance(config, FlowGRPOConfig):
        assert config.loss().clip_low == config.clip_low <= 1e-4


@pytest.mark.parametrize("cls", [FlowGRPOConfig, NFTConfig])
def test_a_configuration_file_knows_all_types(cls: type) -> None:
    assert OmegaConf.to_object(OmegaConf.structured(cls)) == cls()


@pytest.mark.parametrize(
    ("cls", "key", "value", "said"),
    [
        (FlowGRPOConfig, "group_size", 1, "give 2 or more"),
        (NFTConfig, "group_size", 1, "give 2 or more"),
        (FlowGRPOConfig, "noise_kind", "heun", "must be one of sde, dance, cps"),
        (FlowGRPOConfig, "noise_level", 0.0, "give above 0"),
        (FlowGRPOConfig, "window", "jumping", "must be one of"),
        (FlowGRPOConfig, "window_size", 6, "do not fit the first 5 of sampling_steps=6"),
        (FlowGRPOConfig, "window_first", 5, "do not fit"),
        (FlowGRPOConfig, "advantage_scale", "batches", "must be one of group, batch, prompt, none"),
        (FlowGRPOConfig, "reward_weights", {"red": float("nan")}, "algo.reward_weights.red"),
        (NFTConfig, "trained_times", 7, "more than sampling_steps=6"),
        (NFTConfig, "old_decay", "never", "must be one of ramp, late_ramp, none"),
    ],
)
def test_nonsense_is_refused_by_its_key(cls: type, key: str, value: object, said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        cls(**{key: value})
    assert "algo." in str(error.value) and key in str(error.value)


def test_cps_has_no_noise_level_above_one() -> None:
    with pytest.raises(BadInput, match="at most 1"):
        FlowGRPOConfig(noise_kind="cps", noise_level=1.2)


def test_what_may_change_on_resumption_is_no_identity() -> None:
    config = FlowGRPOConfig()
    free = {"steps": 7, "micro_batch_size": 1, "rollout_batch_size": 2, "gradient_checkpointing": True}
    assert replace(config, **free).identity() == config.identity()
    assert replace(config, watch=replace(config.watch, window=9)).identity() == config.identity()
    for change in (
        {"lr": 1e-3},
        {"group_size": 4},
        {"noise_level": 0.4},
        {"window_size": 2},
        {"reward_weights": {"a": 1.0}},
    ):
        assert replace(config, **change).identity() != config.identity()  # type: ignore[arg-type]
    assert asdict(config)["ema"]["decay"] == 0


# -------------------------------------------------------------------------------------------------------------- windows
def windows(config: FlowGRPOConfig, steps: int = 400) -> list[range]:
    return [noisy_steps(config, k, seed=0) for k in range(steps)]


def test_without_a_window_every_step_but_the_last_is_noisy() -> None:
    assert windows(FlowGRPOConfig(sampling_steps=6), 2) == [range(5)] * 2


def test_a_random_window_lies_in_the_first_half_and_at_every_place_of_it() -> None:
    config = FlowGRPOConfig(sampling_steps=10, window="random", window_size=3)
    seen = windows(config)
    assert {w.start for w in seen} == {0, 1, 2} and all(len(w) == 3 and w.stop <= 5 for w in seen)
    assert seen == windows(config) and seen != [noisy_steps(config, k, seed=1) for k in range(400)]


def test_a_random_window_that_does_not_fit_its_share_starts_at_the_first_step() -> None:
    config = FlowGRPOConfig(sampling_steps=4, window="random", window_size=3, window_range=0.5)
    assert set(windows(config)) == {range(3)}


def test_a_sliding_window_moves_on_and_comes_back() -> None:
    config = FlowGRPOConfig(sampling_steps=8, window="sliding", window_size=3, window_stride=2, window_every=10)
    starts = [w.start for w in windows(config, 41)]
    assert starts == [0] * 10 + [2] * 10 + [4] * 10 + [0] * 10 + [2]
    assert all(w.stop <= 7 for w in windows(config))


def test_a_share_of_the_noisy_steps_is_trained() -> None:
    config = FlowGRPOConfig(trained_share=0.6)
    chosen = [trained_places(config, 10, k, seed=0) for k in range(50)]
    assert all(len(c) == 6 and c == sorted(set(c)) and c[0] >= 0 and c[-1] < 10 for c in chosen)
    assert {k for c in chosen for k in c} == set(range(10)) and len({tuple(c) for c in chosen}) > 10
    assert trained_places(FlowGRPOConfig(), 4, 3, 0) == [0, 1, 2, 3]
    assert len(trained_places(FlowGRPOConfig(trained_share=0.01), 4, 3, 0)) == 1
