"""Where compilers keep what they made, so that the next run need not wait for it again."""

from __future__ import annotations

import os
from pathlib import Path

CACHES = {  # variable -> folder
    "TORCHINDUCTOR_CACHE_DIR": "inductor",  # attention over trees of tokens
    "TRITON_CACHE_DIR": "triton",
    "VLLM_CACHE_ROOT": "vllm",  # its compiled models
}


def keep_compiled(outputs: str | Path) -> None:
    """Compiled kernels of this process, and of those that it starts, go to `<outputs>/cache`, unless the user has set another
    place."""
    for variable, folder in CACHES.items():
        os.environ.setdefault(variable, str((Path(outputs) / "cache" / folder).resolve()))


__all__ = ["CACHES", "keep_compiled"]
