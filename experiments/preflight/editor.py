"""What an editor needs before anything starts, as its class declares it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from editors.costs import BYTES
from experiments.preflight.machine import ThisMachine


def missing_editor(editor: Any) -> Iterable[str]:
    """Files, settings that contradict the checkpoint, and keys."""
    return editor.missing(ThisMachine())


def missing_editor_memory(config: Any, decomposer: bool = True) -> Iterable[str]:
    """Memory for the editor, and for the decomposer beside it where that is used; `config` is a run's or that of
    `experiments.edit`."""
    beside = decomposer_bytes(config.decomposer, config.sequencer) if decomposer else 0.0
    return config.editor.missing_memory(ThisMachine(), beside, config.engine.device)


def decomposer_bytes(decomposer: Any, sequencer: Any) -> float:
    """The decomposer's weights, twice where the sequencer has its backbone from before RL."""
    return weights_bytes(decomposer) * (1 + sequencer.own_backbone)


def weights_bytes(model: Any) -> float:
    """Of a language model's part; 0 where it does not say how large it is."""
    return float(model.parameters * BYTES.get(model.dtype, 4))


def expected_edits(config: Any) -> int:
    """Calls of the editor in a run's three arms, at most."""
    beside = config.benchmark.complex_split()
    parts = [
        (config.benchmark, config.scale.test_samples),
        *([(beside, config.scale.complex_edited)] if beside else []),
    ]
    execution = config.execution
    return 3 * sum(
        samples * {"multi": benchmark.max_edits, "loop": execution.max_calls}.get(execution.name, 1)
        for benchmark, samples in parts
    )


def missing_cache_room(config: Any) -> Iterable[str]:
    """Disk for what a run's three arms ask of an editor that keeps its replies."""
    return config.editor.missing_room(ThisMachine(), expected_edits(config))


__all__ = [
    "decomposer_bytes",
    "expected_edits",
    "missing_cache_room",
    "missing_editor",
    "missing_editor_memory",
    "weights_bytes",
]
