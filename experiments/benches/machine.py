"""Where and when a speed was measured: a ratio without its processor says little."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name, from the system's list where it has one."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def measured_on() -> str:
    """'AMD EPYC 9R14, 2 cores, 2026-11-28', for the title of a table of speeds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{processor()}, {cores} core{'s' * (cores != 1)}, {time.strftime('%Y-%m-%d')}"


__all__ = ["measured_on", "processor"]
