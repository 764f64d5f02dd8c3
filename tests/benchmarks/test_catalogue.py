"""Every benchmark by name: a whole card, and a config that says the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from benchmarks.catalogue import NAMES, card, load
from benchmarks.options import BenchmarkOptions
from common.errors import BadInput

CONF = Path(__file__).parent.parent.parent / "conf" / "benchmark"


@pytest.mark.parametrize("name", NAMES)
def test_a_card_leaves_nothing_open(name: str) -> None:
    its_card = card(name)
    assert its_card.name == name and its_card.mean in ("micro", "macro")
    assert all((its_card.title, its_card.licence, its_card.size, its_card.sampling, its_card.get, its_card.rubric))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_asks_for_what_the_card_says(name: str) -> None:
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    its_card = card(name)
    assert config["name"] == name and config.get("hub", "") in ("", its_card.source)
    assert not config.get("split") or config["split"] == its_card.split
    own = {"_target_", "name", "max_edits", "train_share"}
    assert set(config) - own <= {f.name for f in dataclasses.fields(BenchmarkOptions)}
    if "samples" in config:
        assert str(config["samples"]) in its_card.sampling and f"seed {config['seed']}" in its_card.sampling


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(BadInput, match="benchmark=psrr is unknown; choose one of psr, "):
        load("psrr")
    with pytest.raises(BadInput, match="choose one of"):
        card("psrr")
