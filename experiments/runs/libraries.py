"""Settings of third-party libraries that every command makes once, before it loads a model."""

from __future__ import annotations

from pathlib import Path

from common.third_party import log_libraries


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


__all__ = ["quiet_libraries"]
