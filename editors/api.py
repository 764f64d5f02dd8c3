"""Editors behind an HTTP interface: what they share. `nano_banana.py`, `gpt_image.py` and `served.py` hold the protocols.

What is sent: the picture as PNG at one of the sizes that the service draws at (the one of nearest aspect ratio), scaled to
fit, never cropped, the rest filled by repeating the edge; and the instruction as it is. The reply is scaled to that size
where it has another, the filled part is taken off, and the rest goes back to the input's size.

What is kept: every reply's picture as it came, and every refusal, in a cache on disk under the hash of provider, model,
parameters, instruction, seed and the picture's pixels. A rerun asks nothing, and needs no key. The services promise no
picture per seed, so it is the cache that makes the same seed give the same picture; another seed asks for another sample.
"""

from __future__ import annotations

import io
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

from PIL import Image

from common.errors import BadInput, SaveFailed
from common.http import HttpResult, HttpSettings, JsonClient
from common.pictures import to_rgb
from common.replies import Unusable
from editors.base import check_batch
from editors.cache import DiskCache, Entry, content_key
from editors.canvas import fill, nearest_fit, open_picture
from editors.geometry import Fit, restore
from editors.outcomes import EditsFailed, Outcome

logger = logging.getLogger(__name__)

MAX_STRETCH = 0.03  # services round their sizes; a reply whose aspect ratio is further off is said in a warning
CACHE_VERSION = 1  # raised when what is sent for the same arguments changes


@dataclass(frozen=True, kw_only=True)
class ApiSettings(HttpSettings):
    """One API editor. Defaults per provider: `nano_banana.settings()` and `gpt_image.settings()`."""

    model: str  # the service's own name, pinned: it is part of the cache's key
    parameters: Mapping[str, Any] = field(default_factory=dict)  # further request fields, sent as they are
    organization: str = ""  # gpt_image only: the OpenAI-Organization header, for keys of several organisations
    cache: Path = Path("outputs/cache/api_editors")


@dataclass(frozen=True)
class HttpRequest:
    path: str
    body: bytes
    content_type: str


