"""Checkpoints that survive a kill or a full disk at any moment: until a new one is complete, the older one is untouched.

A checkpoint is a folder `step-00000050/` with `state.pt` and `manifest.json` (size and sha256 of the former). It is written
under another name, flushed to the disk and renamed. A folder that does not match its manifest is skipped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from common.atomic import why_refused
from common.errors import BadInput, SaveFailed

log = logging.getLogger(__name__)
STATE, MANIFEST, DRAFT = "state.pt", "manifest.json", ".draft-"


class Checkpoints:
    """The newest `keep` checkpoints of one run in `folder`."""

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        if keep < 1:
            raise BadInput(f"at least 1 checkpoint must be kept, not {keep}")
        self.folder, self.keep = Path(folder), keep

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write `state` (tensors, numbers, strings and containers of them) as the checkpoint of `step`, then drop the oldest.

        Raises SaveFailed (disk full, no permission), naming the checkpoint that is still there.
        """
        final = self.folder / f"step-{step:08d}"
        draft = self.folder / f"{DRAFT}{final.name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clear_drafts()
            draft.mkdir()
            with (draft / STATE).open("wb") as f:
                writer = _Hashing(f)
                torch.save(state, writer)
                f.flush()
                os.fsync(f.fileno())
            manifest = {"step": step, "bytes": writer.bytes, "sha256": writer.hash.hexdigest()}
            with (draft / MANIFEST).open("w", encoding="utf-8") as f:
                json.dump(manifest, f)
                f.flush()
                os.fsync(f.fileno())
            if final.exists():
                shutil.rmtree(final)
            os.replace(draft, final)
            _flush_folder(self.folder)
        except (OSError, RuntimeError) as e:  # torch's zip writer turns a failed write into a RuntimeError
            shutil.rmtree(draft, ignore_errors=True)
            older = self.steps()
            rest = f"the checkpoint of step {older[-1]} is intact" if older else "there is no older checkpoint"
            raise SaveFailed(
                f"could not save step {step} in {self.folder}: {why_refused(e)}; {rest}. Free space and run again"
            ) from e
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.folder / f"step-{old:08d}", ignore_errors=True)
        return final

    def steps(self) -> list[int]:
        """Steps that have a finished folder, oldest first (their content is checked on loading)."""
        names = (p.name.removeprefix("step-") for p in self.folder.glob("step-*") if p.is_dir())
        return sorted(int(n) for n in names if n.isdigit())

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest checkpoint whose bytes are those that were written, or None. Broken ones are skipped with a warning."""
        for step in reversed(self.steps()):
            folder = self.folder / f"step-{step:08d}"
            if (fault := _fault(folder)) is None:
                return step, torch.load(folder / STATE, map_location="cpu", weights_only=True)
            log.warning("checkpoint %s is passed over: %s", folder, fault)
        return None

    def _clear_drafts(self) -> None:
        for path in self.folder.glob(f"{DRAFT}*"):
            shutil.rmtree(path)


class _Hashing:
    """A file that hashes what passes through it: no second reading of gigabytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.hash, self.bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> int:
        self.hash.update(data)
        self.bytes += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint folder, None where nothing is."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if (folder / STATE).stat().st_size != manifest["bytes"]:
            return f"{STATE} has {(folder / STATE).stat().st_size} bytes, {manifest['bytes']} were written"
        with (folder / STATE).open("rb") as f:
            if hashlib.file_digest(f, "sha256").hexdigest() != manifest["sha256"]:
                return f"the sha256 of {STATE} is not the one in {MANIFEST}"
    except (OSError, ValueError, KeyError, TypeError) as e:
        return f"{type(e).__name__}: {e}"
    return None


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rng_state() -> dict[str, Any]:
    """The random states of Python, NumPy and torch (all CUDA devices included), in types that load safely."""
    numpy_state: Any = np.random.get_state()
    name, keys, *rest = numpy_state
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """The inverse of `rng_state`; CUDA states are set where there are as many devices."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


__all__ = ["Checkpoints", "rng_state", "set_rng_state"]
