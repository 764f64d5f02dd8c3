"""Asking a service which models it has."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.connections import ExchangeFailed
from common.errors import BadInput
from common.model_list import NoList, listed_models

KEY = "sk-secret-0123456789"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        error = {"error": {"message": f"the key {KEY} may not do this"}}
        status, body = {
            "good": (200, json.dumps({"data": [{"id": "a"}, {"id": 7}, "odd", {"id": "b", "fingerprint": "f"}]})),
            "key": (200, json.dumps({"data": [{"id": str(self.headers.get("Authorization"))}]})),
            "closed": (403, json.dumps(error)),
            "page": (404, "<p>nothing  here</p>" + "x" * 1000),
            "odd": (200, "[1, 2]"),
            "far": (302, ""),
        }[kind]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/good/models")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("A_KEY", KEY)


def test_entries_without_a_name_are_left_out(url: str) -> None:
    assert [m["id"] for m in listed_models(f"{url}/good")] == ["a", "b"]


def test_the_key_is_sent_where_there_is_one(url: str) -> None:
    assert listed_models(f"{url}/key", "A_KEY")[0]["id"] == f"Bearer {KEY}"
    assert listed_models(f"{url}/key")[0]["id"] == "None"
    with pytest.raises(BadInput, match="NO_SUCH_KEY"):
        listed_models(f"{url}/key", "NO_SUCH_KEY")


@pytest.mark.parametrize(("kind", "status"), [("closed", 403), ("page", 404), ("odd", 200), ("far", 302)])
def test_another_answer_is_no_list_and_shows_no_key(url: str, kind: str, status: int) -> None:
    with pytest.raises(NoList) as none:
        listed_models(f"{url}/{kind}", "A_KEY")
    assert none.value.status == status and KEY not in str(none.value) and len(str(none.value)) < 400


def test_a_service_that_is_not_there(url: str) -> None:
    with pytest.raises(ExchangeFailed):
        listed_models("http://127.0.0.1:9/v1")
    with pytest.raises(BadInput, match="base_url"):
        listed_models("127.0.0.1:9/v1")
