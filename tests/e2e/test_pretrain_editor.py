"""The tiny editors' training as a command: killed and resumed it ends with the same weights, in a folder that loads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from diffusers import FluxKontextPipeline

from common.jsonl import read_jsonl
from editors.loading import load_pipeline
from tests.e2e.processes import ASSETS, command

PRETRAIN = "experiments.pretrain"


def arguments(family: str) -> list[str]:
    small = {
        "vae": {"steps": 3, "batch_size": 2, "checkpoint_every": 1},
        "flow": {"steps": 4, "batch_size": 2, "checkpoint_every": 1, "test_samples": 4},
    }
    return [
        f"editor={family}",
        f"paths.assets={ASSETS}",
        "out=kept",
        *(f"{part}.{key}={value}" for part, values in small.items() for key, value in values.items()),
    ]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*.safetensors"))
    }


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_same_editor(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    torn.mkdir()
    ended = command(PRETRAIN, arguments("flux_kontext"), whole)
    assert ended.code == 0 and "held-out single edits" in ended.text, ended.text
    for kill_at in (5, 14):
        assert command(PRETRAIN, arguments("flux_kontext"), torn, kill_at=kill_at).code == -9
    assert command(PRETRAIN, arguments("flux_kontext"), torn).code == 0
    assert digests(torn / "kept") == digests(whole / "kept") and len(digests(whole / "kept")) == 4
    work = whole / "outputs" / "pretrain-flux_kontext"
    steps = read_jsonl(work / "flow.jsonl")
    assert [row["step"] for row in steps] == [1, 2, 3, 4] and all(row["flow/meant"] > 0 for row in steps)
    assert "held-out single edits" in (work / "report.html").read_text()
    card = json.loads((whole / "kept" / "card.json").read_text())
    assert card["steps"] == 4 and card["sandbox_test_single_edits"]["all"]["n"] == 4
    assert FluxKontextPipeline.from_pretrained(whole / "kept").transformer.config.num_single_layers == 5


def test_qwen_shares_the_decomposers_weights(tmp_path: Path) -> None:
    ended = command(PRETRAIN, [*arguments("qwen"), "decomposer=tiny_sft"], tmp_path)
    assert ended.code == 0, ended.text
    link = tmp_path / "kept" / "text_encoder" / "model.safetensors"
    assert link.is_symlink() and link.resolve() == ASSETS / "tiny" / "decomposer" / "model.safetensors"
    assert load_pipeline(tmp_path / "kept", "qwen").transformer.config.num_layers == 5


@pytest.mark.parametrize("name", ["sandbox", "gpt_image"])
def test_an_editor_without_a_tiny_model_is_refused(name: str, tmp_path: Path) -> None:
    ended = command(PRETRAIN, [f"editor={name}"], tmp_path)
    assert ended.code == 2 and "has no tiny model to train" in ended.text
