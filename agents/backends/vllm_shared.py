"""One vLLM engine of a process for all models of one shape: phases take turns, each with its own weights.

A second engine would take the memory twice, and on a GPU vLLM cannot put two of one process to sleep. Engines belong to whoever
runs the phases (`owned_engines`), not to backends, which come and go: the next phase finds the engine of the one before, whatever
still holds an older backend, and all of them end with their owner.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from agents.backends.base import Sampling, SyncReport
from agents.backends.lora import AdapterShape
from agents.backends.remote import RemoteEngine
from agents.backends.vllm_engine import VLLMEngine
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vlm import EncodedPrompt

NamedParameters = Iterable[tuple[str, Tensor]]


class Engine(Protocol):
    """`VLLMEngine`, or one in a process of its own."""

    settings: EngineSettings
    ready: bool

    @property
    def usable(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def generate(self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling) -> list[list[Any]]: ...
    def token_scores(self, prompts: Sequence[EncodedPrompt], token_ids: Sequence[int]) -> list[list[float]]: ...
    def sync(self, named_parameters: NamedParameters) -> SyncReport: ...
    def drop_adapters(self) -> None: ...
    def weights(self) -> dict[str, Tensor]: ...
    def close(self) -> None: ...


class Tenant(Protocol):
    """What takes turns: a backend with the weights that it was synced with last, and adapters beside them where it has some."""

    report: SyncReport | None  # of whole weights
    adapters: Mapping[str, Tensor]  # by the names that a sync gives them
    adapters_report: SyncReport | None

    def weights(self) -> NamedParameters: ...
    def leave(self, engine: Engine) -> None:
        """Called before other weights replace those of this tenant."""
        ...


class SharedEngine:
    """An engine and whose weights it holds. One thread at a time uses it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.RLock()
        self._tenant: weakref.ref[Tenant] | None = None
        self._holds: SyncReport | None = None
        self._slot: SyncReport | None = None  # the adapters that the engine holds

    def works(self) -> bool:
        """False after it was closed, and where a call never came to its end. Waits for one that is under way."""
        with self._lock:
            return self.engine.usable

    def sync(self, tenant: Tenant, named_parameters: NamedParameters) -> SyncReport:
        """New weights of a tenant. Raises as `VLLMEngine.sync`; the engine then holds nobody's weights."""
        with self._lock:
            self._make_room(tenant)
            self._holds = self._slot = None
            self._holds = tenant.report = self.engine.sync(named_parameters)
            self._tenant = weakref.ref(tenant)
            return self._holds

    def sync_adapters(self, tenant: Tenant, named_parameters: NamedParameters) -> SyncReport:
        """New adapters of a tenant, beside the whole weights of its last sync. Raises as `VLLMEngine.sync`."""
        with self._lock:
            self._take_over(tenant)
            self._slot = None
            self._slot = tenant.adapters_report = self.engine.sync(named_parameters)
            return self._slot

    @contextmanager
    def with_weights_of(self, tenant: Tenant) -> Iterator[Engine]:
        """The engine, with the weights that this tenant was synced with last, whatever others did since."""
        with self._lock:
            self._take_over(tenant)
            if self._slot != tenant.adapters_report:
                if tenant.adapters_report is None:
                    self.engine.drop_adapters()
                    self._slot = None
                else:
                    self.sync_adapters(tenant, tenant.adapters.items())
            yield self.engine

    def _take_over(self, tenant: Tenant) -> None:
        """The engine holds the whole weights of this tenant."""
        if self._is(tenant) or tenant.report is None:
            return
        if self._holds == tenant.report and self.engine.ready:
            self._make_room(tenant)
            self._tenant = weakref.ref(tenant)
        else:
            self.sync(tenant, tenant.weights())

    def _is(self, tenant: Tenant) -> bool:
        return self._tenant is not None and self._tenant() is tenant

    def _make_room(self, tenant: Tenant) -> None:
        before = self._tenant() if self._tenant is not None else None
        if before is not None and before is not tenant:
            if self._holds is not None and self.engine.ready:
                before.leave(self.engine)
            self._tenant = None


@dataclass(frozen=True)
class Expected:
    """See `owned_engines`."""

    decoding_steps: int = 0
    adapters: AdapterShape | None = None


_engines: dict[tuple[str, float | None], SharedEngine] = {}  # by the signature of their settings and by where they run
_lock = threading.Lock()
_owners: list[Expected] = []  # what each owner expects of its engines, the outermost first


def engine_of(settings: EngineSettings, call_limit_s: float | None = None) -> SharedEngine:
    """The engine for such models, started where there is none that works: in this process, or with `call_limit_s` in one of its
    own. Raises as `VLLMEngine`."""
    key = (settings.signature, call_limit_s)
    with _lock:
        shared = _engines.get(key)
        if shared is None or not shared.works():
            started: Engine = VLLMEngine(settings) if call_limit_s is None else RemoteEngine(settings, call_limit_s)
            shared = _engines[key] = SharedEngine(started)
        return shared


def expected() -> Expected:
    """What the owner of the engines will ask for."""
    return _owners[0] if _owners else Expected()


@contextmanager
def owned_engines(decoding_steps: int = 0, adapters: AdapterShape | None = None) -> Iterator[None]:
    """Engines that are started within end with the block, however it ends; the outermost one owns them. `decoding_steps`: how many
    tokens one after another it will ask for, which decides `rollouts.graphs=auto`. `adapters`: those that it will train, so that
    the engine of its first phase has a slot for them."""
    _owners.append(Expected(decoding_steps, adapters))
    try:
        yield
    finally:
        _owners.pop()
        if not _owners:
            end_engines()


def end_engines() -> None:
    """End all engines that backends take turns on. A backend that is used again starts one."""
    with _lock:
        engines = [shared.engine for shared in _engines.values()]
        _engines.clear()
    for engine in engines:
        if engine.usable:  # not one whose call never came to its end: nothing can be said to it
            engine.close()


__all__ = ["Engine", "Expected", "SharedEngine", "Tenant", "end_engines", "engine_of", "expected", "owned_engines"]
