"""What holds for every reply and every wait of the JSON client, without a server."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.connections import Connections, Response, read_plain_reply
from common.errors import BadInput
from common.http import HttpSettings, JsonClient
from common.replies import Refused, Rejected, TryLater, Unusable, understand
from editors import gpt_image, nano_banana
from editors.gpt_image import GptImageEditor
from editors.nano_banana import NanoBananaEditor

NAMES = ["error", "code", "details", "retryDelay", "reason", "message", "data", "b64_json", "candidates", "content"]
NAMES += ["parts", "inlineData", "inline_data", "finishReason", "promptFeedback", "blockReason", "text", "thought"]
WORDS = st.sampled_from(["SAFETY", "moderation_blocked", "QUJD", "1e999s", "17s"]) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
READERS = NanoBananaEditor(nano_banana.settings()), GptImageEditor(gpt_image.settings())


@settings(deadline=None)
@given(JSON, st.sampled_from([200, 201, 302, 400, 401, 418, 429, 500]), st.text(max_size=8), st.integers(0, 400))
def test_no_reply_whatever_breaks_the_reading(reply, code, after, cut):
    body = json.dumps(reply).encode()
    response = Response(code, {"retry-after": after}, body[: max(0, len(body) - cut)] if cut < 40 else body)
    for reader in READERS:
        try:
            assert isinstance(understand(response, reader), bytes) and code < 300
        except (Unusable, Refused, TryLater, Rejected) as outcome:
            assert str(outcome) and (code < 300) <= isinstance(outcome, Unusable | Refused)


@pytest.mark.parametrize("body", [b"[" * 200_000, b"\xff\xfe", b"", b"null", b'{"data": NaN}'])
def test_bodies_that_are_no_json_object_are_asked_for_again(body):
    with pytest.raises(Unusable):
        understand(Response(200, {}, body), READERS[1])


CLIENT = JsonClient(HttpSettings(base_url="http://localhost", key_env="K"), lambda key: {})


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_waits_grow_and_stay_bounded(k, after_s, u):
    wait = CLIENT.wait_s(k, after_s, u)
    assert min(after_s, 60) <= wait <= 60
    assert wait >= min(60, 2.0 ** min(k - 1, 10)) / 2
    assert CLIENT.wait_s(k + 1, after_s, u) >= wait


def test_a_line_break_in_a_header_never_reaches_the_service():
    connections = Connections("http://127.0.0.1:9", connect_timeout_s=1, timeout_s=1, limit=1)
    with pytest.raises(BadInput, match="line break"):
        connections._head("/v1/x", {"Authorization": "Bearer a\r\nX: b"}, 0)


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def test_a_whole_plain_reply_is_read_at_once_and_nothing_else_is():
    response, keep = read_plain_reply(WHOLE)
    assert (response.status, response.body, keep) == (200, b"{}", True)
    assert response.headers == {"content-type": "application/json", "content-length": "2"}
    assert read_plain_reply(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"))[1] is False
    for other in (
        *(WHOLE[:n] for n in range(len(WHOLE))),  # cut anywhere
        WHOLE + b"x",
        WHOLE.replace(b"200 OK", b"100 Continue"),
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),  # which closes unless it says otherwise
        WHOLE.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        WHOLE.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
        WHOLE.replace(b"Content-Type: ", b"Content-Type: a\r\n folded: "),
        WHOLE.replace(b"Content-Length: 2", b"Content-Length: +2"),
        b"",
    ):
        assert read_plain_reply(other) is None


@pytest.mark.parametrize("cut", [1, 10, 40, len(WHOLE) - 1, len(WHOLE)])
def test_a_reply_in_two_pieces_is_the_same_reply(cut):
    def answer(server):
        peer, _ = server.accept()
        with peer:
            while not peer.recv(2**16).endswith(b"ask"):
                pass
            peer.sendall(WHOLE[:cut])
            time.sleep(0.05)
            peer.sendall(WHOLE[cut:])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        place = f"http://127.0.0.1:{server.getsockname()[1]}"
        response = Connections(place, connect_timeout_s=5, timeout_s=5, limit=1).post("/v1", {}, b"ask")
        thread.join()
    assert (response.status, response.body) == (200, b"{}")


@pytest.mark.parametrize(
    "address", ["socks5://user:secret@localhost:1080", "socks5h://localhost", "https://localhost:3128"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_another_kind_is_refused_and_its_password_not_shown(monkeypatch, scheme, address):
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{scheme}_proxy", address)
    with pytest.raises(BadInput, match=f"{scheme.upper()}_PROXY names a {address.partition(':')[0]} proxy") as refused:
        Connections(f"{scheme}://service.example", connect_timeout_s=1, timeout_s=1, limit=1)
    assert "secret" not in str(refused.value) and "NO_PROXY" in str(refused.value)
    monkeypatch.setenv("no_proxy", "service.example")
    Connections(f"{scheme}://service.example", connect_timeout_s=1, timeout_s=1, limit=1)


@pytest.mark.parametrize("address", ["http://", "http://host:port"])
def test_a_proxy_that_cannot_be_read_is_named_by_its_variable(monkeypatch, address):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", address)
    with pytest.raises(BadInput, match="HTTP_PROXY cannot be read"):
        Connections("http://service.example", connect_timeout_s=1, timeout_s=1, limit=1)
