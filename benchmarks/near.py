"""Near-duplicates among short texts: which texts are too similar to one that must not be trained on.

Two texts are as near as the Jaccard similarity of their sets of shingles, |A ∩ B| / |A ∪ B|, a shingle being four
characters in a row of the text without case, punctuation and invisible characters. 1.0 is the same wording; at the
default of 0.7 "remove the dogs" is near "remove the dog" (0.80), "remove the cat" is not (0.53).

The search is exact, no sampling as in MinHash: with all shingles in one fixed order, the rarest first, two sets of
similarity t or more share one of the first |A| - ceil(t |A|) + 1 of A and of B (prefix filtering, Chaudhuri et al. 2006;
Bayardo et al. 2007). Only pairs that do are compared, and of these only those whose sketches leave it possible. Shingles
are 64-bit hashes: among a million different ones the chance that any two fall together is 3e-8.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.sparse as sp

from common.errors import BadInput

WIDTH = 4  # characters of a shingle
THRESHOLD = 0.7
CHUNK = 4096  # texts looked up together; bounds memory
PAIRS = 1 << 16  # pairs compared together
WORDS = 8  # 64-bit words of a text's sketch


@dataclass(frozen=True)
class Near:
    """The nearest text: its number in the sequence that was indexed, and the similarity."""

    index: int
    similarity: float


def normalised(text: str) -> str:
    """`text` without case, width, punctuation and invisible characters; what consists of nothing else stays."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_plain()).split()) or " ".join(folded.split())


@cache
def _plain() -> dict[int, str | None]:
    """Punctuation to spaces; format characters (zero width) away."""
    table: dict[int, str | None] = {ord(c): " " for c in "<>=^`|~+_$"}
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        if kind[0] == "P":
            table[code] = " "
        elif kind == "Cf":
            table[code] = None
    table[ord("'")] = table[ord("’")] = None  # dog's -> dogs
    return table


def shingles(text: str) -> frozenset[str]:
    """Of the normalised text with one space before and after it; a shorter text is one shingle."""
    padded = f" {normalised(text)} "
    return frozenset(padded[i : i + WIDTH] for i in range(max(1, len(padded) - WIDTH + 1)))


