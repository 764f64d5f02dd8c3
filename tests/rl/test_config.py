"""The numbers of a training: one default each, types that a configuration file knows, and nonsense refused by its key."""

import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from omegaconf import OmegaConf

from common.errors import BadInput
from rl.config import GRPOConfig, SFTConfig
from tests.rl.runs import VARIANTS, settings_of


def test_it_is_light() -> None:
    code = "import sys, rl.config, rl.parts, rl.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("cls", [GRPOConfig, SFTConfig])
def test_a_configuration_file_knows_all_types(cls: type) -> None:
    assert OmegaConf.to_object(OmegaConf.structured(cls)) == cls()


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_settings_of_existing_keys(variant: str) -> None:
    assert GRPOConfig(**settings_of(variant)).name == variant


def test_what_may_change_on_resumption_is_no_identity() -> None:
    config = GRPOConfig()
    assert replace(config, steps=7, micro_batch_size=1, checkpoint_every=9).identity() == config.identity()
    for change in ({"lr": 1e-3}, {"group_size": 4}, {"clip_high": 0.4}, {"advantage_scale": "none"}):
        assert replace(config, **change).identity() != config.identity()
    falling = replace(config, decay_share=0.5)
    assert replace(falling, steps=7).identity() != falling.identity()  # another schedule


def test_supervised_training_passes_no_more_sequences_than_memory_allows() -> None:
    assert GRPOConfig(micro_batch_size=5).supervised().micro_batch_size == 5
    assert GRPOConfig(micro_batch_size=500).supervised() == SFTConfig()


@pytest.mark.parametrize(
    ("key", "value"),
    [("algo.steps", 0), ("algo.group_size", 1), ("algo.clip_low", 2.0), ("algo.ratio_level", "word"),
     ("algo.advantage_clip", 0.0), ("algo.max_offpolicy_steps", -1), ("algo.optimizer", "sgd")],
)  # fmt: skip
def test_nonsense_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(BadInput, match=key):
        GRPOConfig(**{**asdict(GRPOConfig()), key.removeprefix("algo."): value})
