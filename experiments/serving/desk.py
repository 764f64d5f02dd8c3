"""One person's place in the workshop: the session on one picture, the plan that lies ready, and the names of its pictures."""

from __future__ import annotations

import io
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from agents.session import Session
from agents.traces import Trace, digest
from common.alpha import put_back
from common.pictures import Picture

DOWNLOAD = "download"  # the name of the result with its transparency, beside the digests of the pictures that are shown


@dataclass(eq=False)
class Turn:
    """A turn in progress, or one that waits. Who sets `stop` ends it. `pictures`: those of its calls so far, by digest."""

    stop: threading.Event = field(default_factory=threading.Event)
    pictures: dict[str, Image.Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """A plan that was made and not yet carried out."""

    request: str
    sub_requests: tuple[str, ...]
    source: str
    intent: str | None = None  # what the request means by itself, where that was written


@dataclass
class Desk:
    """`owner` is the browser that opened it. Only who has its `turn` changes the session and the draft."""

    key: str
    owner: str
    given: Picture
    session: Session
    title: str  # what the picture is called
    used: float  # when, by the workshop's clock
    draft: Draft | None = None
    turn: Turn | None = None

    @classmethod
    def of(cls, owner: str, given: Picture, title: str, used: float) -> Desk:
        """A new one. The session's id comes from the pixels, as in experiments.edit: the same picture gets the same seeds."""
        session = Session.start(digest(given.rgb), given.rgb)
        return cls(secrets.token_urlsafe(18), owner, given, session, title, used)

    def pictures(self) -> dict[str, Image.Image]:
        """All pictures of the session, those of undone turns too, by the digest of their pixels."""
        named = {self.session.source_digest: self.session.source}
        for turn in (*self.session.turns, *self.session.undone):
            named.update(zip(turn.trace.digests, turn.trace.pictures, strict=True))
        return named

    def png(self, name: str) -> bytes | None:
        """The PNG file of a picture: by its digest, or the result (`DOWNLOAD`). None where there is none of this name."""
        if name == DOWNLOAD:
            return encode(put_back(self.session.picture, self.given)[0])
        turn = self.turn
        image = self.pictures().get(name) or (None if turn is None else turn.pictures.get(name))
        return None if image is None else encode(image)

    @property
    def file_name(self) -> str:
        """Of the result, when it is downloaded."""
        return f"{Path(self.title).stem or 'picture'}_edited.png"

    @property
    def held(self) -> int:
        """Bytes that its pictures take."""
        return sum(3 * p.width * p.height for p in self.pictures().values())

    @property
    def last(self) -> Trace | None:
        return self.session.turns[-1].trace if self.session.turns else None


def encode(image: Image.Image) -> bytes:
    """A PNG file, without loss and without metadata."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    return file.getvalue()


__all__ = ["DOWNLOAD", "Desk", "Draft", "Turn", "encode"]
