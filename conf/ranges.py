"""Every number of a composed configuration lies in the range that its field declares (common/ranges.py), and every name can
become a folder (common/filenames.py): the `name` of every part, and fields that are declared as names.

The fields of this project all declare one. A number of a user's own class may declare it too, as
`limit: Annotated[int, Range(1, 200)] = 50` where it is no dataclass; without one it must only be a number that is no NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from common.errors import BadInput
from common.filenames import LONGEST, NAME, check_name
from common.ranges import RANGE, Range, check_number
from conf.options import dataclass_in, hints_of


def check_ranges(node: DictConfig, options: type, prefix: str = "") -> None:
    """Raises BadInput naming the first number of the node that is outside its range. `options`: the node's dataclass."""
    hints = hints_of(options)
    for f in fields(options):
        value, key = _value(node, f.name), f"{prefix}{f.name}"
        if isinstance(value, DictConfig):
            kind = OmegaConf.get_type(value)  # of a part, whose field says nothing of its class
            inner = kind if is_dataclass(kind) else dataclass_in(hints[f.name])
            if inner and isinstance(inner, type):
                check_ranges(value, inner, f"{key}.")
            continue
        plain = OmegaConf.to_container(value) if OmegaConf.is_list(value) else value
        if longest := f.metadata.get(NAME, LONGEST if f.name == "name" else 0):
            check_name(plain, key, longest)
        elif isinstance(allowed := f.metadata.get(RANGE), Range):
            check_number(plain, allowed, key)
        elif isinstance(plain, float) and math.isnan(plain):
            raise BadInput(f"{key}={plain} is no number")


def _value(node: DictConfig, name: str) -> Any:
    """None for what is missing, or cannot be resolved yet."""
    try:
        return OmegaConf.select(node, name)
    except OmegaConfBaseException:
        return None


def numbers_without_range(options: type, prefix: str = "") -> Iterator[str]:
    """Dotted keys of numbers that declare no range."""
    hints = hints_of(options)
    for f in fields(options):
        if inner := dataclass_in(hints[f.name]):
            yield from numbers_without_range(inner, f"{prefix}{f.name}.")
        elif _is_number(hints[f.name]) and not isinstance(f.metadata.get(RANGE), Range):
            yield f"{prefix}{f.name}"


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(_is_number(a) for a in get_args(annotation))


__all__ = ["check_ranges", "numbers_without_range"]
