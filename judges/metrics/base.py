"""What a metric without a judge is: pictures in, for every key a number or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Case:
    """One edited picture with what it may be compared with. Pictures in any mode and size; captions "" where unknown."""

    edited: Image.Image
    source: Image.Image | None = None  # what the editor was given
    reference: Image.Image | None = None  # a published target
    mask: Image.Image | None = None  # bright (128 and above) where something was to change
    source_caption: str = ""
    target_caption: str = ""

    def target(self, against: str) -> Image.Image | None:
        """The picture that `against` ("source" or "reference") names."""
        return self.source if against == "source" else self.reference


@dataclass(frozen=True)
class Reading:
    """A finite number, or None with the reason: "does not apply" is not 0, and is left out of means."""

    value: float | None
    reason: str = ""

    @classmethod
    def none(cls, reason: str) -> Reading:
        return cls(None, reason)


class Metric(Protocol):
    """One family, whose parts share work (an encoder's pass, opened pictures)."""

    keys: tuple[str, ...]  # of what `measure` returns, fixed
    needs: frozenset[str]  # fields of Case that are looked at besides `edited`; others need not be opened

    def measure(self, cases: Sequence[Case]) -> list[dict[str, Reading]]:
        """One reading per case and key, in the order of the cases. Never raises for what a case lacks."""
        ...


__all__ = ["Case", "Metric", "Reading"]
