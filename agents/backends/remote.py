"""vLLM in a process of its own. A process that dies is started again, once per request. The weights of the last sync are still
in their files, and a request carries its seeds, so the answers are the same as without the crash."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from agents.backends import precision
from agents.backends.base import Sampling, SyncReport, fingerprint
from agents.backends.deadline import Progress, within
from agents.backends.engine_server import Gone, receive, send, stored
from agents.backends.lora import is_adapter
from agents.backends.vllm_requests import SampledSequence
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vllm_weights import settled
from agents.backends.vlm import EncodedPrompt
from common import errors
from common.errors import RunFailed

logger = logging.getLogger(__name__)
# A launcher's variables would make the engine a member of the trainer's process group.
LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
BUCKET = 256 * 2**20  # bytes of weights written at a time: no more of them are gathered at once


class Died(Exception):
    """The process is gone, or does not answer within its limit."""


class RemoteEngine:
    """The methods of `VLLMEngine`, carried out by a process that this object owns."""

    def __init__(self, settings: EngineSettings, limit_s: float = 1800.0) -> None:
        """`limit_s`: an engine that takes longer over one request counts as dead. Weights wait in a folder in main memory
        (/dev/shm) where there is one. Raises as `VLLMEngine` does."""
        self.settings, self.limit_s = settings, limit_s
        shared = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(prefix="rollout-", dir=shared if shared.is_dir() else None))
        self._held: list[subprocess.Popen[bytes]] = []
        self._weights: Path | None = None
        self._adapters: Path | None = None
        self._syncs = 0
        self.ready = False  # whether the weights are those of a whole sync
        weakref.finalize(self, _clean, self._held, self._folder)
        try:
            self._start()
        except Died as e:
            raise RunFailed(f"{e}, before it could do anything") from None

    @property
    def usable(self) -> bool:
        """False after `close`."""
        return bool(self._held)

    @property
    def closed(self) -> bool:
        return not self._held

    @property
    def pid(self) -> int:
        return self._held[0].pid

    def generate(self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling) -> list[list[SampledSequence]]:
        """See `VLLMEngine.generate`. Raises RunFailed when the process died twice over it."""
        return self._ask_twice("generate", list(prompts), n, sampling)

    def token_scores(self, prompts: Sequence[EncodedPrompt], token_ids: Sequence[int]) -> list[list[float]]:
        """See `VLLMEngine.token_scores`."""
        return self._ask_twice("token_scores", list(prompts), list(token_ids))

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """See `VLLMEngine.sync`; what the engine reads back is compared across the processes as well."""
        self._syncs += 1
        self.ready = False
        folder = self._folder / f"weights-{self._syncs}"
        folder.mkdir()
        progress = Progress("weight sync")
        sent = within(self.settings.sync_limit_s, progress, lambda: self._write(named_parameters, folder, progress))
        self._keep(folder)
        report: SyncReport = self._ask_twice("sync", str(folder))
        if report != sent:
            raise RunFailed(f"weight sync: the engine's process holds {report}, and {sent} was sent to it")
        self.ready = True
        return report

    def _keep(self, folder: Path) -> None:
        """These are the newest weights, or adapters beside those that are there; the ones before go."""
        first = next(stored(folder), None)
        alone = first is not None and is_adapter(first[0])
        for old in [self._adapters] if alone else [self._adapters, self._weights]:
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
        self._adapters = folder if alone else None
        self._weights = self._weights if alone else folder

    def drop_adapters(self) -> None:
        """See `VLLMEngine.drop_adapters`."""
        if self._adapters is not None:
            shutil.rmtree(self._adapters, ignore_errors=True)
        self._adapters = None
        self._ask_twice("drop_adapters")

    def weights(self) -> dict[str, Tensor]:
        """A copy in main memory of what was sent last, each parameter once. Raises RunFailed where that was nothing whole."""
        if not self.ready or self._weights is None:
            raise RunFailed("vLLM has no weights of the trainer: no weight sync has succeeded since it started")
        return {name: value for name, value in stored(self._weights) if name not in self.settings.tied}

    def sleep(self) -> None:
        self._ask_twice("sleep")

    def close(self) -> None:
        """End the process; the object cannot be used any more."""
        self.ready = False
        _clean(self._held, self._folder)

    def _write(self, named_parameters: Iterable[tuple[str, Tensor]], folder: Path, progress: Progress) -> SyncReport:
        bucket: dict[str, Tensor] = {}
        seen: set[str] = set()
        dtype = getattr(torch, self.settings.dtype)

        def flush() -> None:
            if bucket:
                save_file(bucket, folder / f"{len(list(folder.iterdir())):05}.safetensors")
                bucket.clear()

        def rows() -> Iterator[tuple[str, Tensor]]:
            progress.at("waiting for the first parameter")
            for name, value in named_parameters:
                progress.at("writing", name)
                if name in seen:
                    raise RunFailed(f"weight sync: {name} was written twice in one sync")
                seen.add(name)
                bucket[name] = value.detach().to("cpu", dtype, copy=True).contiguous()
                if name not in self.settings.tied:  # another name of one that is sent
                    yield name, settled(bucket[name])
                if sum(v.nbytes for v in bucket.values()) >= BUCKET:
                    flush()
                progress.at("waiting for the parameter after", name)
            flush()

        return fingerprint(rows())

    def _ask_twice(self, what: str, *rest: Any) -> Any:
        try:
            return self._ask(what, *rest)
        except Died as first:
            logger.warning("%s while it had to %s; it is started again and the request repeated", first, what)
        try:
            self._start()
            for folder in (self._weights, self._adapters):
                if folder is not None and rest != (str(folder),):
                    self._ask("sync", str(folder))
            return self._ask(what, *rest)
        except Died as second:
            raise RunFailed(
                f"{second} again, after a new start, while it had to {what}. It said last: {self._said()}"
            ) from None

    def _ask(self, what: str, *rest: Any) -> Any:
        """The answer. Raises Died, or what the engine raised."""
        try:
            send(self._socket, (what, *rest))
            status, *answer = receive(self._socket)
        except TimeoutError:
            raise Died(f"vLLM's process {self.pid} did not answer within {self.limit_s:g} s") from None
        except (Gone, OSError):
            raise Died(f"vLLM's process {self.pid} died ({self._how()})") from None
        if status == "ok":
            return answer[0]
        kind, text = answer
        raise getattr(errors, kind)(text)

    def _start(self) -> None:
        _end(self._held)
        ours, theirs = socket.socketpair()
        root = str(Path(errors.__file__).parent.parent)
        env = {k: v for k, v in os.environ.items() if k not in LAUNCHERS and not k.startswith("TORCHELASTIC")}
        if self.settings.dtype == "float32":
            env = {**precision.ENVIRONMENT, **env}
        env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        with open(self._folder / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "agents.backends.engine_server", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),), env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        theirs.close()
        ours.settimeout(self.limit_s)
        self._held.append(process)
        self._socket = ours
        self._ask("start", self.settings, torch.get_num_threads())

    def _how(self) -> str:
        try:
            code = self._held[0].wait(10)
        except subprocess.TimeoutExpired:
            return "it closed its socket"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}; it said last: {self._said()}"

    def _said(self) -> str:
        lines = (self._folder / "log").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:]) or "nothing"


def _end(held: list[subprocess.Popen[bytes]]) -> None:
    for process in held:
        process.kill()
        process.wait()
    held.clear()


def _clean(held: list[subprocess.Popen[bytes]], folder: Path) -> None:
    _end(held)
    shutil.rmtree(folder, ignore_errors=True)


__all__ = ["RemoteEngine"]
