"""Settings of third-party libraries that every command makes once, before it loads a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.third_party import library_lines, log_libraries


def quiet_libraries(verbose: bool, folder: str | Path | None = None) -> None:
    """Turn off the progress bars and log lines of libraries, which would mix with ours; `verbose` leaves them on.
    What they write past Python (compilers, C++ code) goes to `folder`/log.txt, where a folder is given."""
    import logging
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    if not verbose:
        log_libraries(folder)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        import diffusers

        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def libraries_in_log(folder: str | Path, verbose: bool = False) -> Iterator[None]:
    """For a whole command: within it the terminal shows our lines alone, and those of libraries are in `folder`/log.txt.
    `verbose` leaves them on the terminal. Raises SaveFailed where that file cannot be written."""
    quiet_libraries(verbose, folder)
    with library_lines():
        yield


__all__ = ["libraries_in_log", "quiet_libraries"]
