"""The packages of the core and of each extra, as requirements/ lists them."""

from __future__ import annotations

import re

from common.places import ROOT
from experiments.health.findings import Finding
from experiments.health.hardware import installed

REQUIREMENTS = ROOT / "requirements"
EXTRAS = {
    "vllm": "fast rollouts (rollouts=vllm)",
    "deepspeed": "training on several GPUs (engine=deepspeed)",
    "slurm": "sweeps on a cluster, and search",
    "apps": "the demo, the server, and further trackers",
    "docs": "the documentation site (make docs)",
    "quant": "editors with quantised weights (editor.quantization)",
    "fused": "fused kernels for training on CUDA (algo.fused)",
}


def packages_of(file: str) -> dict[str, str]:
    """{package: version it is pinned to, or ""} of a file in requirements/."""
    lines = (REQUIREMENTS / file).read_text(encoding="utf-8").splitlines()
    words = [line.partition("#")[0].strip() for line in lines]
    found = [re.match(r"([\w.-]+)\s*(?:==\s*(\S+))?", word) for word in words]
    return {line[1]: line[2] or "" for line in found if line}


def core() -> list[Finding]:
    wanted = packages_of("core.in")
    versions = {name: installed(name) for name in wanted}
    absent = [name for name, own in versions.items() if not own]
    if absent:
        return [Finding("packages", "fault", f"not installed: {', '.join(absent)}", "make setup", versions)]
    other = [
        f"{n} {versions[n]} in place of {v}" for n, v in wanted.items() if v and versions[n].partition("+")[0] != v
    ]
    if other:
        return [Finding("packages", "warning", ", ".join(other), "make setup installs the tested versions", versions)]
    shown = ", ".join(f"{name} {versions[name]}" for name in ("transformers", "diffusers", "hydra-core"))
    return [Finding("packages", "ok", f"all {len(wanted)} of the core: {shown}, …", "", versions)]


def extras() -> list[Finding]:
    return [_extra(name, what) for name, what in EXTRAS.items()]


def _extra(name: str, what: str) -> Finding:
    """One of its files has to be whole: vLLM has one for machines without a GPU and one for those with."""
    files = [path.name for path in (REQUIREMENTS / f"{name}.in", REQUIREMENTS / f"{name}-cuda.in") if path.is_file()]
    best: dict[str, str] = {}
    for file in files:
        versions = {package: installed(package) for package in packages_of(file)}
        if all(versions.values()):
            return Finding(name, "ok", f"{what}: {_listed(versions)}", "", versions)
        if sum(map(bool, versions.values())) >= sum(map(bool, best.values())):
            best = versions
    there = {package: own for package, own in best.items() if own}
    if there:
        gone = ", ".join(sorted(set(best) - set(there)))
        return Finding(name, "warning", f"{what}: {_listed(there)}; not installed: {gone}", f"make extra-{name}", best)
    return Finding(name, "absent", what, f"make extra-{name}", best)


def _listed(versions: dict[str, str]) -> str:
    shown = [f"{package} {own}" for package, own in versions.items()]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


__all__ = ["EXTRAS", "REQUIREMENTS", "core", "extras", "packages_of"]
