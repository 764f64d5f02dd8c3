"""The tower of floors: a folder imports only from floors below it, no files import each other in a circle, and only the top
floor sees configuration objects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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
CONFIG_OWNERS = ("experiments", "conf")
COMMAND_LINES = 150  # the flat files of experiments/ are commands, not libraries


def sources() -> list[Path]:
    return sorted(p for folder in FLOORS for p in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (n for child in node.orelse for n in (child, *runtime_nodes(child)))
            continue
        yield node
        yield from runtime_nodes(node)


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    """(line, absolute module name) of every import in a file, those within functions too. `from a import b` names both `a`
    and `a.b`, since b may be a module."""
    package = list(path.relative_to(ROOT).parent.parts)
    names: list[tuple[int, str]] = []
    for node in runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [(node.lineno, base), *((node.lineno, f"{base}.{alias.name}") for alias in node.names)]
    return names


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components with more than one member (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                components.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return components


def test_a_file_imports_only_from_lower_floors() -> None:
    wrong = []
    for path in sources():
        floor = path.relative_to(ROOT).parts[0]
        for line, module in imports(path):
            top = module.partition(".")[0]
            where = f"{path.relative_to(ROOT)}:{line} imports {module}"
            of_its_own = top == floor or (floor == "experiments" and top == "conf")
            if top in FLOORS and not of_its_own and FLOORS[top] >= FLOORS[floor]:
                wrong.append(f"{where}, which is not below it")
            if floor not in CONFIG_OWNERS and top in CONFIG:
                wrong.append(f"{where}: only experiments/ sees configuration objects")
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    paths = {module_name(p): p for p in sources()}
    graph = {
        name: {m for _, m in imports(path) if m in paths and m != name and not name.startswith(f"{m}.")}
        for name, path in paths.items()
    }
    assert circles(graph) == []


def test_the_search_for_circles_finds_them() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"g"}, "g": {"f"}}
    assert circles(graph) == [["a", "b", "c"], ["f", "g"]]


def test_flat_files_of_experiments_are_short_commands() -> None:
    commands = [p for p in (ROOT / "experiments").glob("*.py") if p.name != "__init__.py"]
    lengths = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in commands}
    assert not {name: n for name, n in lengths.items() if n >= COMMAND_LINES}
    assert [p.name for p in commands if "__main__" not in p.read_text(encoding="utf-8")] == []


def test_there_is_something_on_every_floor() -> None:
    assert {p.relative_to(ROOT).parts[0] for p in sources()} == set(FLOORS)
