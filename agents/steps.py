"""What happens while the team works on a sample, as events: for a terminal, a browser, or whoever shows a run.

    for batch in team.run(samples, watch=lambda step: print(step)): ...

The events of one sample come in order: `Intended` where a writer of intents takes part, `Decomposed`, `Planned`, then a `Called`
after each call of the editor. In a closed loop each answer gives a `Decided` and, where a call follows, a `Called`. The samples of
a batch advance together: their events are mixed. An exception that a watcher raises ends the run: that is how a person gives up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from benchmarks.base import Decomposition


@dataclass(frozen=True)
class Intended:
    """Before a turn of a session: what it means by itself. `fallback`: why that is the request as it was said; "" where a writer
    of intents wrote it. Not sent for a first turn, of which nobody is asked."""

    sample_id: str
    instruction: str
    fallback: str = ""


@dataclass(frozen=True)
class Decomposed:
    """The decomposer answered with `text`; `decomposition` is None where it cannot be read, and `error` says why. Not sent where no
    decomposer takes part: the editor alone, or a plan that was given."""

    sample_id: str
    text: str
    decomposition: Decomposition | None
    error: str | None


@dataclass(frozen=True)
class Planned:
    """The sub-requests in the order in which they will be carried out. `source`: who wrote them, as in `Trace.source`."""

    sample_id: str
    sub_requests: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Called:
    """Call `number` (from 1) of `total` ended (in a closed loop `total` is the most that may be made). `picture` is None where it
    gave none, and `failure` says why."""

    sample_id: str
    number: int
    total: int
    instruction: str
    picture: Image.Image | None = field(compare=False, repr=False)
    failure: str = ""


@dataclass(frozen=True)
class Decided:
    """Answer `number` (from 1) of a closed loop, before its call is made. `kind`: "edit", "again" (the last call is taken back),
    "stop" or "malformed". `base` is the number of the picture that its call is made on, None where it makes none."""

    sample_id: str
    number: int
    kind: str
    text: str
    sub_requests: tuple[str, ...] = ()
    error: str | None = None
    base: int | None = None


Step = Intended | Decomposed | Planned | Called | Decided
Watch = Callable[[Step], None]

__all__ = ["Called", "Decided", "Decomposed", "Intended", "Planned", "Step", "Watch"]
