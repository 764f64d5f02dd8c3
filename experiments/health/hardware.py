"""Python, torch's build, GPUs, cores, memory and disk."""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from common.places import ROOT
from experiments.health.findings import Finding
from experiments.preflight.machine import GIB, free_disk, free_memory, memory_bytes

OLDEST = (3, 11)
LEAST_MEMORY, LEAST_DISK = 4, 5  # GiB that a first run takes with room to spare
ASKED_S = 2.0  # seconds that nvidia-smi may take; a driver that hangs is no reason to wait
FIELDS = "name,memory.total,memory.free,driver_version"


@dataclass(frozen=True)
class GPU:
    """Sizes in bytes."""

    name: str
    memory: int
    free: int
    driver: str


def gpus() -> tuple[list[GPU], str]:
    """What the driver says, and why there is nothing where it does not answer. CUDA_VISIBLE_DEVICES does not count."""
    command = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASKED_S)
    except FileNotFoundError:
        return [], "none (no nvidia-smi)"
    except (subprocess.TimeoutExpired, OSError) as error:
        return [], f"nvidia-smi does not answer ({type(error).__name__})"
    if done.returncode:
        said = (done.stdout or done.stderr).strip().splitlines() or [f"code {done.returncode}"]
        return [], f"nvidia-smi fails: {said[0]}"
    return read_gpus(done.stdout), "none"


def read_gpus(text: str) -> list[GPU]:
    """nvidia-smi's lines; a memory that it cannot tell ("[N/A]") is 0."""
    found = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 4:
            memory, free = (int(word) * 2**20 if word.isdigit() else 0 for word in words[1:3])
            found.append(GPU(words[0], memory, free, words[3]))
    return found


def installed(package: str) -> str:
    """Its version, "" where it is not installed; nothing is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def torch_build() -> str:
    """`cpu`, or `CUDA 13.0` and the like, read from torch's own file without loading it."""
    spec = find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        return ""
    said: dict[str, object] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                said[target.id] = node.value.value
    return f"CUDA {said['cuda']}" if said.get("cuda") else f"ROCm {said['hip']}" if said.get("hip") else "CPU"


def python() -> list[Finding]:
    own = f"{platform.python_version()} ({sys.executable})"
    fine = sys.version_info >= OLDEST
    need = "" if fine else "install Python 3.11 or newer, then `make setup`"
    return [Finding("Python", "ok" if fine else "fault", own, need, {"version": platform.python_version()})]


def torch(found: list[GPU]) -> list[Finding]:
    number, build = installed("torch"), torch_build()
    if not number:
        return [Finding("torch", "fault", "not installed", "make setup")]
    data = {"version": number, "build": build}
    if found and build == "CPU":
        remedy = "`make clean`, then `make setup` installs the CUDA build where nvidia-smi answers"
        return [Finding("torch", "warning", f"{number}, CPU build on a machine with a GPU", remedy, data)]
    return [Finding("torch", "ok", f"{number}, {build} build", "", data)]


def graphics(found: list[GPU], why: str) -> list[Finding]:
    if not found:
        return [Finding("GPU", "absent", why, "scale=tiny needs none", {"gpus": []})]
    listed = [f"{g.name}, {g.memory / GIB:.0f} GiB ({g.free / GIB:.0f} free), driver {g.driver}" for g in found]
    return [Finding(f"GPU {i}", "ok", text, "", vars(g)) for i, (text, g) in enumerate(zip(listed, found, strict=True))]


def cores() -> list[Finding]:
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    said, data = f"{own} for this process", {"cores": own, "omp_num_threads": threads or None}
    if threads.isdigit() and int(threads) < own:
        remedy = "unset OMP_NUM_THREADS unless several processes share the machine"
        return [Finding("cores", "warning", f"{said}, OMP_NUM_THREADS={threads}", remedy, data)]
    few = own < 2
    return [
        Finding(
            "cores", "warning" if few else "ok", said, "a first run takes twice as long on one" if few else "", data
        )
    ]


def memory() -> list[Finding]:
    total, free = memory_bytes(), free_memory()
    low = free < LEAST_MEMORY * GIB
    text = f"{total / GIB:.1f} GiB, {free / GIB:.1f} free"
    remedy = f"a first run takes up to {LEAST_MEMORY} GiB; end what else runs" if low else ""
    return [Finding("memory", "warning" if low else "ok", text, remedy, {"total": total, "free": free})]


def disk() -> list[Finding]:
    place, free = free_disk("outputs")
    low, writable = free < LEAST_DISK * GIB, os.access(place, os.W_OK)
    text = f"{free / GIB:.1f} GiB free at {place}" + ("" if writable else ", not writable")
    remedy = "free some, or choose another place: paths.outputs=<folder>" if low or not writable else ""
    status = "fault" if not writable else "warning" if low else "ok"
    return [Finding("disk at outputs/", status, text, remedy, {"place": str(place), "free": free})]  # type: ignore[arg-type]


def checkout() -> list[Finding]:
    return [Finding("checkout", "ok", str(ROOT), "", {"folder": str(ROOT)})]


__all__ = [
    "GPU",
    "checkout",
    "cores",
    "disk",
    "gpus",
    "graphics",
    "installed",
    "memory",
    "python",
    "read_gpus",
    "torch",
    "torch_build",
]