def jaccard(one: str, other: str) -> float:
    """|A ∩ B| / |A ∪ B| of the two texts' shingles, in [0, 1]."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


class NearIndex:
    """`texts` are those to avoid; `nearest` gives the closest of them for other texts. Order of `texts` does not matter
    but for the numbers: of equally near texts the one that sorts first is named. Raises BadInput for a threshold
    outside (0, 1]."""

    def __init__(self, texts: Sequence[str], threshold: float = THRESHOLD) -> None:
        if not 0 < threshold <= 1:
            raise BadInput(f"near={threshold} is no similarity; give more than 0 and at most 1 (usual: {THRESHOLD})")
        self.threshold = threshold
        first: dict[str, int] = {}
        for i in sorted(range(len(texts)), key=lambda i: (texts[i], i)):
            first.setdefault(normalised(texts[i]), i)
        plain = sorted(first)
        self.numbers = np.array([first[p] for p in plain], dtype=np.int64)
        owner, hashes = _hashed(plain)
        self.sizes = np.bincount(owner, minlength=len(plain))
        self.known, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        self.rank = np.empty(len(self.known), dtype=np.int64)  # rarest first, ties by hash
        self.rank[np.lexsort((self.known, counts))] = np.arange(len(self.known))
        self.whole = _matrix(owner, place, len(plain), len(self.known))
        self.sketches = _sketches(owner, hashes, len(plain))
        mine = self._prefix(owner, self.rank[place], self.sizes)
        self.prefix = _matrix(owner[mine], place[mine], len(plain), len(self.known)).T.tocsr()

    def nearest(self, texts: Sequence[str]) -> list[Near | None]:
        """For each text the nearest indexed one, None where none is within the threshold."""
        nearest: list[Near | None] = []
        for start in range(0, len(texts), CHUNK):
            nearest += self._chunk([normalised(t) for t in texts[start : start + CHUNK]])
        return nearest

    def _chunk(self, plain: list[str]) -> list[Near | None]:
        best: list[Near | None] = [None] * len(plain)
        if not len(self.numbers):
            return best
        owner, hashes = _hashed(plain)
        sizes = np.bincount(owner, minlength=len(plain))
        place = np.minimum(np.searchsorted(self.known, hashes), len(self.known) - 1)
        seen = self.known[place] == hashes
        rank = np.where(seen, self.rank[place], -1)  # what no indexed text has is rarest of all and finds nothing
        mine = self._prefix(owner, rank, sizes) & seen
        shape = (len(plain), len(self.known))
        pairs = (_matrix(owner[mine], place[mine], *shape) @ self.prefix).tocoo()
        rows, columns = pairs.row, pairs.col
        fits = self._possible(_sketches(owner, hashes, len(plain)), sizes, rows, columns)
        rows, columns = rows[fits], columns[fits]
        whole = _matrix(owner[seen], place[seen], *shape)
        for i, j, similarity in self._compare(whole, sizes, rows, columns):
            nearest = best[i]
            if nearest is None or (similarity, -j) > (nearest.similarity, -nearest.index):
                best[i] = Near(j, similarity)
        return [None if n is None else Near(int(self.numbers[n.index]), n.similarity) for n in best]

    def _possible(self, sketches: np.ndarray, sizes: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """False where sizes or sketches rule the pair out. Every bit that differs needs a shingle that one of the two
        lacks, so at least that many differ: |A ∩ B| <= (|A| + |B| - bits) / 2."""
        fits = np.zeros(len(rows), dtype=bool)
        for start in range(0, len(rows), PAIRS):
            piece = slice(start, start + PAIRS)
            a, b = sizes[rows[piece]], self.sizes[columns[piece]]
            bits = np.bitwise_count(sketches[rows[piece]] ^ self.sketches[columns[piece]]).sum(axis=1, dtype=np.int64)
            both = np.minimum((a + b - bits) / 2, np.minimum(a, b))
            fits[piece] = both >= self.threshold * (a + b - both) - 1e-9
        return fits

    def _compare(
        self, whole: sp.csr_matrix, sizes: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> Iterator[tuple[int, int, float]]:
        """(text, indexed text, similarity) of the pairs within the threshold."""
        for start in range(0, len(rows), PAIRS):
            r, c = rows[start : start + PAIRS], columns[start : start + PAIRS]
            both = np.asarray(whole[r].multiply(self.whole[c]).sum(axis=1)).ravel()
            similarity = both / (sizes[r] + self.sizes[c] - both)
            near = similarity >= self.threshold
            yield from zip(r[near].tolist(), c[near].tolist(), similarity[near].tolist(), strict=True)

    def _prefix(self, owner: np.ndarray, rank: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Which (text, shingle) entries are among the text's first |A| - ceil(t |A|) + 1."""
        order = np.lexsort((rank, owner))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        position = np.empty(len(owner), dtype=np.int64)
        position[order] = np.arange(len(owner)) - starts[owner[order]]
        length = sizes - np.ceil(self.threshold * sizes - 1e-9).astype(np.int64) + 1
        return position < length[owner]


def _matrix(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(height, width))


def _hashed(plain: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every text's set of shingles as (number of the text, 64-bit hash), sorted; texts are normalised already."""
    if not plain:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    padded = [f" {p} ".ljust(WIDTH, "\0") for p in plain]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    counts = np.array([len(p) - WIDTH + 1 for p in padded])
    owner = np.repeat(np.arange(len(padded)), counts)
    offsets = np.cumsum([0, *(len(p) for p in padded[:-1])])
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    start = offsets[owner] + within
    hashes = np.zeros(len(start), dtype=np.uint64)
    for k in range(WIDTH):  # splitmix64's finisher over the characters, one after the other
        hashes = _mixed(hashes + codes[start + k] + np.uint64(0x9E3779B97F4A7C15))
    order = np.lexsort((hashes, owner))
    owner, hashes = owner[order], hashes[order]
    new = np.ones(len(owner), dtype=bool)
    new[1:] = (owner[1:] != owner[:-1]) | (hashes[1:] != hashes[:-1])
    return owner[new], hashes[new]


def _sketches(owner: np.ndarray, hashes: np.ndarray, height: int) -> np.ndarray:
    """uint64 [height, WORDS]: for every shingle the bit that its hash names."""
    bits = np.zeros((height, WORDS * 64), dtype=bool)
    bits[owner, (hashes >> np.uint64(40)).astype(np.int64) % (WORDS * 64)] = True
    return np.packbits(bits, axis=1).view(np.uint64)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


__all__ = ["THRESHOLD", "WIDTH", "Near", "NearIndex", "jaccard", "normalised", "shingles"]
