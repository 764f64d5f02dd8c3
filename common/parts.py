"""What a part (an editor, a judge, a reward, …) may declare about itself, so that no other place knows it by name.

A part's class is named by `_target_` in the yaml of its group, and its constructor's parameters are its options. It may
inherit from `Part`, which holds the default of every declaration, or define some of them alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

DEFINES = "defines a result"  # key of a field's metadata


def incidental(default: Any = ...) -> Any:
    """A dataclass field that cannot change a result (where files lie, how fast a service is asked, how a run is watched).
    Runs that differ only in such fields are the same run. Without a default the field must be given."""
    metadata = {DEFINES: False}
    if default is ...:
        return field(metadata=metadata)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    if callable(default):  # a class, or a function without arguments
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


CHECKPOINT = tuple(  # every file of a model's folder that a loader reads
    f"**/*.{ending}" for ending in ("safetensors", "bin", "json", "jinja", "txt", "model")
)


@dataclass(frozen=True)
class Content:
    """Files whose content defines a result, wherever they lie: the matching ones in `folder` (or that file), and those of
    `also`, which may lie elsewhere. A Hub id stands for its folder in the local Hub cache. Where there is nothing of that name,
    the name counts, and so it does where the files may be `fetched` from the Hub after the run was named."""

    folder: str | Path
    patterns: tuple[str, ...] = ()
    also: tuple[Path, ...] = ()
    fetched: bool = False


class Machine(Protocol):
    """What a part may ask about this machine when it says what is missing. Sizes are bytes."""

    def has_package(self, name: str) -> bool: ...

    def has_key(self, name: str) -> bool: ...

    def gpu_memories(self) -> list[int]: ...

    def free_gpu_memories(self, every: bool) -> list[int]: ...

    def free_memory(self) -> int: ...

    def free_disk(self, place: str | Path) -> tuple[Path, int]: ...


class Part:
    """The declarations and their defaults. `build(tools)` is optional: without it the object itself is the part."""

    # a benchmark
    text_only = False  # its samples have no pictures: decompositions are scored and nothing is edited
    max_edits = 5  # of a sample, at most
    trainable = False  # it has the gold decompositions that a training needs: `pool` and `held_out`

    def complex_split(self) -> Any | None:
        """Of a benchmark: the part that stands for its complex requests, which a run evaluates beside the others; None without."""
        return None

    # an editor
    has_pipeline = False  # a pipeline of diffusers, whose memory and time can be planned
    # of its pictures, in words for tables; an editor with any is not trained, and gives no rewards
    approximations: tuple[str, ...] = ()
    # a judge
    exact = False  # it measures against the gold edits and asks nobody
    verdicts = True  # False: there is no judge, pictures are only made and measured
    sessions = False  # it judges whole sessions: what it builds has `judge_sessions(played)` in place of `judge`
    sessions_at_once = 8  # that are handed to it together
    needed_facts: tuple[str, ...] = ()  # of every item (benchmarks/item.py), without which it cannot judge
    max_invalid_share = 0.02  # of verdicts; above it an evaluation fails instead of reporting a biased mean
    # a sequencer
    own_backbone = False  # it loads the decomposer's weights from before RL a second time
    # an editor or a decomposer
    sandbox_only = False  # it was trained on the sandbox alone: other pictures and texts are refused (allow_tiny=true)
    # a decomposer
    parameters = 0.0  # how many, for memory checks; 0: not checked
    dtype = "float32"
    max_new_tokens = 96  # of one decomposition
    # an engine
    device = "auto"
    threads = 1
    distributed = False  # several processes can train together
    whole_weights = True  # one process holds every weight as a whole
    # a launcher
    processes = 1
    nodes = 1
    restarts = 0
    several = False  # it starts processes of its own, which meet in a process group
    # any part
    local_model = False  # it runs a model in this process, so that the libraries of models are prepared

    def missing(self, machine: Machine) -> Iterable[str]:
        """One line for everything that this machine lacks, each saying how to get it. Nothing is loaded."""
        return ()

    def missing_memory(self, machine: Machine, beside: float, device: str) -> Iterable[str]:
        """The same for memory, with `beside` bytes of other models on the same device."""
        return ()

    def missing_room(self, machine: Machine, calls: int) -> Iterable[str]:
        """The same for disk, where up to `calls` results are kept."""
        return ()

    def contents(self) -> Iterable[Content]:
        """Files that define a result by what is in them; where they lie does not count. A part with an option that names a file
        or folder declares it here: without it, other files of the same name would be the same run."""
        return ()

    def named(self) -> Iterable[tuple[str, str]]:
        """(group, choice) of parts that this one uses by their names: what their `contents` are defines a result, too."""
        return ()

    def settings(self) -> Mapping[str, Any] | None:
        """What results.json says about the part besides its name."""
        return None

    def resolve(self, device: str) -> Any:
        """The part that this one stands for on this device."""
        return self

    def share(self, processes: int) -> Any:
        """The part with its share of limits that are of several processes together."""
        return self

    def check(self, *others: Any) -> None:
        """BadInput where this part does not go with others (an engine: launcher and dtype)."""


__all__ = ["CHECKPOINT", "DEFINES", "Content", "Machine", "Part", "incidental"]
