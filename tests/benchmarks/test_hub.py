"""Every way in which the Hub refuses, raised with its libraries' own exception classes, becomes an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
from huggingface_hub import errors as hf

from benchmarks.hub import commit_of
from benchmarks.item import Card
from benchmarks.options import BenchmarkOptions
from benchmarks.schema import TEXT
from benchmarks.tables import open_table
from common.errors import BadInput, ImageEditError, MissingFile, RunFailed
from tests.benchmarks.conftest import COMMIT

pytestmark = pytest.mark.usefixtures("cache")
CARD = Card("toy", "Toy", "owner/toy", "", "not stated", "test", "7", "all", "ask the owner")
TOKEN = "hf_" + "s3cret" * 5


def response(status: int) -> Any:
    """A real response of the transport that the installed huggingface_hub uses."""
    base = next(b for b in hf.HfHubHTTPError.__mro__ if b.__name__ == "HTTPError")
    http = __import__(base.__module__.partition(".")[0])
    url = "https://huggingface.co/api/datasets/owner/toy"
    return http.Response(status, request=http.Request("GET", url, headers={"authorization": f"Bearer {TOKEN}"}))


def transport(name: str) -> Exception:
    base = next(b for b in hf.HfHubHTTPError.__mro__ if b.__name__ == "HTTPError")
    return getattr(__import__(base.__module__.partition(".")[0]), name)("connection refused")


def chained(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


CASES: list[tuple[str, Any, type[ImageEditError], str]] = [
    (
        "gated",
        lambda: hf.GatedRepoError("gated", response=response(403)),
        MissingFile,
        "is gated or needs a login.*HF_TOKEN",
    ),
    (
        "gated, as datasets says it",
        lambda: DatasetNotFoundError("Dataset 'owner/toy' is a gated dataset on the Hub. You must be authenticated."),
        MissingFile,
        "is gated or needs a login",
    ),
    ("401", lambda: hf.HfHubHTTPError("no", response=response(401)), MissingFile, "is gated or needs a login"),
    (
        "not found",
        lambda: hf.RepositoryNotFoundError("no", response=response(404)),
        MissingFile,
        "is not on the Hub, or is private",
    ),
    (
        "not found, as datasets says it",
        lambda: DatasetNotFoundError("Dataset 'owner/toy' doesn't exist on the Hub or cannot be accessed."),
        MissingFile,
        "is not on the Hub, or is private",
    ),
    (
        "revision",
        lambda: hf.RevisionNotFoundError("no", response=response(404)),
        MissingFile,
        "no such revision; correct benchmark.revision",
    ),
    ("too many", lambda: hf.HfHubHTTPError("slow down", response=response(429)), RunFailed, "429.*hf auth login"),
    ("broken", lambda: hf.HfHubHTTPError("oops", response=response(503)), RunFailed, "status 503; try again later"),
    ("no network", lambda: transport("ConnectError"), MissingFile, "no network: .*benchmark.path"),
    ("timeout", lambda: transport("ReadTimeout"), MissingFile, "no network"),
    (
        "builtin",
        lambda: ConnectionError("Couldn't reach 'owner/toy' on the Hub (ConnectError)"),
        MissingFile,
        "no network",
    ),
    ("offline", lambda: hf.OfflineModeIsEnabled("offline"), MissingFile, "the Hub is switched off here"),
    (
        "inside a build",
        lambda: chained(datasets.exceptions.DatasetGenerationError("build"), transport("ReadError")),
        MissingFile,
        "no network",
    ),
    ("no files", lambda: DataFilesNotFoundError("No data files"), MissingFile, "holds no data files"),
    (
        "split",
        lambda: ValueError("Bad split: test. Available splits: ['train']"),
        BadInput,
        r"Available splits: \['train'\].*benchmark.split",
    ),
    (
        "configuration",
        lambda: ValueError("BuilderConfig 'x' not found. Available: ['default']"),
        BadInput,
        r"Available: \['default'\]",
    ),
]


@pytest.mark.parametrize(("make", "kind", "says"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("where", ["load_dataset", "dataset_info"])
def test_every_refusal_is_explained(
    where: str, make: Any, kind: type[ImageEditError], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise make()

    if where == "load_dataset":
        monkeypatch.setattr(datasets, "load_dataset", refuses)
    else:
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuses)
    options = BenchmarkOptions(revision=COMMIT if where == "load_dataset" else None)
    with pytest.raises(kind, match=says) as error:
        open_table(CARD, options, {"text": TEXT})
    assert "owner/toy" in str(error.value) and TOKEN not in str(error.value)
    if kind is not BadInput:
        assert "ask the owner" in str(error.value)


def test_a_mistake_of_ours_is_not_explained_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(datasets, "load_dataset", broken)
    with pytest.raises(Exception) as error:  # noqa: B017, PT011
        open_table(CARD, BenchmarkOptions(revision=COMMIT), {"text": TEXT})
    assert not isinstance(error.value, ImageEditError)


def test_the_hub_is_off_in_these_tests_and_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="HF_HUB_OFFLINE set.*benchmark.path"):
        open_table(CARD, BenchmarkOptions(), {"text": TEXT})


def test_a_full_commit_is_taken_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise AssertionError("asked")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuses)
    assert commit_of(CARD, "owner/toy", COMMIT) == COMMIT
    with pytest.raises(AssertionError):
        commit_of(CARD, "owner/toy", "main")
