"""The tower of floors: a folder imports only from floors below it, and only the top floor sees configuration objects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "common": 1,
    "benchmarks": 2,
    "editors": 3,
    "agents": 4,
    "judges": 5,
    "rewards": 6,
    "rl": 7,
    "experiments": 8,
    "conf": 8,
}
CONFIG = {"hydra", "omegaconf", "conf"}
LONGEST = 600  # lines


def sources() -> list[Path]:
    return sorted(p for folder in FLOORS for p in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module name) of every import in a file, those within functions too."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield node.lineno, base
            if node.module is None:  # from . import x
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_lower_floors(path: Path) -> None:
    floor = path.relative_to(ROOT).parts[0]
    for line, module in imports(path):
        top = module.partition(".")[0]
        where = f"{path.relative_to(ROOT)}:{line} imports {module}"
        if top in FLOORS and top != floor and not (floor == "experiments" and top == "conf"):
            assert FLOORS[top] < FLOORS[floor], f"{where}, which is not below it"
        if floor not in ("experiments", "conf"):
            assert top not in CONFIG, f"{where}: only experiments/ sees configuration objects"


def test_there_is_something_on_every_floor() -> None:
    assert {p.relative_to(ROOT).parts[0] for p in sources()} == set(FLOORS)


def test_no_file_is_too_long_to_read() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long
