"""The interface over real connections: OpenAI's own client, and everything that a client can do wrong."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.serving.arms import Arms, Ask, EditorArm, Made
from experiments.serving.form import Rules
from experiments.serving.kept import KeptPictures
from experiments.serving.keys import Keys
from experiments.serving.limits import PictureLimits
from tests.experiments.serving.running import (
    PATIENCE_S,
    Running,
    StampEditor,
    decoded,
    encoded,
    form,
    picture,
    serving,
    stamped,
)

KEY = "sk-one-of-two"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(StampEditor(), limits=PictureLimits(100_000, 20_000), rules=Rules(("editor",), 1000)) as server:
        yield server


def png_of(reply: dict[str, Any], k: int = 0) -> Image.Image:
    return decoded(base64.b64decode(reply["data"][k]["b64_json"]))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)


# OpenAI's client


def test_the_official_client_edits_lists_and_understands_errors(running: Running) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=running.url, api_key="any", max_retries=0)
    assert [m.id for m in client.models.list()] == ["editor"]
    assert client.models.retrieve("editor").owned_by == "imageedit-r1"
    given = picture(1)
    got = client.images.edit(
        image=("a.png", encoded(given)),
        prompt="make it so",
        n=2,
        quality="high",
        extra_body={"seed": 7, "include": ["plan"]},
    )
    for k, one in enumerate(got.data):
        assert decoded(base64.b64decode(one.b64_json)).tobytes() == stamped(given, "make it so", 7 + k).tobytes()
        assert one.plan["calls"] == [{"instruction": "make it so", "seed": 7 + k}]
    assert (got.output_format, got.size) == ("png", "16x12")
    several = client.images.edit(image=[("a.png", encoded(given))], prompt="a list of one")
    assert png_of(several.model_dump()).size == (16, 12)
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(image=("a.png", b"no picture"), prompt="x")
    assert refused.value.param == "image" and refused.value.code == "invalid_image_file"
    with pytest.raises(openai.BadRequestError, match="mask is not taken"):
        client.images.edit(image=("a.png", encoded(given)), mask=("m.png", encoded(given)), prompt="x")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.images.edit(image=("a.png", encoded(given)), prompt="x", model="gpt-image-1")
    assert unknown.value.code == "model_not_found"


def test_the_official_client_gets_addresses_of_pictures_which_need_the_key_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    openai, httpx = pytest.importorskip("openai"), pytest.importorskip("httpx")
    kept, given = KeptPictures(60, 3, 1_000_000), picture(1)
    with serving(StampEditor(), keys=Keys([KEY]), kept=kept) as server:
        client = openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0)
        ask = {"image": ("a.png", encoded(given)), "prompt": "so", "response_format": "url"}
        with caplog.at_level(logging.INFO, "experiments.serving.wire"):
            got = client.images.edit(**ask, n=2, extra_body={"output_format": "webp"})
            for k, one in enumerate(got.data):
                assert (
                    one.b64_json is None and one.url.startswith(f"{server.url}/pictures/") and one.url.endswith(".webp")
                )
                reply = client.get(one.url, cast_to=httpx.Response)
                assert decoded(reply.content).tobytes() == stamped(given, "so", k).tobytes()
                assert reply.headers["content-type"] == "image/webp" and "private" in reply.headers["cache-control"]
                assert abs(one.expires_at - time.time() - 60) < PATIENCE_S
                assert server.get(one.url.removeprefix(server.root))[0] == 401
        secret = got.data[0].url.rpartition("/")[2]
        assert "GET /v1/pictures 200" in caplog.text and secret not in caplog.text + server.get("/metrics")[1]
        with pytest.raises(openai.BadRequestError, match="3 pictures are kept at a time, and 4 are asked for"):
            client.images.edit(**ask, n=4)
        client.images.edit(**ask, n=2)  # the oldest one makes room
        with pytest.raises(openai.NotFoundError, match="kept for 1 min, and 3 of them at a time"):
            client.get(got.data[0].url, cast_to=httpx.Response)
        assert client.get(got.data[1].url, cast_to=httpx.Response).status_code == 200


# Pictures


def test_what_is_ignored_is_said_and_the_request_id_comes_back(running: Running) -> None:
    status, body, headers = running.post(
        {"prompt": "x", "quality": "high", "background": "opaque"},
        {"image": encoded(picture())},
        {"x-request-id": "mine-1"},
    )
    assert status == 200 and "plan" not in body["data"][0]
    assert headers["x-ignored"] == "quality, background" and headers["x-request-id"] == "mine-1"
    _, _, headers = running.post({"prompt": "x"}, {"image": encoded(picture())}, {"x-request-id": "two words"})
    assert len(headers["x-request-id"]) == 32 and "x-ignored" not in headers


def test_orientation_and_transparency_are_kept(running: Running) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    _, body, _ = running.post({"prompt": "x"}, {"image": encoded(picture(), "JPEG", exif=turned)})
    assert png_of(body).size == (12, 16)
    clear = picture().convert("RGBA")
    clear.putalpha(128)
    _, body, _ = running.post({"prompt": "x"}, {"image": encoded(clear)})
    assert png_of(body).mode == "RGBA"
    _, body, _ = running.post({"prompt": "x", "output_format": "jpeg"}, {"image": encoded(clear)})
    assert png_of(body).mode == "RGB" and png_of(body).format == "JPEG"


def test_an_animation_is_edited_in_its_first_frame_with_a_note(running: Running) -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    _, body, _ = running.post({"prompt": "x"}, {"image": data})
    assert png_of(body).tobytes() == stamped(frames[0], "x", 0).tobytes()
    assert "first" in body["data"][0]["notes"][0]


def test_formats_and_sizes(running: Running) -> None:
    given = encoded(picture(3, (64, 48)))
    wanted = np.asarray(stamped(picture(3, (64, 48)), "x", 0), dtype=int)
    for words, kind, error in (
        ({"output_format": "webp"}, "WEBP", 0),
        ({"output_format": "jpeg"}, "JPEG", 2),
        ({"output_format": "webp", "output_compression": 80}, "WEBP", 60),
    ):
        _, body, _ = running.post({"prompt": "x", **words}, {"image": given})
        got = png_of(body)
        assert got.format == kind and np.abs(np.asarray(got.convert("RGB"), int) - wanted).mean() <= error
    _, body, _ = running.post({"prompt": "x", "size": "128x96"}, {"image": given})
    assert png_of(body).size == (128, 96) and body["size"] == "128x96"
    status, body, _ = running.post({"prompt": "x", "size": "96x96"}, {"image": given})
    assert status == 400 and body["error"]["param"] == "size" and "another shape" in body["error"]["message"]


# What is refused


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ({}, 400, "'image' is missing"),
        ({"image": b""}, 400, "empty"),
        ({"image": b"no picture"}, 400, "no picture"),
        ({"image": encoded(picture())[:200]}, 400, "damaged or cut short"),
        ({"image": encoded(picture(0, (200, 101)))}, 400, "20,000 in all are allowed"),
        ({"image": b"x" * 100_001}, 413, "larger than the 0.1 MB"),
        ({"image": b"x" * 3_000_000}, 413, "larger than the 0.1 MB"),
        ({"image": encoded(picture()), "image[]": encoded(picture())}, 400, "several times"),
        ({"image": encoded(picture()), "prompt": b"x"}, 400, "'prompt' is"),
        ({"image": encoded(picture()), "other": b"x"}, 400, "'other' is no file"),
    ],
)
def test_files_that_cannot_be_used(running: Running, files: dict[str, bytes], status: int, words: str) -> None:
    fields = {} if "prompt" in files else {"prompt": "x"}
    got, body, headers = running.post(fields, files)
    assert (got, headers["content-type"]) == (status, "application/json")
    assert words in body["error"]["message"] and headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("GET", "/v1/images/edits", b"", "", 405),
        ("POST", "/v1/images/generations", b"{}", "application/json", 404),
        ("POST", "/v1/images/edits", b"{}", "application/json", 415),
        ("POST", "/v1/images/edits", b"a=b", "application/x-www-form-urlencoded", 415),
        ("POST", "/v1/images/edits", b"a=b", "multipart/form-data", 400),
        ("POST", "/v1/images/edits", b"--x\r\nrubbish", "multipart/form-data; boundary=x", 400),
        ("POST", "/v1/images/edits", b"", "multipart/form-data; boundary=x", 400),
        ("GET", "/v1/models/none", b"", "", 404),
        ("GET", "/../etc/passwd", b"", "", 404),
    ],
)
def test_other_requests_get_an_error_of_the_same_shape(
    running: Running, method: str, path: str, body: bytes, kind: str, status: int
) -> None:
    connection = http.client.HTTPConnection(running.root.removeprefix("http://"), timeout=PATIENCE_S)
    connection.request(method, path, body, {"Content-Type": kind} if kind else {})
    reply = connection.getresponse()
    error = json.loads(reply.read())["error"]
    assert reply.status == status and set(error) == {"message", "type", "param", "code"} and error["message"]
    connection.close()


def test_a_body_that_states_no_length_is_counted(running: Running) -> None:
    body, kind = form({"prompt": "x"}, {"image": b"x" * 2_000_000})
    pieces = (body[i : i + 50_000] for i in range(0, len(body), 50_000))
    connection = http.client.HTTPConnection(running.root.removeprefix("http://"), timeout=PATIENCE_S)
    connection.request("POST", "/v1/images/edits", pieces, {"Content-Type": kind}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_client_that_asks_before_it_sends_is_spared_the_upload(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", port(running)), timeout=PATIENCE_S) as sock:
        head = "POST /v1/images/edits HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        sock.sendall(f"{head}Content-Length: 900000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 413")


def port(running: Running) -> int:
    return int(running.root.rpartition(":")[2])


def test_keys() -> None:
    image = {"image": encoded(picture())}
    with serving(StampEditor(), keys=Keys([KEY, "another"])) as running:
        for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}, {"Authorization": "Bearer "}):
            status, body, got = running.post({"prompt": "x"}, image, headers)
            assert status == 401 and body["error"]["code"] == "invalid_api_key" and got["www-authenticate"] == "Bearer"
            assert KEY not in json.dumps(body)
            assert running.get("/v1/models", headers)[0] == 401
        for key in (KEY, "another"):
            assert running.post({"prompt": "x"}, image, {"Authorization": f"bearer {key}"})[0] == 200
        assert running.get("/health")[0] == 200 and running.get("/metrics")[0] == 200


# Waiting


def in_background(running: Running, prompt: str) -> tuple[threading.Thread, list[int]]:
    got: list[int] = []
    image = {"image": encoded(picture())}
    thread = threading.Thread(target=lambda: got.append(running.post({"prompt": prompt}, image)[0]))
    thread.start()
    return thread, got


def leave(running: Running, prompt: str) -> socket.socket:
    """A client that has sent its whole request; closing the socket is going away."""
    body, kind = form({"prompt": prompt}, {"image": encoded(picture())})
    sock = socket.create_connection(("127.0.0.1", port(running)), timeout=PATIENCE_S)
    head = f"POST /v1/images/edits HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    return sock


def test_a_full_queue_is_said_and_a_client_that_goes_away_makes_room_and_costs_nothing() -> None:
    editor = StampEditor()
    editor.hold.clear()
    with serving(editor, batch_size=1, queue_size=2, rules=Rules(("editor",), max_n=2)) as running:
        waiting = running.service.batcher.waiting
        first = in_background(running, "being made")
        until(lambda: len(editor.batches) == 1)
        second = in_background(running, "waits")
        until(lambda: waiting() == 1)
        leaving = leave(running, "goes away")
        until(lambda: waiting() == 2)
        status, body, headers = running.post({"prompt": "too much"}, {"image": encoded(picture())})
        assert status == 429 and int(headers["retry-after"]) > 0 and body["error"]["type"] == "rate_limit_error"
        leaving.close()
        until(lambda: waiting() == 1)
        third = in_background(running, "has room")
        until(lambda: waiting() == 2)
        editor.hold.set()
        for thread, got in (first, second, third):
            thread.join(PATIENCE_S)
            assert got == [200]
        assert [b for b in editor.batches] == [["being made"], ["waits"], ["has room"]]
        text = running.get("/metrics")[1]
        assert 'imageedit_requests_total{path="/v1/images/edits",status="429"} 1.0' in text
        assert 'imageedit_requests_total{path="/v1/images/edits",status="499"} 1.0' in text
        assert "imageedit_abandoned_total 1.0" in text and "imageedit_queue_length 0.0" in text
        assert 'imageedit_pictures_total{model="editor"} 3.0' in text and "imageedit_batch_size_count 3.0" in text


def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    editor = StampEditor()
    editor.hold.clear()
    with serving(editor, batch_size=1, max_wait_s=0.1) as running:
        (first,) = running.service.batcher.submit([Ask("editor", picture(), "being made", 0)])
        until(lambda: len(editor.batches) == 1)
        status, body, headers = running.post({"prompt": "late"}, {"image": encoded(picture())})
        assert status == 503 and body["error"]["code"] == "timeout" and "retry-after" in headers
        editor.hold.set()
        assert isinstance(first.result(PATIENCE_S), Made)
    assert editor.batches == [["being made"]]


def test_what_is_being_made_is_waited_for_however_long() -> None:
    from starlette.requests import Request

    from experiments.serving.waiting import results

    begun: Future[Made | Exception] = Future()
    begun.set_running_or_notify_cancel()
    made = Made(picture(), {})

    async def never() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    async def wait() -> list[Made]:
        asyncio.get_running_loop().call_later(0.1, begun.set_result, made)
        return await results(Request({"type": "http"}, never), [begun], 0.01)

    assert asyncio.run(wait()) == [made]


def test_one_request_that_breaks_the_models_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    editor = StampEditor()
    editor.hold.clear()
    with serving(editor) as running:
        first = in_background(running, "first")
        until(lambda: len(editor.batches) == 1)
        others = [in_background(running, prompt) for prompt in ("break", "fine", "good")]
        until(lambda: running.service.batcher.waiting() == 3)
        editor.hold.set()
        for thread, _ in [first, *others]:
            thread.join(PATIENCE_S)
        assert [got for _, got in [first, *others]] == [[200], [500], [200], [200]]
        assert editor.threads == {"models"}
        assert running.get("/health")[0] == 200
    assert "ZeroDivisionError" in caplog.text


def test_an_upload_that_stalls_ends() -> None:
    with (
        serving(StampEditor(), upload_s=0.2) as running,
        socket.create_connection(("127.0.0.1", port(running)), timeout=PATIENCE_S) as sock,
    ):
        head = "POST /v1/images/edits HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        sock.sendall(f"{head}Content-Length: 5000\r\n\r\n--x\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 408")


def test_before_the_models_are_there_health_says_so() -> None:
    loaded = threading.Event()

    def load() -> Arms:
        assert loaded.wait(PATIENCE_S)
        return Arms({"editor": EditorArm(StampEditor())})

    with serving(load=load, wait=False) as running:
        assert running.get("/health") == (503, '{"status":"loading","waiting":0}')
        status, body, headers = running.post({"prompt": "x"}, {"image": encoded(picture())})
        assert (status, body["error"]["code"]) == (503, "loading") and "retry-after" in headers
        loaded.set()
        until(lambda: running.get("/health")[0] == 200)
        assert running.post({"prompt": "x"}, {"image": encoded(picture())})[0] == 200


def test_stopping_answers_what_was_accepted_and_takes_nothing_more() -> None:
    editor = StampEditor()
    editor.hold.clear()
    with serving(editor, batch_size=1) as running:
        accepted = [in_background(running, f"number {k}") for k in range(3)]
        until(lambda: running.service.batcher.waiting() == 2)
        running.server.should_exit = True
        until(lambda: refused(port(running)))
        editor.hold.set()
        for thread, got in accepted:
            thread.join(PATIENCE_S)
            assert got == [200]
        running.stop()


def refused(number: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", number), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False
