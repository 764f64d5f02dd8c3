"""What is checked before a team edits people's own pictures: settings, this machine, and whether the models know such pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common.errors import MissingFile
from experiments.preflight.command_limits import check_edit
from experiments.preflight.editor import decomposer_bytes, missing_editor, weights_bytes
from experiments.preflight.machine import ThisMachine, missing_of, one_process
from experiments.preflight.unlike_sandbox import objections

if TYPE_CHECKING:
    from PIL import Image

    from conf.schema import TeamUse


def check_settings(config: TeamUse, command: str, together: int = 1) -> None:
    """`together`: pictures that are edited at a time. Raises BadInput for what cannot work on any picture."""
    check_edit(config, together)
    one_process(config.engine, command)


def check_machine(config: TeamUse, decomposers: Sequence[Any], start: Any) -> None:
    """Raises MissingFile naming all that this machine lacks: weights, keys, memory. `decomposers`: all that are loaded at a time,
    each with its sequencer, which may use the backbone of the one before RL, `start`."""
    writer, judge = getattr(config, "intent", None), getattr(config, "judge", None)
    beside = sum(decomposer_bytes(one, config.sequencer) for one in decomposers)
    if writer is not None:
        beside += weights_bytes(writer)
    lacking = [
        *missing_of(*decomposers, *([start] if decomposers and config.sequencer.own_backbone else [])),
        *missing_editor(config.editor),
        *missing_of(*(part for part in (judge, writer) if part is not None)),
        *config.editor.missing_memory(ThisMachine(), beside, config.engine.device),
    ]
    if lacking:
        raise MissingFile("; ".join(dict.fromkeys(lacking)))


def unlike(
    config: TeamUse, decomposer: Any, pictures: Sequence[tuple[str, Image.Image]], texts: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """A sentence for each (name, picture) and (name, text) that is unlike the sandbox, where the editor or this decomposer knows
    nothing else."""
    return objections(replace(config, decomposer=decomposer), pictures, texts, config.unlike)


__all__ = ["check_machine", "check_settings", "unlike"]
