"""Upload to the Hugging Face Hub: nothing is sent before everything that could be refused is checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import BadInput, MissingFile, RunFailed
from experiments.publishing.folder import MARK
from experiments.publishing.origins import HUB_ID

PREFIX = "hub:"


def repository(to: str) -> str | None:
    """owner/name of `hub:owner/name`; None for a folder. Raises BadInput for an id that is none."""
    if not to.startswith(PREFIX):
        return None
    name = to.removeprefix(PREFIX)
    if not HUB_ID.fullmatch(name):
        raise BadInput(f"to={to} is no id on the Hub; give to={PREFIX}<owner>/<name>")
    return name


def connect() -> Any:
    """The Hub's client. Raises MissingFile without a key, BadInput where the environment switches the Hub off."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise BadInput("HF_HUB_OFFLINE in the environment switches the Hub off; unset it to upload")
    token = get_token()
    if not token:
        raise MissingFile("an upload needs a key of the Hub that may write: set HF_TOKEN, or run `hf auth login`")
    return HfApi(token=token, endpoint=os.environ.get("HF_ENDPOINT") or None)


def check_repository(api: Any, name: str) -> None:
    """Raises BadInput where the repository holds a model that was not published here."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with refusals(name):
        try:
            files = list(api.list_repo_files(name))
        except RepositoryNotFoundError:
            return
    others = [file for file in files if file not in (".gitattributes", "README.md")]
    if others and MARK not in files:
        raise BadInput(
            f"{name} on the Hub holds files that were not published here ({others[0]}, …); give another name"
        )


def upload(api: Any, name: str, folder: Path, public: bool) -> str:
    """Send the folder; returns the page of the model. Raises RunFailed where the Hub refuses."""
    with refusals(name):
        page = api.create_repo(name, private=not public, exist_ok=True)
        api.upload_folder(folder_path=str(folder), repo_id=name, commit_message="Weights, card and numbers of a run")
    return str(page)


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """The Hub's refusals, and a missing network, as RunFailed in one line."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except RepositoryNotFoundError:
        raise
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise RunFailed(f"the Hub refuses {name}: the key may not write there (status {status})") from error
        raise RunFailed(f"the Hub answers {name} with status {status}; try again later") from error
    except (httpx.HTTPError, OSError) as error:
        raise RunFailed(f"the Hub cannot be reached ({type(error).__name__}: {error}); try again later") from error


__all__ = ["PREFIX", "check_repository", "connect", "repository", "upload"]
