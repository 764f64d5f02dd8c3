"""One run as a list of runs shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import BadData
from common.files import read_json
from experiments.catalogue.configs import read_config
from experiments.catalogue.find import CONFIG
from experiments.catalogue.progress import Progress, progress_of
from experiments.catalogue.scores import headline, numbers
from experiments.catalogue.sizes import bytes_in
from experiments.catalogue.state import FINISHED, RESULTS, State, state_of


@dataclass(frozen=True)
class Entry:
    """`scores` are the key ones, `results` every number of results.json by its dotted key. `age` is seconds since the run wrote
    something. `trouble`: why its files could not be read, or ""."""

    folder: Path
    config: dict[str, Any]
    state: State
    progress: Progress | None
    scores: dict[str, float]
    results: dict[str, float] = field(repr=False)
    age: float
    size: int
    trouble: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    def value(self, key: str) -> Any:
        """Of a key of the list itself, of the configuration, of the key scores or of results.json; None where it has none."""
        own = {
            "run": self.name, "folder": str(self.folder), "state": self.state.word, "age": self.age, "size": self.size,
            "phase": self.progress and self.progress.phase, "done": self.progress and self.progress.done,
            "error": self.state.error or self.trouble or None, "started": self.state.started,
        }  # fmt: skip
        for values in (own, self.config, self.scores, self.results):
            if key in values:
                return values[key]
        return None

    def all_keys(self) -> list[str]:
        return [*OWN_KEYS, *self.config, *self.scores, *self.results]


OWN_KEYS = ("run", "state", "phase", "done", "age", "size", "folder", "error", "started")


def read_entry(folder: Path) -> Entry:
    """A damaged file does not hide the run: it is named in `trouble`. Raises MissingFile where it is no run's folder."""
    trouble = ""
    config: dict[str, Any] = {}
    results: Any = {}
    try:
        config = read_config(folder)
        results = read_json(folder / RESULTS) if (folder / RESULTS).is_file() else {}
    except BadData as error:
        trouble = str(error)
    state = state_of(folder)
    progress = None if state.word == FINISHED else progress_of(folder, config)
    results = results if isinstance(results, dict) else {}
    age = time.time() - max(state.ended or 0.0, _last_change(folder))
    return Entry(folder, config, state, progress, headline(results), numbers(results), age, bytes_in(folder), trouble)


def _last_change(folder: Path) -> float:
    """When a file that grows or ends a run was written last."""
    files = [folder / CONFIG, folder / RESULTS, *folder.glob("*.jsonl"), *folder.glob("*/*/*/*.jsonl")]
    return max((f.stat().st_mtime for f in files if f.is_file()), default=0.0)


__all__ = ["OWN_KEYS", "Entry", "read_entry"]
