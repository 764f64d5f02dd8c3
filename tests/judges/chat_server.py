"""A chat-completions service on this machine: the real protocol over HTTP/1.1, misbehaving by script. For tests and benches.

In a test it lives in a thread (`with ChatServer(script=...) as server: ... server.url`). A script is a list of steps for
every call whose text holds a given piece; each such call takes the next step and the last one repeats. Without a script
every call gets `reply(call)`. As a process of its own it answers everything alike after a fixed time, without looking:

    python tests/judges/chat_server.py --latency-ms 50 --text '{"score": 7}'

prints its base URL; `GET <base URL>/count` says how many calls it had. Only the standard library.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 20.0  # how long a step waits for something that must come; only ever reached by a broken test


@dataclass
class Call:
    """One request, as the service understood it."""

    text: str  # all pieces of text, the system prompt first, joined by line breaks
    pictures: list[tuple[str, bytes]]  # MIME type and file
    fields: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Exchange:
    """What a step answers through."""

    server: ChatServer
    call: Call
    transport: asyncio.Transport

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None, length: int | None = None):
        self.server.busy -= 1  # said before the reply goes out: the client may be back at once
        self.transport.write(http(status, body, headers, length))

    def reply_json(self, value: object, status: int = 200) -> None:
        self.reply(status, json.dumps(value).encode())

    def drop(self) -> None:
        self.server.busy -= 1
        self.transport.close()


Step = Callable[[Exchange], Awaitable[None]]


def http(status: int, body: bytes, headers: Mapping[str, str] | None = None, length: int | None = None) -> bytes:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body) if length is None else length)}
    head = "".join(f"{k}: {v}\r\n" for k, v in {**lines, **(headers or {})}.items())
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body


def chat(text: str | None, usage: tuple[int, int] = (100, 20), finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A successful reply."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    spent = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": spent}


def instance(schema: Mapping[str, Any], salt: str = "") -> Any:
    """Some value that a JSON schema allows; another salt may give another one."""
    if "enum" in schema:
        return schema["enum"][_draw(salt, len(schema["enum"]))]
    match schema.get("type"):
        case "object":
            return {name: instance(inner, f"{salt}/{name}") for name, inner in schema.get("properties", {}).items()}
        case "array":
            n = schema.get("minItems", schema.get("maxItems", 1))
            return [instance(schema.get("items", {}), f"{salt}/{k}") for k in range(n)]
        case "integer" | "number":
            low, high = schema.get("minimum", 0), schema.get("maximum", 10)
            return low + _draw(salt, int(high - low) + 1)
        case "boolean":
            return bool(_draw(salt, 2))
    return "a plain sentence"


def _draw(salt: str, n: int) -> int:
    return int(hashlib.sha256(salt.encode()).hexdigest()[:8], 16) % n


def by_schema(call: Call) -> str:
    """What the schema of the request asks for; without one a score for each of two things."""
    schema = call.fields.get("response_format", {}).get("json_schema", {}).get("schema")
    return json.dumps({"score": [7, 8], "reasoning": "clear"} if schema is None else instance(schema, call.text))


@dataclass
class ChatServer:
    """Use as a context manager; `url` is the base URL. With `key` every other key is turned away, the key quoted."""

    script: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    reply: Callable[[Call], str] = by_schema
    key: str = ""
    latency_s: float = 0.0
    calls: list[Call] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)  # by the piece of text of the script
    busy: int = 0
    most_busy: int = 0
    connections: int = 0

    def __enter__(self) -> ChatServer:
        started = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.closing, self.changed = asyncio.Event(), asyncio.Condition()
        self.tasks: set[asyncio.Task] = set()

        def serve() -> None:
            asyncio.set_event_loop(self.loop)
            self.socket = self.loop.run_until_complete(
                self.loop.create_server(lambda: Scripted(self), "127.0.0.1", 0, backlog=256)
            )
            started.set()
            self.loop.run_until_complete(self._until_closed())
            self.loop.close()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        assert started.wait(PATIENCE_S)
        return self

    async def _until_closed(self) -> None:
        await self.closing.wait()
        self.socket.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.closing.set)
        self.thread.join(PATIENCE_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.sockets[0].getsockname()[1]}/v1"

    def asked(self, piece: str) -> int:
        """How many calls' text held this piece."""
        return sum(piece in call.text for call in self.calls)

    def piece_of(self, call: Call) -> str:
        """The script's piece of text that a call belongs to, "" for none."""
        return next((piece for piece in self.script if piece in call.text), "")

    async def serve(self, transport: asyncio.Transport, head: dict[str, str], path: str, body: bytes) -> None:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        call = parse(body, head)
        exchange = Exchange(self, call, transport)
        given = head.get("authorization", "").removeprefix("Bearer ")
        if path != "/v1/chat/completions":
            await error(404, f"no such path: {path}")(exchange)
        elif self.key and given != self.key:
            await error(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")(exchange)
        else:
            piece = self.piece_of(call)
            done = self.asked(piece) if piece else 0
            self.calls.append(call)
            steps = self.script.get(piece) or [answer()]
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            await steps[min(done, len(steps) - 1)](exchange)


def parse(body: bytes, headers: dict[str, str]) -> Call:
    fields = json.loads(body)
    texts, pictures = [], []
    for message in fields["messages"]:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                mime, _, data = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
                pictures.append((mime, base64.b64decode(data, validate=True)))
    return Call("\n".join(texts), pictures, fields, headers)


class Http(asyncio.Protocol):
    """One connection, one request after the other."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.data = transport, bytearray()
        self.head: bytes | None = None
        self.length = 0

    def data_received(self, data: bytes) -> None:
        self.data += data
        while True:
            if self.head is None:
                end = self.data.find(b"\r\n\r\n")
                if end < 0:
                    return
                self.head = bytes(self.data[:end])
                del self.data[: end + 4]
                at = self.head.lower().find(b"content-length:")
                self.length = 0 if at < 0 else int(self.head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.data) < self.length:
                return
            head, self.head, body = self.head, None, bytes(self.data[: self.length])
            del self.data[: self.length]
            self.request(head, body)

    def request(self, head: bytes, body: bytes) -> None:
        raise NotImplementedError


class Scripted(Http):
    def __init__(self, server: ChatServer) -> None:
        self.server = server

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.server.connections += 1

    def request(self, head: bytes, body: bytes) -> None:
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}
        task = self.server.loop.create_task(self.server.serve(self.transport, headers, first.split()[1], body))
        self.server.tasks.add(task)
        task.add_done_callback(self.server.tasks.discard)


class Alike(Http):
    """The same reply for everybody after a fixed time; nothing of a call is looked at."""

    calls = 0

    def __init__(self, body: bytes, latency_s: float) -> None:
        self.body, self.latency_s = body, latency_s
        self.loop = asyncio.get_running_loop()

    def request(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self.transport.write(http(200, json.dumps({"calls": Alike.calls}).encode()))
            return
        Alike.calls += 1
        self.loop.call_later(self.latency_s, self.transport.write, self.body)


# --- steps -------------------------------------------------------------------------------------------------------------


def answer(text: str | None = None, usage: tuple[int, int] = (100, 20), finish: str = "stop") -> Step:
    """A good reply: the given text, or what the server says by itself."""

    async def step(exchange: Exchange) -> None:
        server = exchange.server
        said = server.reply(exchange.call) if text is None else text
        async with server.changed:
            server.answered[server.piece_of(exchange.call)] += 1
            server.changed.notify_all()
        exchange.reply_json(chat(said, usage, finish))

    return step


def prose(usage: tuple[int, int] = (100, 20)) -> Step:
    """The good reply inside a fenced block with words before and after."""

    async def step(exchange: Exchange) -> None:
        said = exchange.server.reply(exchange.call)
        exchange.reply_json(chat(f"Here is my verdict.\n```json\n{said}\n```\nHope it helps!", usage))

    return step


def error(status: int, message: str = "trouble", headers: Mapping[str, str] | None = None, **fields: Any) -> Step:
    """An error as the services give it; `fields` go beside the message (code, type, param)."""
    body = json.dumps({"error": {"message": message, **fields}}).encode()

    async def step(exchange: Exchange) -> None:
        exchange.reply(status, body, headers)

    return step


def busy(after_s: float | None = None) -> Step:
    """429, with Retry-After where seconds are given."""
    return error(429, "Rate limit reached", None if after_s is None else {"Retry-After": f"{after_s:g}"})


def echo_key(status: int) -> Step:
    """An error that quotes the whole key."""

    async def step(exchange: Exchange) -> None:
        key = exchange.call.headers.get("authorization", "").removeprefix("Bearer ")
        exchange.reply_json({"error": {"message": f"trouble with {key} of yours", "param": key}}, status)

    return step


def page(status: int, text: str = "<html>502 Bad Gateway</html>") -> Step:
    """Not the service's own JSON but a gateway's page."""

    async def step(exchange: Exchange) -> None:
        exchange.reply(status, text.encode(), {"Content-Type": "text/html"})

    return step


def refuse(how: str = "finish") -> Step:
    """By a content filter: "finish" (finish_reason), "message" (message.refusal), "error" (HTTP 400 and its code)."""

    async def step(exchange: Exchange) -> None:
        if how == "finish":
            exchange.reply_json(chat("", (100, 0), "content_filter"))
        elif how == "message":
            exchange.reply_json(chat(None, (100, 9), refusal="I cannot help with that."))
        else:
            await error(400, "The response was filtered", code="content_filter")(exchange)

    return step


def cut_off(text: str = '{"score": [7', usage: tuple[int, int] = (100, 50)) -> Step:
    """Ended by max_tokens."""
    return answer(text, usage, "length")


def value(reply: object, status: int = 200) -> Step:
    """Any JSON."""

    async def step(exchange: Exchange) -> None:
        exchange.reply_json(reply, status)

    return step


def cut_json() -> Step:
    """A whole HTTP reply of half a JSON text."""

    async def step(exchange: Exchange) -> None:
        body = json.dumps(chat(exchange.server.reply(exchange.call))).encode()
        exchange.reply(200, body[: len(body) // 2])

    return step


def drop() -> Step:
    """The connection ends without a reply."""

    async def step(exchange: Exchange) -> None:
        exchange.drop()

    return step


def drop_in_body() -> Step:
    async def step(exchange: Exchange) -> None:
        body = json.dumps(chat(exchange.server.reply(exchange.call))).encode()
        exchange.reply(200, body[: len(body) // 2], length=len(body))
        exchange.transport.close()

    return step


def chunked() -> Step:
    """A good reply in chunks, as services behind proxies send them."""

    async def step(exchange: Exchange) -> None:
        body = json.dumps(chat(exchange.server.reply(exchange.call))).encode()
        parts = [body[:7], body[7:40], body[40:]]
        sent = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts) + b"0\r\n\r\n"
        exchange.server.busy -= 1
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        exchange.transport.write(head + sent)

    return step


def answer_and_drop() -> Step:
    """A good reply, after which the connection ends without notice."""

    async def step(exchange: Exchange) -> None:
        await answer()(exchange)
        exchange.transport.close()

    return step


def slow(seconds: float, then: Step) -> Step:
    async def step(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await then(exchange)

    return step


def hang() -> Step:
    """No word until the test is over."""

    async def step(exchange: Exchange) -> None:
        await exchange.server.closing.wait()
        exchange.drop()

    return step


def after(piece: str, then: Step | None = None) -> Step:
    """Answers only once a call of another piece of the script has been answered: replies come out of order."""

    async def step(exchange: Exchange) -> None:
        server = exchange.server
        async with server.changed:
            await asyncio.wait_for(server.changed.wait_for(lambda: server.answered[piece] > 0), PATIENCE_S)
        await (then or answer())(exchange)

    return step


def together(n: int) -> Step:
    """Answers only once n calls are under way at the same time."""
    barrier = asyncio.Barrier(n)

    async def step(exchange: Exchange) -> None:
        await asyncio.wait_for(barrier.wait(), PATIENCE_S)
        await answer()(exchange)

    return step


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--text", default=by_schema(Call("", [], {}, {})), help="what every reply says")
    args = parser.parse_args()
    body = http(200, json.dumps(chat(args.text)).encode())

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Alike(body, args.latency_ms / 1000), "127.0.0.1", args.port, backlog=1024
        )
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
