"""Prompts of the team's models: text files of this package, or a user's own."""

from __future__ import annotations

from pathlib import Path

from common.errors import MissingFile

PROMPTS = Path(__file__).parent / "prompts"


def prompt_file(name: str | Path) -> Path:
    """The file of a prompt: a bare name ("decompose", "decompose_tiny") is one of this package, anything else a path."""
    path = Path(name)
    return PROMPTS / f"{name}.txt" if path.suffix != ".txt" and len(path.parts) == 1 else path


def load_prompt(name: str | Path) -> str:
    """Its text. Raises MissingFile naming the prompts of this package."""
    path = prompt_file(name)
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        names = ", ".join(sorted(p.stem for p in PROMPTS.glob("*.txt")))
        raise MissingFile(f"no prompt file {path}; give a path to a .txt file or one of: {names}") from error


__all__ = ["PROMPTS", "load_prompt", "prompt_file"]
