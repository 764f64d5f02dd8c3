"""Small texts of the page of an evaluation."""

from __future__ import annotations


def sentence(text: str, end: str = ".") -> str:
    """With a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + end if text else ""


def aspect_name(name: str) -> str:
    """Abbreviations of two letters, as the protocols write them, in capitals."""
    return name.upper() if len(name) == 2 else name.replace("_", " ")


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


__all__ = ["aspect_name", "counted", "sentence"]
