"""One vLLM engine of a process for all models of one shape: phases take turns, each with its own weights.

A second engine would take the memory twice, and on a GPU vLLM cannot put two of one process to sleep.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor

from agents.backends.base import SyncReport
from agents.backends.vllm_engine import VLLMEngine
from agents.backends.vllm_settings import EngineSettings

NamedParameters = Iterable[tuple[str, Tensor]]


class Tenant(Protocol):
    """What takes turns: a backend with the weights that it was synced with last."""

    report: SyncReport | None

    def weights(self) -> NamedParameters: ...
    def leave(self, engine: VLLMEngine) -> None:
        """Called before other weights replace those of this tenant."""
        ...


class SharedEngine:
    """An engine and whose weights it holds. One thread at a time uses it."""

    def __init__(self, engine: VLLMEngine) -> None:
        self.engine = engine
        self._lock = threading.RLock()
        self._tenant: weakref.ref[Tenant] | None = None
        self._holds: SyncReport | None = None

    def works(self) -> bool:
        """False after it was closed, and where a call never came to its end. Waits for one that is under way."""
        with self._lock:
            return self.engine.usable

    def sync(self, tenant: Tenant, named_parameters: NamedParameters) -> SyncReport:
        """New weights of a tenant. Raises as `VLLMEngine.sync`; the engine then holds nobody's weights."""
        with self._lock:
            self._make_room(tenant)
            self._holds = None
            self._holds = tenant.report = self.engine.sync(named_parameters)
            self._tenant = weakref.ref(tenant)
            return self._holds

    @contextmanager
    def with_weights_of(self, tenant: Tenant) -> Iterator[VLLMEngine]:
        """The engine, with the weights that this tenant was synced with last, whatever others did since."""
        with self._lock:
            if not self._is(tenant) and tenant.report is not None:
                if self._holds == tenant.report and self.engine.ready:
                    self._make_room(tenant)
                    self._tenant = weakref.ref(tenant)
                else:
                    self.sync(tenant, tenant.weights())
            yield self.engine

    def _is(self, tenant: Tenant) -> bool:
        return self._tenant is not None and self._tenant() is tenant

    def _make_room(self, tenant: Tenant) -> None:
        before = self._tenant() if self._tenant is not None else None
        if before is not None and before is not tenant:
            if self._holds is not None and self.engine.ready:
                before.leave(self.engine)
            self._tenant = None


_engines: dict[str, SharedEngine] = {}  # by the signature of their settings
_lock = threading.Lock()


def shared_engine(settings: EngineSettings) -> SharedEngine:
    """The engine of this process for such models, started where there is none that works. Raises as `VLLMEngine`."""
    with _lock:
        shared = _engines.get(settings.signature)
        if shared is None or not shared.works():
            shared = _engines[settings.signature] = SharedEngine(VLLMEngine(settings))
        return shared


__all__ = ["SharedEngine", "Tenant", "shared_engine"]
