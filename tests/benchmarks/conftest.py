"""Fixtures of the loaders' tests: the cache of `datasets` under tmp_path, a count of opened pictures, a Hub that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import pictures

COMMIT = "c" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `datasets` keeps what was streamed."""
    import datasets

    kept = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", kept)
    return kept


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """One entry for every picture that is opened."""
    calls: list[str] = []
    real = pictures.read_picture

    def counted(data: bytes) -> pictures.Picture:
        calls.append("open")
        return real(data)

    monkeypatch.setattr(pictures, "read_picture", counted)
    yield calls


@dataclass
class Hub:
    """Stands in for the Hub: its data sets are folders of parquet files on this disk; every call is noted."""

    sets: dict[str, Path] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Hub:
    """The library's own streaming of parquet, with the files taken from a folder instead of the Hub."""
    import datasets
    import huggingface_hub

    world = Hub()
    real: Callable[..., Any] = datasets.load_dataset

    def load_dataset(path: str, name: str | None = None, **kwargs: Any) -> Any:
        if path not in world.sets:
            return real(path, name, **kwargs)
        world.calls.append({"path": path, "name": name, **kwargs})
        assert kwargs["revision"] == COMMIT and kwargs["streaming"]
        patterns = kwargs.get("data_files", {kwargs["split"]: [f"data/{kwargs['split']}-*"]})[kwargs["split"]]
        files = sorted(str(f) for pattern in patterns for f in world.sets[path].glob(pattern))
        columns = {"columns": kwargs["columns"]} if "columns" in kwargs else {}
        return real("parquet", data_files=files, split="train", streaming=True, **columns)

    def dataset_info(self: Any, repo_id: str, revision: str | None = None, **_: Any) -> Any:
        world.asked.append((repo_id, revision))
        return SimpleNamespace(sha=COMMIT)

    def list_repo_files(self: Any, repo_id: str, *, repo_type: str, revision: str) -> list[str]:
        assert (repo_type, revision) == ("dataset", COMMIT)
        results = [str(f.relative_to(world.sets[repo_id])) for f in world.sets[repo_id].rglob("*") if f.is_file()]
        return [".gitattributes", "README.md", *results]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", list_repo_files)
    return world
