"""What this machine has: memory, GPUs, disk, keys. Asked before anything starts."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from common.errors import BadInput
from conf.schema import EngineConfig, RolloutsConfig

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")
KEY_HELP = {
    "OPENAI_API_KEY": "make one in the account settings of the OpenAI platform",
    "GEMINI_API_KEY": "make one in Google AI Studio",
    "WANDB_API_KEY": "it is shown on your W&B user page; or tracker.mode=offline",
}


def one_process(config: EngineConfig, command: str) -> None:
    """Refuse an engine for several processes where there is only one."""
    if config.name != "torch":
        raise BadInput(f"engine={config.name} trains the main job only; {command} runs with engine=torch")


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
    found = next(p for p in (path, *path.parents) if p.exists())
    return found, shutil.disk_usage(found).free


def has_package(name: str) -> bool:
    """Whether it is installed; nothing is imported."""
    return find_spec(name) is not None


def chosen_rollouts(config: RolloutsConfig, device: str) -> str:
    """What rollouts=auto stands for here; any other name stands for itself."""
    if config.name != "auto":
        return config.name
    return "vllm" if device == "cuda" and has_package("vllm") else "hf"


def _cgroup(name: str) -> int | None:
    path = CGROUP / name
    return int(text) if path.is_file() and (text := path.read_text().strip()).isdigit() else None


__all__ = [
    "GIB",
    "KEY_HELP",
    "chosen_rollouts",
    "free_disk",
    "free_gpu_memories",
    "free_memory",
    "gpu_memories",
    "has_package",
    "memory_bytes",
]
