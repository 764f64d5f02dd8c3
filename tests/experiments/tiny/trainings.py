"""The recipes' trainings at their smallest, for the kill -9 tests of tests/rl/kills.py: each trains to its end in a folder, from
whatever is there, and returns what two equal runs must share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.backends.base import fingerprint
from agents.backends.tiny import TinyShape, build_tiny_vlm
from common.jsonl import read_jsonl
from conf.schema import AutoencoderConfig, FlowMatchingConfig, VisionWarmupConfig
from experiments.tiny.decomposer import warm_vision
from experiments.tiny.edit_pairs import EditPairs
from experiments.tiny.editor import train_autoencoder, train_flow
from experiments.tiny.editor_model import tiny_kontext

SMALL = TinyShape(vocab=300, hidden=32, layers=1, heads=2, kv_heads=1, inter=32, vision_hidden=32)


def vision(model: Path, folder: Path) -> Any:
    vlm = build_tiny_vlm(["a b"], SMALL)
    warm_vision(VisionWarmupConfig(steps=5, batch_size=4, warmup=2, checkpoint_every=2), vlm, folder, seed=3)
    return _outcome(dict(vlm.model.model.visual.named_parameters()), folder / "vision.jsonl")


def autoencoder(model: Path, folder: Path) -> Any:
    editor = tiny_kontext(["remove"], steps=2)
    train_autoencoder(AutoencoderConfig(steps=4, batch_size=2, checkpoint_every=2), editor, folder, seed=3)
    vae = editor.model.pipe.vae
    scale = [vae.config.shift_factor, vae.config.scaling_factor]
    return [*_outcome(dict(vae.named_parameters()), folder / "vae.jsonl"), scale]


def flow_matching(model: Path, folder: Path) -> Any:
    editor = tiny_kontext(["remove", "add", "the", "red"], steps=2)
    config = FlowMatchingConfig(steps=4, batch_size=2, checkpoint_every=2, validate_every=3, validation_samples=1)
    training = train_flow(config, editor, EditPairs(3), folder, seed=3)
    trained = dict(editor.trained["transformer"].named_parameters())
    return [*_outcome(trained, folder / "flow.jsonl"), fingerprint(training.average.values.items()).checksum]


def _outcome(named: Mapping[str, Tensor], journal: Path) -> list[Any]:
    rows = [{k: v for k, v in row.items() if not k.endswith("_per_s")} for row in read_jsonl(journal)]
    return [fingerprint(named.items()).checksum, rows]


CASES = {"vision": vision, "autoencoder": autoencoder, "flow_matching": flow_matching}

__all__ = ["CASES"]
