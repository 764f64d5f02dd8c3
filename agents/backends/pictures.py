"""A cache of a frozen vision tower's features for a whole run, since a data set's pictures come again in every epoch."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

Picture = tuple[Tensor, Tensor]  # patches [N, D] and grid [1, 3]


class PictureFeatures:
    """Features [tokens, D] of pictures, by their content, in main memory; beyond `mib` the least recently used ones go.

    Every picture passes the tower alone, so that its features never depend on the rest of the batch, and a resumed run, which
    starts with an empty cache, has the same last bits.
    """

    def __init__(self, mib: int) -> None:
        self.room = mib << 20
        self._held: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0
        self._stamp: Hashable = None

    def many(self, pictures: Sequence[Picture], make: Callable[[Picture], Tensor], stamp: Hashable) -> list[Tensor]:
        """Features in order, on the device of `make`'s; `make` is called once for each picture that is not known. Another
        `stamp` (the version of the weights) makes all of them stale."""
        if stamp != self._stamp:
            self._held.clear()
            self._bytes, self._stamp = 0, stamp
        features: dict[bytes, Tensor] = {}  # what was evicted while these were collected is not needed twice
        keys = [_key(picture) for picture in pictures]
        for key, picture in zip(keys, pictures, strict=True):
            if key in self._held:
                self._held.move_to_end(key)
                features[key] = self._held[key]
            elif key not in features:
                features[key] = make(picture)
                self._keep(key, features[key].cpu())
        return [features[key] for key in keys]

    def _keep(self, key: bytes, features: Tensor) -> None:
        self._held[key] = features
        self._bytes += features.nbytes
        while self._bytes > self.room:
            self._bytes -= self._held.popitem(last=False)[1].nbytes


def _key(picture: Picture) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in picture:
        digest.update(repr((part.dtype, tuple(part.shape))).encode())
        digest.update(part.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.digest()


__all__ = ["Picture", "PictureFeatures"]
