"""torchvision beside a CPU build of torch, importable.

The package index has one torchvision per platform, a CUDA build. transformers and vLLM import it wherever it is
installed; next to a CPU torch its compiled half does not load, and the Python half then stops the whole import, because it
describes two operators that were never declared. Nobody here calls them: declaring them is enough.
It changes nothing without torchvision, or where its own operators exist.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WAITS_FOR = "torchvision._meta_registrations"  # the module that describes them
OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _Declarer(MetaPathFinder):
    """Finds nothing; it only hears that the module is about to be imported."""

    declared: Any = None  # a library's declarations last as long as the object

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == WAITS_FOR and self.declared is None:
            import torch

            missing = [op for op in OPERATORS if not hasattr(torch.ops.torchvision, op)]
            self.declared = torch.library.Library("torchvision", "FRAGMENT")
            for op in missing:
                self.declared.define(op + SCHEMA)
        return None


def allow_torchvision() -> None:
    """Do the above in this process, from now on; called by the packages that import transformers."""
    if not any(isinstance(finder, _Declarer) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Declarer())


__all__ = ["allow_torchvision"]
