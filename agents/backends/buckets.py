"""The few sizes that buffers and graphs of decoding have: a batch takes the next one that has room for it. Loads no torch."""

FEWEST = 8  # rows of the smallest bucket but one: with fewer, reading the weights takes all the time there is
KEPT_BYTES = 2.5 * 2**30  # a larger cache is freed after a call, with its graphs, so that an update has its memory
COLUMNS = 256  # a cache's length is a multiple of it; kernels want masks of a multiple of 8


def row_bucket(rows: int) -> int:
    """1, 8, 16, 32, 64, ..."""
    return 1 if rows <= 1 else max(FEWEST, 1 << (rows - 1).bit_length())


def column_bucket(columns: int) -> int:
    """The next multiple of COLUMNS."""
    return -(-columns // COLUMNS) * COLUMNS


__all__ = ["KEPT_BYTES", "column_bucket", "row_bucket"]
