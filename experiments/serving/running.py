"""The life of the server: listen, load, answer, and end in order."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from ipaddress import ip_address

from common.errors import BadInput
from common.progress import say
from conf.schema import ServeConfig
from experiments.serving.api import Service, create_app
from experiments.serving.arms import Arms
from experiments.serving.batching import Batcher
from experiments.serving.form import Rules
from experiments.serving.kept import KeptPictures
from experiments.serving.keys import Keys
from experiments.serving.limits import MB, PictureLimits
from experiments.serving.loading import ABOUT, SandboxOnly, fingerprints, load_arms
from experiments.serving.metrics import Metrics
from experiments.serving.server import address_of, listen, server_for


def serve(config: ServeConfig, names: Sequence[str], rules: Rules, keys: Keys) -> None:
    """Returns when a signal has ended the server and everything accepted is answered. Raises BadInput where it cannot listen, and
    what loading the models raises."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    sock = listen(config.host, config.port)
    metrics, prints = Metrics(), dict[str, str]()

    def load() -> Arms:
        began = time.perf_counter()
        arms = load_arms(config, names)
        prints.update(fingerprints(config, names))
        say(f"ready after {time.perf_counter() - began:.1f} s")
        return arms

    def failed(error: BaseException) -> None:
        server.should_exit = True

    batcher = Batcher(load, config.batch_size, config.queue_size, metrics.batches.observe, failed)
    service = Service(
        batcher,
        {name: ABOUT[name] for name in names},
        rules,
        PictureLimits(int(config.max_upload_mb * MB), config.max_pixels),
        keys,
        metrics,
        SandboxOnly(config, names),
        prints,
        config.max_requests,
        config.max_wait_s,
        config.upload_s,
        KeptPictures(60 * config.keep_minutes, config.keep_pictures, config.keep_mb * MB),
        base_of(config.public_url),
    )
    server = server_for(create_app(service), config.stop_s)
    say(
        f"listening at {address_of(sock)}/v1, models: {', '.join(names)} (editor={config.editor.name}); Ctrl-C stops it"
    )
    if not keys and not is_loopback(sock.getsockname()[0]):
        say("note: everybody who reaches this address can use the server; key_env=<variable> asks for a key")
    batcher.start()
    server.run(sockets=[sock])
    batcher.close()
    service.kept.clear()
    if batcher.failure is not None:
        raise batcher.failure
    say("stopped; every request that was accepted has its answer")


def base_of(public_url: str) -> str:
    """With the "/" at its end. Raises BadInput where it is no address of the web."""
    if public_url and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", public_url):
        raise BadInput(f"public_url={public_url} is no address; give one such as https://images.example.org")
    return public_url.rstrip("/") + "/" if public_url else ""


def is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback


__all__ = ["serve"]
