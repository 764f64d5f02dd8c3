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
    found = card(name)
    assert found.name == name and found.mean in ("micro", "macro")
    assert all((found.title, found.licence, found.size, found.sampling, found.get, found.rubric))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_asks_for_what_the_card_says(name: str) -> None:
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    found = card(name)
    assert config["name"] == name and config.get("hub", "") in ("", found.source)
    assert not config.get("split") or config["split"] == found.split
    assert set(config) - {"name", "max_edits", "train_share"} <= {f.name for f in dataclasses.fields(BenchmarkOptions)}
    if "samples" in config:
        assert str(config["samples"]) in found.sampling and f"seed {config['seed']}" in found.sampling


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(BadInput, match="benchmark=psrr is unknown; choose one of psr, "):
        load("psrr")
    with pytest.raises(BadInput, match="choose one of"):
        card("psrr")
