"""Which kernel computes the denoiser's attention (`editor.attention`), by diffusers' attention backends.

`auto` keeps PyTorch's own choice on a CPU. On a GPU it tries those of `AUTO` in order, on a small input of the editor's type, and
takes the first that runs there and agrees with PyTorch's: the order is fixed, so that one machine always takes the same. A kernel
that rounds queries and keys to 8 bits (sage) is an approximation and is never chosen by itself. Nothing is downloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from common.errors import BadInput
from editors.settings import APPROXIMATE_ATTENTION, ATTENTION, ATTENTION_PACKAGES, MASKED_ATTENTION

logger = logging.getLogger(__name__)

AUTO = ("flash3", "cudnn", "flash")  # the fastest first, on cards that have it
TOKENS, HEADS = 256, 2  # of the trial
AGREES = 0.02  # largest difference from PyTorch's own in 16 bits, values being averages of standard normal ones


def use_attention(transformer: Any, choice: str, device: torch.device | str, masks: bool = False) -> str:
    """Set the backend of a diffusers transformer and return which one it is. `masks`: it has to hide the padding of texts.
    Raises BadInput where the one asked for cannot do that or does not run here, naming why."""
    where, dtype = torch.device(device), transformer.dtype
    width = int(transformer.config.attention_head_dim)
    if choice == "auto":
        if where.type != "cuda":
            return "native"
        faults = {name: fault(name, where, dtype, width) for name in AUTO if name in MASKED_ATTENTION or not masks}
        choice = next((name for name, why in faults.items() if not why), "native")
        logger.info(
            "attention=auto takes %s (%s)", choice, "; ".join(f"{n}: {why or 'runs'}" for n, why in faults.items())
        )
    elif choice not in ATTENTION:
        raise BadInput(f"attention={choice} is unknown; choose auto, {', '.join(ATTENTION)}")
    elif masks and choice not in MASKED_ATTENTION:
        raise BadInput(f"attention={choice} cannot hide the padding of texts; set pad_texts=false, or attention=auto")
    elif why := fault(choice, where, dtype, width):
        raise BadInput(f"attention={choice} cannot be used here: {why}; set editor.attention=auto or native")
    with _process_wide_backend_kept():
        transformer.set_attention_backend(ATTENTION[choice])
    return choice


def fault(name: str, device: torch.device, dtype: torch.dtype, width: int) -> str:
    """Why a backend cannot compute attention on this device in this type with heads of this width; "" where it can. It is
    tried on a small input, and compared with PyTorch's own attention unless it is an approximation."""
    if name == "native":
        return ""
    if device.type != "cuda":
        return "its kernels are for CUDA"
    from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn

    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, TOKENS, HEADS, width, generator=generator).to(device, dtype)
    try:
        with attention_backend(AttentionBackendName(ATTENTION[name])):
            out = dispatch_attention_fn(q, k, v)
        with attention_backend(AttentionBackendName.NATIVE):
            own = dispatch_attention_fn(q, k, v)
        apart = float((out.float() - own.float()).abs().max())
    except Exception as error:  # what a kernel that was built for another card or torch raises is not known
        return f"{ATTENTION_PACKAGES.get(name, 'cuDNN')} does not run ({type(error).__name__}: {_first_line(error)})"
    if name not in APPROXIMATE_ATTENTION and not apart <= AGREES:
        return f"its values differ by {apart:.3g} from PyTorch's own"
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]


@contextmanager
def _process_wide_backend_kept() -> Iterator[None]:
    """diffusers also makes the backend that is set the default of every other model of the process; here each keeps its own."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as registry

    before, library = registry.get_active_backend()[0], logging.getLogger("diffusers.models.modeling_utils")
    level = library.level
    library.setLevel(logging.ERROR)  # it says each time that backends are experimental
    try:
        yield
    finally:
        library.setLevel(level)
        registry.set_active_backend(before)


__all__ = ["AUTO", "fault", "use_attention"]
