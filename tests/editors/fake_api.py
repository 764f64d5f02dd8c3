"""A real HTTP server on this machine that speaks both picture-editing protocols and misbehaves by script.

Its "edit" inverts the colours of the picture it was sent, so a test can tell what the service saw. A script is a list of
steps per instruction; each call takes the next step and the last one repeats. Without a script every call is answered.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image, ImageChops

PATIENCE_S = 20.0  # how long a step waits for something that must come; only ever reached by a broken test


@dataclass
class Call:
    """One request, as the service understood it."""

    provider: str
    model: str
    instruction: str
    size: str  # "16:9" or "1536x1024"
    seed: int | None
    picture: Image.Image
    headers: dict[str, str]
    fields: dict[str, Any]


Step = Callable[["Handler", Call], None]
NO_CALL = Call(
    "", "", "", "", None, Image.new("RGB", (1, 1)), {}, {}
)  # for steps that answer before a call is understood


@dataclass
class FakeApi:
    """Use as a context manager; `url` is the base URL for either provider."""

    key: str
    script: dict[str, list[Step]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    most_busy: int = 0
    connections: int = 0

    def __enter__(self) -> FakeApi:
        self.changed = threading.Condition()
        self.busy = 0
        self.closing = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.api = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def asked(self, instruction: str) -> int:
        return sum(call.instruction == instruction for call in self.calls)

    def next_step(self, call: Call) -> Step:
        with self.changed:
            done = self.asked(call.instruction)
            self.calls.append(call)
            steps = self.script.get(call.instruction) or [answer()]
            return steps[min(done, len(steps) - 1)]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    api: FakeApi


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every reply waits 40 ms for an acknowledgement
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.api.changed:
            self.server.api.connections += 1

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the tests look at `calls`."""

    def do_POST(self) -> None:
        api, self.inside = self.server.api, True
        with api.changed:
            api.busy += 1
            api.most_busy = max(api.most_busy, api.busy)
        try:
            call = self.parse()
            if call is not None:
                api.next_step(call)(self, call)
        except (BrokenPipeError, ConnectionResetError):  # the client gave up, as some tests want it to
            self.close_connection = True
        finally:
            self.leave()

    def leave(self) -> None:
        """No longer busy; said before the reply is sent, since the client may come back at once."""
        if self.inside:
            self.inside = False
            with self.server.api.changed:
                self.server.api.busy -= 1

    def parse(self) -> Call | None:
        """The call, or None after an error reply, as the services give them."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path, headers = urlsplit(self.path).path, {k.lower(): v for k, v in self.headers.items()}
        key = self.server.api.key
        if path.startswith("/v1/models/") and path.endswith(":generateContent"):
            if headers.get("x-goog-api-key") == key:
                return gemini_call(path, headers, body)
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            status(400, "API key not valid.", error={"status": "INVALID_ARGUMENT", "details": [reason]})(self, NO_CALL)
        elif path == "/v1/images/edits":
            if headers.get("authorization") == f"Bearer {key}":
                return openai_call(headers, body)
            given = headers.get("authorization", "").removeprefix("Bearer ")
            message = f"Incorrect API key provided: {given[:7]}****************{given[-4:]}."
            status(401, message, error={"code": "invalid_api_key"})(self, NO_CALL)
        else:
            status(404, f"no such path: {path}")(self, NO_CALL)
        return None

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.leave()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def reply_json(self, value: object) -> None:
        self.reply(200, json.dumps(value).encode())

    def hang_up(self) -> None:
        self.close_connection = True


def gemini_call(path: str, headers: dict[str, str], body: bytes) -> Call:
    fields = json.loads(body)
    text, picture = fields["contents"][0]["parts"]
    assert picture["inlineData"]["mimeType"] == "image/png" and headers["content-type"] == "application/json"
    config = fields["generationConfig"]
    return Call(
        "nano_banana",
        unquote(path.removeprefix("/v1/models/").removesuffix(":generateContent")),
        text["text"],
        config["imageConfig"]["aspectRatio"],
        config["seed"],
        opened(base64.b64decode(picture["inlineData"]["data"])),
        headers,
        fields,
    )


def openai_call(headers: dict[str, str], body: bytes) -> Call:
    form = BytesParser().parsebytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    parts: dict[str, Any] = {str(p.get_param("name", header="content-disposition")): p for p in form.walk()}
    image = parts["image"]
    assert image.get_content_type() == "image/png" and image.get_filename() == "image.png"
    texts = {k: p.get_payload(decode=True).decode() for k, p in parts.items() if k not in ("image", "None")}
    picture = opened(image.get_payload(decode=True))
    return Call(
        "gpt_image", texts.get("model", ""), texts["prompt"], texts.get("size", ""), None, picture, headers, texts
    )


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def body_of(call: Call, data: bytes, snake: bool = False) -> dict[str, Any]:
    """A successful reply that holds a picture's file."""
    text = base64.b64encode(data).decode()
    if call.provider == "gpt_image":
        return {"created": 1, "data": [{"b64_json": text}], "usage": {"total_tokens": 4}}
    inline, mime, finish = (
        ("inline_data", "mime_type", "finish_reason") if snake else ("inlineData", "mimeType", "finishReason")
    )
    draft = {inline: {mime: "image/png", "data": base64.b64encode(b"a draft").decode()}, "thought": True}
    parts = [{"text": "Here it is:"}, draft, {inline: {mime: "image/png", "data": text}}, {"text": "Enjoy."}]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, finish: "STOP"}]}