class ApiEditor(ABC):
    """`edit` as in `editors.base.Editor`, asking a service from `concurrency` threads. `sleep` is for tests."""

    provider: ClassVar[str]
    sizes: ClassVar[Sequence[tuple[int, int]]]  # (width, height) that the service draws at
    own_fields: ClassVar[Set[str]]  # of a request: set by the editor, so never by `parameters`

    def __init__(self, settings: ApiSettings, sleep: Callable[[float], object] = time.sleep) -> None:
        if clash := self.own_fields & set(settings.parameters):
            raise BadInput(
                f"parameters of {self.provider} must not hold {', '.join(sorted(clash))}: the editor sets them"
            )
        try:
            json.dumps(dict(settings.parameters), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadInput(f"parameters of {self.provider} must be plain JSON values: {error}") from None
        self.settings = settings
        self._client = JsonClient(settings, self.auth, sleep)
        self._cache = DiskCache(settings.cache)

    @abstractmethod
    def auth(self, key: str) -> dict[str, str]:
        """Headers that carry the key."""

    @abstractmethod
    def request(self, png: bytes, size: tuple[int, int], instruction: str, seed: int) -> HttpRequest:
        """The request for a picture that has one of `sizes`."""

    def fit(self, size: tuple[int, int]) -> Fit:
        """Where a picture of this (width, height) goes in what is sent."""
        return nearest_fit(size, self.sizes)

    def identity(self) -> dict[str, Any]:
        """What of the settings decides a picture: a part of the cache's key."""
        return {"model": self.settings.model, "parameters": dict(self.settings.parameters)}

    def ask(
        self, png: bytes, size: tuple[int, int], instruction: str, seed: int
    ) -> HttpResult[tuple[bytes, Image.Image]]:
        """Send one request and read its reply: the picture's file and the picture. Raises as `JsonClient.post`."""
        request = self.request(png, size, instruction, seed)
        return self._client.post(request.path, request.body, request.content_type, Pictures(self))

    @abstractmethod
    def read(self, reply: dict[str, Any]) -> bytes:
        """As in `common.replies.Reader`: the picture's file. Raises Unusable or Refused."""

    @abstractmethod
    def refusal(self, reply: dict[str, Any]) -> str:
        """As in `common.replies.Reader`."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        """Raises EditsFailed, after all items are done, where one has no picture; otherwise as `outcomes`."""
        outcomes = self.outcomes(images, instructions, seeds)
        done = [o.image for o in outcomes if o.image is not None]
        if len(done) < len(outcomes):
            raise EditsFailed(outcomes)
        return done

    def outcomes(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Outcome]:
        """One outcome per item, in order, for callers that count refusals. Equal items of a batch are asked once.

        Raises BadInput where something must be asked and the key is missing (before any request) or rejected (nothing
        more is asked then, and what was done is cached), and SaveFailed where what would be asked cannot be cached.
        """
        check_batch(images, instructions, seeds)
        rgb = [to_rgb(image) for image in images]
        items = list(zip(rgb, instructions, seeds, strict=True))
        keys = [self._key(*item) for item in items]
        stop = Event()

        def work(key: str, item: tuple[Image.Image, str, int]) -> Outcome | BadInput | SaveFailed:
            if stop.is_set():
                return Outcome(None, False, "not asked", 0, False)
            try:
                return self._outcome(key, *item)
            except (BadInput, SaveFailed) as error:  # a matter of the key or the disk, so of all items
                stop.set()
                return error

        pool = ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix=self.provider)
        try:
            jobs = {key: pool.submit(work, key, item) for key, item in dict(zip(keys, items, strict=True)).items()}
            results = {key: job.result() for key, job in jobs.items()}
        finally:  # on Ctrl-C too: what is under way is paid for and gets cached, what waits is not asked
            pool.shutdown(cancel_futures=True)
            self._client.close()
        outcomes = []
        for result in (results[key] for key in keys):
            if not isinstance(result, Outcome):
                raise result
            outcomes.append(replace(result, image=None if result.image is None else result.image.copy()))
        return outcomes  # copies, so that equal items do not share a picture

    def _key(self, image: Image.Image, instruction: str, seed: int) -> str:
        return content_key(
            version=CACHE_VERSION,
            provider=self.provider,
            **self.identity(),
            instruction=instruction,
            seed=int(seed),
            size=image.size,
            pixels=image.tobytes(),
        )

    def _outcome(self, key: str, image: Image.Image, instruction: str, seed: int) -> Outcome:
        fit = self.fit(image.size)
        entry = self._cache.get(key)
        if entry is not None and entry.meta.get("kind") == "refusal":
            return Outcome(None, True, str(entry.meta.get("reason")), 0, True)
        if entry is not None:
            try:
                return self._restored(open_picture(entry.blob), fit, 0, True)
            except Unusable as error:
                logger.warning("the cache entry %s holds no picture (%s); asking again", self._cache.path(key), error)
        self._cache.check_writable()
        png = io.BytesIO()
        fill(image, fit).save(png, "PNG", compress_level=1)  # lossless at any level; higher ones only cost time
        answer = self.ask(png.getvalue(), fit.grid, instruction, seed)
        if answer.value is None and not answer.refused:
            return Outcome(None, False, answer.reason, answer.tries, False)
        self._keep(key, answer)
        if answer.value is None:
            return Outcome(None, True, answer.reason, answer.tries, False)
        return self._restored(answer.value[1], fit, answer.tries, False)

    def _keep(self, key: str, answer: HttpResult[tuple[bytes, Image.Image]]) -> None:
        meta = {"provider": self.provider, "model": self.settings.model, "tries": answer.tries}
        if answer.value is None:
            entry = Entry({**meta, "kind": "refusal", "reason": answer.reason})
        else:
            entry = Entry({**meta, "kind": "picture"}, answer.value[0])
        try:
            self._cache.put(key, entry)
        except SaveFailed as error:  # the picture is here and paid for: better handed on than lost
            logger.warning("%s", error)

    def _restored(self, reply: Image.Image, fit: Fit, tries: int, cached: bool) -> Outcome:
        stretch = abs(reply.width / reply.height / (fit.grid[0] / fit.grid[1]) - 1)
        if stretch > MAX_STRETCH:
            sent, back = ("{}x{}".format(*size) for size in (fit.grid, reply.size))
            logger.warning("%s was sent %s and returned %s; it is scaled to fit", self.settings.model, sent, back)
        if reply.size != fit.grid:
            reply = reply.resize(fit.grid, Image.Resampling.LANCZOS)
        return Outcome(restore(reply, fit), False, "", tries, cached, stretch)


@dataclass
class Pictures:
    """Reads a reply to the picture's file and the picture, so that a damaged one is asked for again."""

    editor: ApiEditor

    def read(self, reply: dict[str, Any]) -> tuple[bytes, Image.Image]:
        data = self.editor.read(reply)
        return data, open_picture(data)

    def refusal(self, reply: dict[str, Any]) -> str:
        return self.editor.refusal(reply)


__all__ = ["ApiEditor", "ApiSettings", "EditsFailed", "HttpRequest", "Outcome", "Pictures"]
