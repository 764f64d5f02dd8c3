"""A digest of what is in files, quick for weights of any size.

Up to 256 MiB in all are read whole. Of more, files of up to 16 MiB are read whole, as long as they are no more than 256 MiB
together; of every other file the size, the head, the tail and blocks at even distances between them are read, at most 64 MiB
in all. Two checkpoints of one shape that differ in less than one such block may then have the same digest.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from common.errors import BadInput

WHOLE = 256 << 20  # bytes that are read whole
SMALL = 16 << 20  # a file that is read whole beside larger ones
SAMPLES = 4096  # blocks of all large files together, besides their heads and tails
BLOCK, LEAST = 16 << 10, 4 << 10  # bytes of a block; LEAST where there are very many files
DISTANCE = 1 << 20  # of two blocks, at least


def digest(place: Path, patterns: Iterable[str] = (), also: Iterable[Path] = ()) -> str:
    """16 hexadecimal digits, of one file or of a folder's files that match, and of `also`. Names within the folder count; where
    it lies does not. Raises BadInput for what cannot be read, and for what is neither a file nor a folder."""
    files = _files(place, patterns)
    return digest_files([*files, *((f"also {i}", path) for i, path in enumerate(sorted(also)))])


def digest_files(files: Sequence[tuple[str, Path]]) -> str:
    """The same of (name, path), in this order."""
    try:
        sizes = [path.stat().st_size for _, path in files]
        whole = _read_whole(sizes)
        sampled = sum(size for size, all_of_it in zip(sizes, whole, strict=True) if not all_of_it)
        distance = max(DISTANCE, sampled // SAMPLES)
        block = max(LEAST, min(BLOCK, WHOLE // (2 * max(1, whole.count(False)))))
        total = hashlib.blake2b(digest_size=8)
        for (name, path), size, all_of_it in zip(files, sizes, whole, strict=True):
            total.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
            for data in _all_of(path) if all_of_it else _blocks(path, size, distance, block):
                total.update(data)
    except OSError as error:
        raise BadInput(
            f"cannot read {error.filename} ({error.strerror or error}), whose content tells runs apart"
        ) from error
    return total.hexdigest()


def _files(place: Path, patterns: Iterable[str]) -> list[tuple[str, Path]]:
    """(name, path): without a name for a file that is named itself, with its path within the folder for others."""
    if place.is_file():
        return [("", place)]
    if not place.is_dir():
        raise BadInput(f"{place} is neither a file nor a folder, so that its content cannot tell runs apart")
    names = {name for pattern in patterns for name in glob.glob(pattern, root_dir=place, recursive=True)}
    return [(name, path) for name in sorted(names) if (path := place / name).is_file()]


def _read_whole(sizes: list[int]) -> list[bool]:
    if sum(sizes) <= WHOLE:
        return [True] * len(sizes)
    small = [size <= SMALL for size in sizes]
    few = sum(size for size, is_small in zip(sizes, small, strict=True) if is_small) <= WHOLE
    return small if few else [False] * len(sizes)


def _all_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(1 << 20):
            yield data


def _blocks(path: Path, size: int, distance: int, block: int) -> Iterator[bytes]:
    """The head, a block at every multiple of `distance`, and the tail."""
    with path.open("rb", buffering=0) as stream:
        for start in [*range(0, max(1, size - block), distance), max(0, size - block)]:
            stream.seek(start)
            yield stream.read(block)


__all__ = ["BLOCK", "DISTANCE", "SMALL", "WHOLE", "digest", "digest_files"]
