"""The interface of all rollout engines. Token-in, token-out: token ids are never rendered to text and tokenised again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor

from common.errors import BadInput


@dataclass(frozen=True)
class ModelRequest:
    """One user turn, already a full user message (the prompt file filled in), with its pictures (RGB) before the text; or
    with text and pictures in the order of `parts`, which then are the whole message."""

    text: str = ""
    images: tuple[Image.Image, ...] = ()
    parts: tuple[str | Image.Image, ...] = ()
    system: str = ""  # "": no system turn but the chat template's own
    answer: tuple[int, ...] = ()  # tokens with which the answer begins; what is generated goes on from them

    def __post_init__(self) -> None:
        if self.parts and (self.text or self.images):
            raise BadInput("a request has either text and images, or parts")

    @property
    def content(self) -> tuple[str | Image.Image, ...]:
        return self.parts or (*self.images, self.text)


@dataclass(frozen=True)
class Sampling:
    """How to sample. `temperature` 0 is greedy; `top_p` 1 and `top_k` -1 do not truncate the distribution.

    `seed` alone decides the draws: the process's own random state is neither read nor changed. `rows` says which rows of the
    seed's draws the requests take, so that ranks which share a batch draw what one process would; None: 0, 1, 2, ...
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    seed: int = 0
    rows: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise BadInput(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if not 0 <= self.temperature < float("inf"):
            raise BadInput(f"temperature must be 0 (greedy) or a positive number, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"top_p must lie in (0, 1], not {self.top_p}")
        if self.top_k != -1 and self.top_k < 1:
            raise BadInput(f"top_k must be -1 (off) or at least 1, not {self.top_k}")

    @property
    def untruncated(self) -> bool:
        """Whether every token keeps its own probability, as importance ratios need."""
        return self.temperature > 0 and self.top_p == 1 and self.top_k == -1


@dataclass(frozen=True)
class Completion:
    """One answer. `token_ids` include the end token that closed it; `logprobs` are those of the distribution that was
    sampled from (temperature, bans and any truncation applied; at temperature 0 those of temperature 1);
    `finish_reason` is "stop" or "length"."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    finish_reason: str


@dataclass(frozen=True)
class SyncReport:
    """Proof of a weight sync: how many parameters, elements and bytes of what was sent the engine now holds, and a checksum over
    all of them."""

    names: int
    elements: int
    checksum: str
    bytes: int = 0


@runtime_checkable
class Backend(Protocol):
    """A rollout engine."""

    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        """n completions of each request, [P][n], in the order given."""
        ...

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """Write every parameter exactly once and prove it; raises RunFailed naming what was missing, doubled or unknown. An engine
        with a slot for adapters also takes those of a training alone (`rl/weight_sync.py`)."""
        ...


_CHUNK = 1 << 20  # elements per piece: the int64 work copy stays at 8 MiB
_INTS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@torch.no_grad()
def tensor_checksum(tensor: Tensor) -> int:
    """Position-weighted sum of the raw bits modulo 2^64, computed on the tensor's device. Equal bits <=> equal sum,
    up to accidents; a permutation of the elements changes it."""
    bits = tensor.detach().contiguous().view(-1).view(_INTS[tensor.element_size()])
    total = 0
    for k, piece in enumerate(bits.split(_CHUNK)):
        weights = torch.arange(1, piece.numel() + 1, device=bits.device) * 2654435761
        total = (total * 31 + (k + 1) * int((piece.long() * weights).sum())) % 2**64
    return total


def fingerprint(named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
    """Names, elements and checksum of parameters; independent of their order."""
    rows, elements, size = [], 0, 0
    for name, p in named_parameters:
        rows.append((name, tuple(p.shape), str(p.dtype), tensor_checksum(p)))
        elements, size = elements + p.numel(), size + p.nbytes
    return SyncReport(len(rows), elements, hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:16], size)


__all__ = ["Backend", "Completion", "ModelRequest", "Sampling", "SyncReport", "fingerprint", "tensor_checksum"]
