"""The form of a reply: one description gives both the JSON schema that a service enforces and the reader of the reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from judges.question import Unreadable
from judges.reading import check_number, check_numbers, the_object


class Field(Protocol):
    """One key of a reply."""

    @property
    def schema(self) -> dict[str, Any]: ...

    def check(self, value: Any, where: str) -> Any:
        """The value as it is used; raises Unreadable."""
        ...


@dataclass(frozen=True)
class Words:
    """Free text: reasoning."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string"}

    def check(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise Unreadable(f"{where} is no text but {type(value).__name__}")
        return value


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`. A whole one is always asked for; `whole=False` also reads fractions, where the
    protocol's own script does."""

    low: int
    high: int
    whole: bool = True

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def check(self, value: Any, where: str) -> float:
        return check_number(value, self.low, self.high, where, self.whole)


@dataclass(frozen=True)
class Numbers:
    """A list of `count` numbers."""

    count: int
    each: Number

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.each.schema, "minItems": self.count, "maxItems": self.count}

    def check(self, value: Any, where: str) -> tuple[float, ...]:
        return check_numbers(value, self.count, self.each.low, self.each.high, where, self.each.whole)


@dataclass(frozen=True)
class OneOf:
    """One of several words, spelled exactly so."""

    words: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    def check(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise Unreadable(f"{where} is none of {', '.join(self.words)}: {str(value)[:100]!r}")
        return value


@dataclass(frozen=True)
class Form:
    """A flat object whose keys come in this order: a model that reasons first has to have `reasoning` first."""

    fields: Mapping[str, Field]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema with every key required and no other allowed, as strict structured outputs want it.

        One object for all questions of a kind, so that a client can tell kinds apart by it.
        """
        return {
            "type": "object",
            "properties": {name: field.schema for name, field in self.fields.items()},
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def read(self, text: str) -> dict[str, Any]:
        """The fields' values from a reply. Raises Unreadable saying what is wrong."""
        values = the_object(text, self.fields)
        return {name: field.check(values[name], repr(name)) for name, field in self.fields.items()}


__all__ = ["Field", "Form", "Number", "Numbers", "OneOf", "Words"]
