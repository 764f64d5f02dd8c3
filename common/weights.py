"""Weights of a model as they lie in memory, quantised ones too: their bytes, and a check after they were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import BadData

if TYPE_CHECKING:
    from torch import Tensor, nn


def stored(parameter: Tensor) -> list[Tensor]:
    """The plain tensors that a parameter consists of: itself, or numbers and scales of a quantised one."""
    if hasattr(type(parameter), "__tensor_flatten__"):  # a tensor subclass, such as torchao's
        names, _ = parameter.__tensor_flatten__()  # type: ignore[attr-defined]
        return [tensor for name in names for tensor in stored(getattr(parameter, name))]
    state = getattr(parameter, "quant_state", None)  # bitsandbytes
    return [parameter.detach(), *([] if state is None else [state.absmax])]


def stored_bytes(module: nn.Module) -> int:
    """Of all parameters; a tied one counts once."""
    return sum(tensor.numel() * tensor.element_size() for p in module.parameters() for tensor in stored(p))


def check_finite(module: nn.Module, where: Any) -> None:
    """Raises BadData naming the first parameter with a value that is no finite number, which a damaged file gives."""
    for name, parameter in module.named_parameters():
        for tensor in [] if parameter.is_meta else stored(parameter):
            if tensor.is_floating_point() and not bool(tensor.float().sum().isfinite()):
                raise BadData(
                    f"{where}: the weights {name} hold values that are no finite numbers; copy or download the file again"
                )


__all__ = ["check_finite", "stored", "stored_bytes"]
