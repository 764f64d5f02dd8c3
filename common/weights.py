"""Checks of a model's weights after they were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import BadData

if TYPE_CHECKING:
    from torch import nn


def check_finite(module: nn.Module, where: Any) -> None:
    """Raises BadData naming the first parameter with a value that is no finite number, which a damaged file gives."""
    for name, parameter in module.named_parameters():
        if (
            not parameter.is_meta
            and parameter.is_floating_point()
            and not bool(parameter.detach().float().sum().isfinite())
        ):
            raise BadData(
                f"{where}: the weights {name} hold values that are no finite numbers; copy or download the file again"
            )


__all__ = ["check_finite"]
