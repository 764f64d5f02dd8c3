"""Settings of third-party libraries that every command makes once, before it loads a model."""

from __future__ import annotations


def quiet_libraries(verbose: bool) -> None:
    """Turn off the progress bars and log lines of libraries, which would mix with ours; `verbose` leaves them on."""
    import logging
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    if not verbose:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        import diffusers

        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        logging.getLogger("httpx").setLevel(logging.WARNING)


__all__ = ["quiet_libraries"]
