"""The options of a class: the parameters of its constructor, as a dataclass that OmegaConf can check.

The same for the classes of this repository and for a user's.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING

from common.dotted import load_dotted
from common.errors import BadInput
from common.parts import Part
from common.ranges import RANGE, Range

TARGET = "_target_"
SIMPLE = (int, float, bool, str, bytes, Path, Any, list, dict)


@dataclass
class Options:
    """Options of a class, the base of what `options_of` makes. What else is asked of it, the object answers that is made
    of them, or the default of `common.parts.Part`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        made = construct(self)
        if hasattr(made, name):
            return getattr(made, name)
        default = getattr(Part, name)
        return types.MethodType(default, self) if callable(default) else default


def construct(part: Any) -> Any:
    """The object of a part's class: the part itself, or one made from its options (once)."""
    if not isinstance(part, Options):
        return part
    made = vars(part).get("_object_")
    if made is None:
        cls = class_of(part)
        made = cls(**{name: getattr(part, name) for name, *_ in parameters(cls)})
        vars(part)["_object_"] = made
    return made


def class_at(path: str, group: str) -> type:
    """The class at `package.module.Class`. Raises BadInput saying what is wrong."""
    given = f"{group}.{TARGET}={path}"
    cls = load_dotted(path, given)
    if not isinstance(cls, type):
        raise BadInput(f"{given} is no class")
    return cls


def class_of(part: Any) -> type:
    """The class of a part, also where the configuration holds its options."""
    return getattr(type(part), "_class_", type(part))


def path_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def is_direct(cls: type) -> bool:
    """Whether a configuration holds objects of the class itself: a dataclass with a field `name` that inherits from Part."""
    return is_dataclass(cls) and issubclass(cls, Part) and any(f.name == "name" and f.init for f in fields(cls))


@cache
def options_of(cls: type) -> type:
    """A dataclass of a node's keys: `_target_`, the constructor's parameters, and `name`."""
    columns: list[tuple[str, Any, Any]] = [(TARGET, str, field(default=path_of(cls)))]
    choices: dict[str, tuple[Any, ...]] = {}
    for name, annotation, default in parameters(cls):
        if get_origin(annotation) is Literal:
            choices[name] = get_args(annotation)
        columns.append((name, _checkable(annotation), default))
    if all(name != "name" for name, *_ in columns):
        own = getattr(cls, "name", None)
        columns.append(("name", str, field(default=own if isinstance(own, str) else cls.__name__)))
    made = make_dataclass(cls.__name__, columns, bases=(Options,))
    made._class_, made._choices_ = cls, choices  # type: ignore[attr-defined]
    made.__module__ = __name__
    return made


def parameters(cls: type) -> Iterator[tuple[str, Any, Any]]:
    """(name, annotation, default as a dataclass field) of everything that the constructor takes."""
    if is_dataclass(cls):
        hints = hints_of(cls)
        for f in fields(cls):
            if not f.init:
                continue
            if f.default_factory is not NO_DEFAULT:
                default = field(default_factory=f.default_factory, metadata=f.metadata)
            else:
                default = field(default=MISSING if f.default is NO_DEFAULT else f.default, metadata=f.metadata)
            yield f.name, hints[f.name], default
    elif cls.__init__ is not object.__init__:  # type: ignore[misc]
        hints = _hints(cls.__init__, cls)  # type: ignore[misc]
        for name, p in list(inspect.signature(cls.__init__).parameters.items())[1:]:  # type: ignore[misc]
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                hint = hints.get(name, Any)
                allowed = next((a for a in get_args(hint)[1:] if isinstance(a, Range)), None)
                plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
                yield name, plain, _default(p.default, {RANGE: allowed} if allowed else {})


def _default(value: Any, metadata: dict[str, Any]) -> Any:
    if value is inspect.Parameter.empty:
        return field(default=MISSING, metadata=metadata)
    if isinstance(value, dict):
        return field(default_factory=lambda: dict(value), metadata=metadata)
    if isinstance(value, list | tuple | set):
        return field(default_factory=lambda: list(value), metadata=metadata)
    return field(default=value, metadata=metadata)


def hints_of(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields. Annotations that are no fields may name what is only imported for type checkers."""
    names, hints = {f.name for f in fields(cls)}, {}
    for owner in reversed(cls.__mro__):
        for name, annotation in owner.__dict__.get("__annotations__", {}).items():
            if name in names:
                hints[name] = _read(annotation, owner, cls) if isinstance(annotation, str) else annotation
    return hints


def _read(annotation: str, owner: type, cls: type) -> Any:
    try:
        return eval(annotation, dict(vars(sys.modules[owner.__module__])))  # noqa: S307  # as typing.get_type_hints does
    except Exception as error:
        raise BadInput(f"{path_of(cls)}: the type {annotation} of an option cannot be read ({error})") from error


def _hints(function: Any, cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise BadInput(f"{path_of(cls)}: the type of an option cannot be read ({error})") from error


def _checkable(annotation: Any) -> Any:
    """The annotation as OmegaConf can check it; Any where it cannot."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in SIMPLE or is_dataclass(annotation):
        return annotation
    if origin is Literal:
        return type(arguments[0]) if len({type(a) for a in arguments}) == 1 else Any
    if origin in (Union, types.UnionType):
        if type(None) not in arguments or len(arguments) != 2:
            return Any
        inner = _checkable(next(a for a in arguments if a is not type(None)))
        return Any if inner is Any else inner | None
    if origin in (list, Sequence) or (origin is tuple and arguments[1:] == (...,)):
        return list[_checkable(arguments[0])]  # type: ignore[misc]
    if origin is tuple and arguments:
        return tuple[tuple(_checkable(a) for a in arguments)]  # type: ignore[misc]
    if origin is dict:
        return dict[arguments[0], _checkable(arguments[1])]  # type: ignore[valid-type,misc]
    return Any


# ---------------------------------------------------------------------------------------------------------------- keys
def keys_of(options: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a dataclass."""
    hints = hints_of(options)
    for f in fields(options):
        yield prefix + f.name
        if inner := dataclass_in(hints[f.name]):
            yield from keys_of(inner, f"{prefix}{f.name}.")


def dataclass_in(annotation: Any) -> type | None:
    """The dataclass of a field, also of one that may be null."""
    return next((a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and is_dataclass(a)), None)


__all__ = [
    "TARGET",
    "Options",
    "class_at",
    "class_of",
    "construct",
    "dataclass_in",
    "hints_of",
    "is_direct",
    "keys_of",
    "options_of",
    "parameters",
    "path_of",
]
