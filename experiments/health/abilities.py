"""What each scale and each command can do here, from what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from common.places import ROOT
from experiments.__main__ import commands
from experiments.health.findings import Finding, Sections
from experiments.health.hardware import GPU
from experiments.health.models import find_model
from experiments.preflight.machine import GIB, free_disk, memory_bytes

EXTRA_OF = {"demo": "apps", "serve": "apps"}  # commands that a core installation does not run
PAPER_MODELS = ("Qwen2.5-VL-7B-Instruct", "Qwen/Qwen-Image-Edit")  # the defaults of scale=paper


def scales(sections: Sections, gpus: Sequence[GPU]) -> list[Finding]:
    broken = [f.name for name in ("machine", "tiny models") for f in sections[name] if f.status == "fault"]
    if broken:
        tiny = Finding("scale=tiny", "fault", f"not before these are mended: {', '.join(broken)}")
    else:
        tiny = Finding("scale=tiny", "ok", "every command and part; models and data are in the repository")
    lacks = hardware_lacks(needs_of("paper"), gpus)
    lacks += [f"{name} (weights)" for name in PAPER_MODELS if find_model(name) is None]
    lacks += [f"the extra {f.name}" for f in sections["extras"] if f.name in ("vllm", "deepspeed") and f.status != "ok"]
    if lacks:
        remedy = (
            "`python -m experiments.run experiment=paper` says how to get each; `experiments.plan` needs none of it"
        )
        paper = Finding("scale=paper", "absent", f"lacks {'; '.join(lacks)}", remedy, {"lacks": lacks})
    else:
        paper = Finding("scale=paper", "ok", "GPUs, memory, disk, packages and the default models are there")
    return [tiny, paper]


def needs_of(scale: str) -> Mapping[str, Any]:
    """scale.needs of a yaml in conf/scale."""
    said = yaml.safe_load((ROOT / "conf" / "scale" / f"{scale}.yaml").read_text(encoding="utf-8"))
    needs: Mapping[str, Any] = said["scale"].get("needs", {})
    return needs


def hardware_lacks(needs: Mapping[str, Any], gpus: Sequence[GPU]) -> list[str]:
    lacks = []
    big = [g for g in gpus if g.memory >= needs.get("gpu_memory_gib", 0) * GIB]
    if len(big) < needs.get("gpus", 0):
        lacks.append(f"{needs['gpus']} GPUs of {needs['gpu_memory_gib']} GiB (here: {len(big)})")
    if memory_bytes() < needs.get("memory_gib", 0) * GIB:
        lacks.append(f"{needs['memory_gib']} GiB of memory")
    if free_disk("outputs")[1] < needs.get("disk_gib", 0) * GIB:
        lacks.append(f"{needs['disk_gib']} GiB of disk")
    return lacks


def by_command(sections: Sections) -> list[Finding]:
    known = list(commands())
    extras = {f.name: f for f in sections["extras"]}
    blocked = {name: extra for name, extra in EXTRA_OF.items() if name in known and extras[extra].status != "ok"}
    ready = [name for name in known if name not in blocked]
    lines = [Finding("ready", "ok", ", ".join(ready), "", {"commands": ready})]
    return lines + [
        Finding(name, "absent", f"needs the extra {extra}", f"make extra-{extra}") for name, extra in blocked.items()
    ]


__all__ = ["by_command", "hardware_lacks", "needs_of", "scales"]
