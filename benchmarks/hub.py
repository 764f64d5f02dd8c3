"""Errors of the Hugging Face Hub, told apart and explained."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.item import Card
from common.errors import BadData, BadInput, ImageEditError, MissingFile, RunFailed

_COMMIT = re.compile(r"[0-9a-f]{40}")
# By name: which of httpx, requests, aiohttp and urllib3 is underneath has changed with the versions of huggingface_hub.
_NO_NETWORK = {"ConnectionError", "TimeoutError", "TransportError", "Timeout", "ClientConnectionError", "MaxRetryError"}


@contextmanager
def explained(card: Card, where: str) -> Iterator[None]:
    """Errors of reading `where` (a Hub id with its split, or a file) as errors of this project that say what to do.

    Raises MissingFile (gated, not found, no network), BadInput (split or configuration that is not there), RunFailed
    (the Hub refuses for now), BadData (damaged files); errors of other kinds pass as they are.
    """
    try:
        yield
    except ImageEditError:
        raise
    except Exception as error:
        explained = _explain(error, card, where)
        if explained is None:
            raise
        raise explained from error


def _explain(error: BaseException, card: Card, where: str) -> ImageEditError | None:
    import pyarrow as pa
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
    from huggingface_hub import errors as hub

    chain = _chain(error)

    def cause_of(*kinds: type) -> BaseException | None:
        return next((e for e in chain if isinstance(e, kinds)), None)

    status = _status(chain)
    text = " ".join(str(e) for e in chain)
    get = f"How to get it: {card.get}"
    if cause_of(hub.GatedRepoError) or "gated dataset" in text or status in (401, 403):
        return MissingFile(
            f"{card.name}: {where} is gated or needs a login. Accept its conditions on its page on huggingface.co, then "
            f"`hf auth login` or set HF_TOKEN. {get}"
        )
    if cause_of(hub.RevisionNotFoundError) or re.search(r"Revision '.*' doesn't exist", text):
        return MissingFile(f"{card.name}: {where}: there is no such revision; correct benchmark.revision. {get}")
    if cause_of(hub.OfflineModeIsEnabled) or "OfflineModeIsEnabled" in text or "offline mode" in text.lower():
        return MissingFile(
            f"{card.name}: {where} is not on this machine, and the Hub is switched off here ({_offline()}). Unset it, or "
            f"get the data elsewhere and give its folder as benchmark.path. {get}"
        )
    if status == 429:
        return RunFailed(
            f"{card.name}: the Hub answers {where} with 429 (too many requests). Wait some minutes and start again, or log "
            f"in with `hf auth login` for a higher limit. {get}"
        )
    if cause_of(hub.RepositoryNotFoundError, DatasetNotFoundError) or status == 404:
        return MissingFile(f"{card.name}: {where} is not on the Hub, or is private; is benchmark.hub right? {get}")
    if cause_of(hub.HfHubHTTPError) and status is not None:
        return RunFailed(f"{card.name}: the Hub answers {where} with status {status}; try again later. {get}")
    if cause_of(hub.LocalEntryNotFoundError) or any(b.__name__ in _NO_NETWORK for e in chain for b in type(e).__mro__):
        return MissingFile(
            f"{card.name}: no network: {where} cannot be reached. Check the connection (HTTPS_PROXY, HF_ENDPOINT), or get the "
            f"data elsewhere and give its folder as benchmark.path. {get}"
        )
    if cause_of(DataFilesNotFoundError) or "EmptyDatasetError" in {type(e).__name__ for e in chain}:
        return MissingFile(f"{card.name}: {where} holds no data files. {get}")
    if match := re.search(
        r"(Bad split: .*|Unknown split .*|BuilderConfig .* not found.*|Config name is missing.*)", text
    ):
        return BadInput(f"{card.name}: {where}: {match[1][:400]} (benchmark.split, benchmark.config)")
    if bad := cause_of(pa.ArrowInvalid, UnicodeDecodeError):
        return BadData(f"{card.name}: {where} is damaged or not what its name says ({bad}). {get}")
    return None


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _status(chain: list[BaseException]) -> int | None:
    responses = [getattr(e, "response", None) for e in chain]
    return next((s for r in responses if isinstance(s := getattr(r, "status_code", None), int)), None)


def _offline() -> str:
    names = [n for n in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE") if os.environ.get(n)]
    return " and ".join(names) + " set" if names else "offline mode"


def commit_of(card: Card, hub: str, revision: str | None) -> str:
    """The 40-digit commit that `revision` (None: the newest) stands for; a full commit is taken as it is, unasked.

    It names what is kept on this machine, so that a data set that changed on the Hub is never mixed with an older copy.
    """
    if revision and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    where = f"{hub} at {revision or 'its newest commit'}"
    with explained(card, where):
        sha = HfApi().dataset_info(hub, revision=revision, timeout=30).sha
    if not sha:
        raise RunFailed(f"{card.name}: the Hub names no commit for {where}; give one as benchmark.revision")
    return str(sha)


__all__ = ["commit_of", "explained"]
