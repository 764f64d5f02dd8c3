"""The processes that train together: torchrun's environment variables, or one process alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from agents.backends.vllm_engine import close_engines
from common.errors import BadInput
from common.third_party import library_lines

_ours = _held = False  # whether `join` made the group, and whether somebody holds it beyond a training
_set: list[str] = []  # variables that `join` put into the environment; processes that start later must not inherit them


def ranks() -> tuple[int, int]:
    """(rank, world size) as the launcher gave them; (0, 1) without a launcher."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def join(device: str, timeout_s: float = 1800.0) -> None:
    """Join the process group (gloo on the CPU, nccl with gloo for objects on CUDA) if that is not done yet.

    `timeout_s`: a rank that waits longer for another one raises instead of hanging.
    """
    global _ours
    if dist.is_initialized() and "LOCAL_RANK" in os.environ:
        return
    _end()  # a group that vLLM made for itself, in a phase before
    rank, size = ranks()
    if not 0 <= rank < size:
        raise BadInput(f"RANK={rank} and WORLD_SIZE={size} in the environment contradict each other; use torchrun")
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    if size == 1:
        for key, value in (alone | {"MASTER_PORT": str(free_port())}).items():
            if key not in os.environ:
                os.environ[key] = value
                _set.append(key)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    with library_lines():  # lines about sockets
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    _ours = True


@contextmanager
def held_group(device: str, timeout_s: float = 1800.0) -> Iterator[None]:
    """Join now and leave at the end of the block: engines of vLLM that start within belong to this group and outlive a training."""
    global _held
    join(device, timeout_s)
    _held = True
    try:
        yield
    finally:
        _held = False
        leave()


def leave() -> None:
    """Leave the process group that `join` made, unless somebody holds it; engines of vLLM in this process end with it. A group that
    vLLM made for itself stays with its engine."""
    if _ours and not _held:
        _end()


def _end() -> None:
    global _ours
    _ours = False
    if dist.is_initialized():
        close_engines()  # which may destroy the group, too
    if dist.is_initialized():
        dist.destroy_process_group()
    while _set:
        os.environ.pop(_set.pop(), None)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


__all__ = ["free_port", "held_group", "join", "leave", "ranks"]
