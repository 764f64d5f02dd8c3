"""What this machine has: memory, GPUs, disk, keys. Asked before anything starts."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common.errors import BadInput

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")


def one_process(engine: Any, command: str) -> None:
    """Refuse an engine for several processes where there is only one."""
    if engine.distributed:
        raise BadInput(f"engine={engine.name} trains the main job only; {command} runs with engine=torch")


def gpu_memories() -> list[int]:
    """Bytes of each CUDA device."""
    import torch

    return [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]


def free_gpu_memories(every: bool) -> list[int]:
    """Bytes that nobody uses of the first CUDA device, or of `every` one: asking costs some memory on each."""
    import torch

    count = torch.cuda.device_count()
    return [torch.cuda.mem_get_info(i)[0] for i in range(count if every else min(1, count))]


def memory_bytes() -> int:
    """Of the machine, or of the container where that is less."""
    import psutil

    total = psutil.virtual_memory().total
    return min(total, limit) if (limit := _cgroup("memory.max")) is not None else total


def free_memory() -> int:
    """Bytes that a process can still have, within the container's limit where there is one."""
    import psutil

    free = psutil.virtual_memory().available
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    return free if limit is None or used is None else min(free, max(0, limit - used))


def free_disk(place: str | Path) -> tuple[Path, int]:
    """The nearest folder of `place` that exists, and the bytes free there."""
    path = Path(place).absolute()
    existing = next(p for p in (path, *path.parents) if p.exists())
    return existing, shutil.disk_usage(existing).free


def has_package(name: str) -> bool:
    """Whether it is installed; nothing is imported."""
    return find_spec(name) is not None


class ThisMachine:
    """`common.parts.Machine`."""

    def has_package(self, name: str) -> bool:
        return has_package(name)

    def has_key(self, name: str) -> bool:
        return bool(os.environ.get(name))

    def gpu_memories(self) -> list[int]:
        return gpu_memories()

    def free_gpu_memories(self, every: bool) -> list[int]:
        return free_gpu_memories(every)

    def free_memory(self) -> int:
        return free_memory()

    def free_disk(self, place: str | Path) -> tuple[Path, int]:
        return free_disk(place)


def missing_of(*parts: Any) -> list[str]:
    """What this machine lacks for these parts, each a line."""
    return [line for part in parts for line in part.missing(ThisMachine())]


def _cgroup(name: str) -> int | None:
    path = CGROUP / name
    return int(text) if path.is_file() and (text := path.read_text().strip()).isdigit() else None


__all__ = [
    "GIB",
    "ThisMachine",
    "free_disk",
    "free_gpu_memories",
    "free_memory",
    "gpu_memories",
    "has_package",
    "memory_bytes",
    "missing_of",
]
