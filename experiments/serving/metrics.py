"""What `/metrics` shows, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from experiments.serving.kept import PATH as PICTURES

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
PATHS = ("/v1/images/edits", "/v1/pictures", "/v1/models", "/health", "/metrics")


def plain(path: str) -> str:
    """Without the name of a kept picture, which is a secret."""
    return PICTURES.rstrip("/") if path.startswith(PICTURES) else path


class Metrics:
    """A registry of its own, so that several servers of one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "imageedit_requests", "Requests by path and status.", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "imageedit_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["path"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "imageedit_batch_size", "Pictures that were edited together.", buckets=SIZES, registry=self.registry
        )
        self.pictures = Counter(
            "imageedit_pictures", "Pictures that were sent, by model.", ["model"], registry=self.registry
        )
        self.abandoned = Counter(
            "imageedit_abandoned", "Requests whose client went away before its answer.", registry=self.registry
        )
        self.waiting = Gauge("imageedit_queue_length", "Pictures that wait for their turn.", registry=self.registry)
        self._active = 0  # only touched by the thread of the event loop
        active = Gauge(
            "imageedit_requests_in_progress", "Requests under way, uploads included.", registry=self.registry
        )
        active.set_function(self.under_way)

    def under_way(self) -> int:
        return self._active

    def began(self) -> None:
        self._active += 1

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        self.waiting.set_function(waiting)

    def ended(self, path: str, status: int, seconds: float) -> None:
        self._active -= 1
        name = plain(path)
        name = name if name in PATHS else "/v1/models" if name.startswith("/v1/models/") else "other"
        self.requests.labels(name, str(status)).inc()
        self.seconds.labels(name).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


__all__ = ["Metrics", "plain"]
