"""A phase of a run that other runs may have in common with it, and what tells it from others.

A phase is defined by the run's identity without the keys that cannot change the phase's result, so that a key that nobody
thought of keeps runs apart. Which these are is declared in experiments/sharing/indifferent.py, each with its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SharedPhase:
    """`leaves` are files and folders in the run's folder, in the order in which another run takes them: what says that the
    phase is done comes last."""

    name: str
    identity: Mapping[str, Any]
    leaves: tuple[str, ...]
    steps: str = field(default="", compare=False)  # the journal whose rows the run's tracker is shown; "" for none

    @property
    def key(self) -> str:
        """`<name>-<hash of the identity>`"""
        text = json.dumps(self.identity, sort_keys=True, default=str)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def without(values: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """A run's identity without these dotted keys; those that it does not have are no mistake (parts differ in their keys)."""
    left = deepcopy(dict(values))
    for key in keys:
        *path, last = key.split(".")
        node: Any = left
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(last, None)
    return left


__all__ = ["SharedPhase", "without"]