def answer(size: tuple[int, int] | None = None, snake: bool = False, file_format: str = "PNG") -> Step:
    """The edited picture; of another size where one is given."""

    def step(handler: Handler, call: Call) -> None:
        edited = ImageChops.invert(call.picture)
        edited = edited.resize(size) if size else edited
        file = io.BytesIO()
        edited.save(file, file_format, **({"compress_level": 1} if file_format == "PNG" else {"quality": 95}))
        reply = body_of(call, file.getvalue(), snake)
        with handler.server.api.changed:
            handler.server.api.answered[call.instruction] += 1
            handler.server.api.changed.notify_all()
        handler.reply_json(reply)

    return step


def status(code: int, message: str = "trouble", headers: dict[str, str] | None = None, error: Any = None) -> Step:
    """An error as the services give it; `error` adds to its fields."""
    body = json.dumps({"error": {"message": message, **(error or {})}}).encode()
    return lambda handler, call: handler.reply(code, body, headers)


def page(code: int, text: str) -> Step:
    """Not the service's own JSON but a gateway's page."""
    return lambda handler, call: handler.reply(code, text.encode(), {"Content-Type": "text/html"})


def json_reply(value: object) -> Step:
    return lambda handler, call: handler.reply_json(value)


def hang() -> Step:
    """No word until the test is over."""

    def step(handler: Handler, call: Call) -> None:
        handler.server.api.closing.wait(PATIENCE_S)
        handler.hang_up()

    return step


def trickle() -> Step:
    """A reply that goes on for ever, byte by byte, so that no single wait is long."""

    def step(handler: Handler, call: Call) -> None:
        handler.reply(200, b"{", length=10**6)
        while not handler.server.api.closing.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    return step


def drop() -> Step:
    """The connection ends without a reply."""
    return lambda handler, call: handler.hang_up()


def drop_in_body() -> Step:
    def step(handler: Handler, call: Call) -> None:
        body = json.dumps(body_of(call, png(call.picture))).encode()
        handler.reply(200, body[: len(body) // 2], length=len(body))
        handler.hang_up()

    return step


def answer_and_drop() -> Step:
    """A good reply, after which the connection ends without notice."""

    def step(handler: Handler, call: Call) -> None:
        answer()(handler, call)
        handler.hang_up()

    return step


def cut_json() -> Step:
    """A whole reply of half a JSON text."""

    def step(handler: Handler, call: Call) -> None:
        body = json.dumps(body_of(call, png(call.picture))).encode()
        handler.reply(200, body[: len(body) // 2])

    return step


def cut_picture() -> Step:
    def step(handler: Handler, call: Call) -> None:
        data = png(call.picture)
        handler.reply_json(body_of(call, data[: len(data) // 2]))

    return step


def no_picture() -> Step:
    def step(handler: Handler, call: Call) -> None:
        parts = [{"text": "What a nice picture."}]
        chat = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
        handler.reply_json(chat if call.provider == "nano_banana" else {"created": 1, "data": []})

    return step


def refuse(message: str = "not allowed", blocked: bool = False) -> Step:
    """As each service's content filter does; `blocked`: Gemini's filter of requests rather than of results."""

    def step(handler: Handler, call: Call) -> None:
        if call.provider == "gpt_image":
            error = {"code": "moderation_blocked", "type": "image_generation_user_error"}
            status(400, message, error=error)(handler, call)
        elif blocked:
            handler.reply_json({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": message}})
        else:
            handler.reply_json({"candidates": [{"finishReason": "IMAGE_SAFETY", "finishMessage": message}]})

    return step


def together(n: int) -> Step:
    """Answers only once n calls are under way at the same time."""
    barrier = threading.Barrier(n)

    def step(handler: Handler, call: Call) -> None:
        barrier.wait(PATIENCE_S)
        answer()(handler, call)

    return step


def after(instruction: str) -> Step:
    """Answers only once another instruction has been answered."""

    def step(handler: Handler, call: Call) -> None:
        api = handler.server.api
        with api.changed:
            api.changed.wait_for(lambda: api.answered[instruction] > 0, PATIENCE_S)
        answer()(handler, call)

    return step
