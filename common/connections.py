"""HTTP exchanges with one service: connections kept alive and shared by threads, never more than a set number at a time.

Only the standard library: `http.client` costs a fraction of a millisecond per exchange, which matters when many threads
share few cores. Redirects are not followed, so that a key never travels to another host.
"""

from __future__ import annotations

import base64
import http.client
import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from common.errors import BadInput, RunFailed

MAX_IDLE_S = 5.0  # servers close idle connections; one that has waited longer is not trusted with a request
MAX_REPLY = 256 * 2**20  # bytes; a reply beyond this is a mistake, and memory is shared by all threads
CHUNK = 2**16
_STATUS = re.compile(r"HTTP/1\.1 ([2-5]\d\d)(?: .*)?")
SLACK = 0.01  # share of the whole time by which a wait may end after the deadline


class ExchangeFailed(RunFailed):
    """An exchange that did not end with a whole reply; `retry`: whether another try may help."""

    def __init__(self, reason: str, retry: bool = True) -> None:
        super().__init__(reason)
        self.retry = retry


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Connections:
    """Connections to the host of `base_url` (http or https), straight or through the proxy that the environment names
    (HTTPS_PROXY, HTTP_PROXY, NO_PROXY). Safe to use from many threads; more than `limit` wait for their turn.

    Raises BadInput for a URL that is no http(s) URL or that carries credentials (it is shown in messages).
    """

    def __init__(self, base_url: str, *, connect_timeout_s: float, timeout_s: float, limit: int) -> None:
        try:
            url = urlsplit(base_url)
            self.port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError as error:
            raise BadInput(f"base_url cannot be read: {error}") from None
        if url.scheme not in ("http", "https") or not url.hostname:
            raise BadInput("base_url must look like https://host/path")
        if url.username or url.password or url.query or url.fragment:
            raise BadInput("base_url must hold no user, password, query or fragment; keys belong in the environment")
        self.host = url.hostname
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._netloc, self._prefix = url.netloc, url.path.rstrip("/")
        self._connect_timeout_s, self._timeout_s = connect_timeout_s, timeout_s
        self._slots = threading.BoundedSemaphore(limit)
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []  # with the time of their last use
        self._lock = threading.Lock()
        proxy = "" if proxy_bypass(self.host) else getproxies().get(url.scheme, "")
        self._proxy = _proxy(proxy, url.scheme) if proxy else None

    def get(self, path: str, headers: Mapping[str, str]) -> Response:
        """As `post`, asking for what is at `base_url` + `path`."""
        return self._whole("GET", path, headers, b"")

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send `body` to `base_url` + `path` and read the whole reply, whatever its status.

        The connection must stand within `connect_timeout_s`, the rest be done within `timeout_s` even where bytes
        trickle in. Raises ExchangeFailed where either does not hold, the connection drops or the reply is cut short.
        """
        return self._whole("POST", path, headers, body)

    def _whole(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        with self._slots:
            connection, stage = self._take(), "connection"
            try:
                if connection.sock is None:
                    connection.connect()
                stage = "reply"
                line = f"{method} {self._target(path)} HTTP/1.1"
                response, keep = self._exchange(connection, line, {**headers, **self._proxy_auth()}, body)
            except ssl.SSLCertVerificationError as error:
                connection.close()
                raise ExchangeFailed(
                    f"the certificate of {self.host} is not trusted here ({error.verify_message}); "
                    "point SSL_CERT_FILE to this machine's CA certificates",
                    retry=False,
                ) from None
            except TimeoutError:
                connection.close()
                seconds = self._connect_timeout_s if stage == "connection" else self._timeout_s
                raise ExchangeFailed(f"no whole {stage} from {self.host} within {seconds:g} s") from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise ExchangeFailed(
                    f"the {stage} of {self.host} broke off ({type(error).__name__}: {error})"
                ) from None
            except BaseException:
                connection.close()
                raise
            if keep:
                with self._lock:
                    self._idle.append((connection, time.monotonic()))
            else:
                connection.close()
            return response

    def close(self) -> None:
        """Close the connections that nobody uses now; later exchanges open new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, line: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Response, bool]:
        """The reply, and whether the connection can serve another request."""
        sock, deadline = connection.sock, time.monotonic() + self._timeout_s

        def limit_wait() -> None:  # every wait ends at the deadline, however many bytes came before it
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            now = sock.gettimeout()
            if now is None or not left <= now <= left + SLACK * self._timeout_s:  # to set it is a call of the system
                sock.settimeout(left)

        limit_wait()
        sock.sendall(self._head(line, headers, len(body)) + body)  # in one piece: half the calls, no wait between two
        limit_wait()
        first = sock.recv(CHUNK)
        if (whole := read_plain_reply(first)) is not None:
            return whole
        reply = http.client.HTTPResponse(_ResumedSocket(first, sock), method=line.partition(" ")[0])  # type: ignore[arg-type]
        reply.begin()
        parts, got, length = (
            [],
            0,
            reply.length,
        )  # length: None for chunked replies and those that end with the connection
        while got != length:
            limit_wait()
            part = reply.read1(CHUNK if length is None else min(CHUNK, length - got))
            if not part:
                break
            parts.append(part)
            got += len(part)
            if got > MAX_REPLY:
                raise http.client.HTTPException(f"more than {MAX_REPLY} bytes")
        if length is not None and got < length:  # read1 ends quietly here
            raise http.client.HTTPException(f"{got} of {length} bytes")
        reply.close()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return Response(reply.status, names, b"".join(parts)), not reply.will_close

    def _head(self, line: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [line, f"Host: {self._netloc}", "Accept-Encoding: identity"]
        lines += [f"Content-Length: {length}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, "", ""])
        if head.count("\r") + head.count("\n") != 2 * len(lines) + 2:
            raise BadInput("a line break in the address or a header of a request; mend base_url or the key")
        return head.encode("latin-1")

    def _take(self) -> http.client.HTTPConnection:
        with self._lock:
            while self._idle:
                connection, used = self._idle.pop()
                if time.monotonic() - used < MAX_IDLE_S:
                    return connection
                connection.close()
        host, port = self.host, self.port
        if self._proxy is not None:
            host, port = self._proxy.hostname or "", self._proxy.port or 80
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=self._connect_timeout_s)
        connection = http.client.HTTPSConnection(host, port, timeout=self._connect_timeout_s, context=self._tls)
        if self._proxy is not None:
            connection.set_tunnel(self.host, self.port, self._proxy_auth(tunnel=True))
        return connection

    def _target(self, path: str) -> str:
        whole = self._prefix + path
        return f"http://{self._netloc}{whole}" if self._proxy is not None and self._tls is None else whole

    def _proxy_auth(self, tunnel: bool = False) -> dict[str, str]:
        """For https only the tunnel is the proxy's business, for http every request is."""
        if self._proxy is None or not self._proxy.username or tunnel != (self._tls is not None):
            return {}
        pair = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
        return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _proxy(address: str, scheme: str) -> SplitResult:
    """The HTTP proxy that the environment names. Raises BadInput for one of another kind (SOCKS, TLS), which does not understand
    what is said here; the address may hold a password and is not shown."""
    variable = f"{scheme.upper()}_PROXY"
    try:
        url = urlsplit(address if "//" in address else f"//{address}")
        whole = bool(url.hostname) and (url.port or 80) > 0
    except ValueError:
        whole = False
    if not whole:
        raise BadInput(f"{variable} cannot be read as the address of a proxy; it must look like http://host:port")
    if url.scheme not in ("", "http"):
        raise BadInput(
            f"{variable} names a {url.scheme} proxy, and only http ones are spoken to; give {variable}=http://host:port, or name "
            "the service's host in NO_PROXY to reach it directly"
        )
    return url


def read_plain_reply(data: bytes) -> tuple[Response, bool] | None:
    """The reply and whether the connection stays open, where `data` holds a whole reply in the plainest form (a status line,
    headers, a body of the stated length); None for everything else, which `http.client` reads. Most replies are of this form,
    and reading them here takes a tenth of the time."""
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = _STATUS.fullmatch(first)
    if not end or status is None:
        return None
    names: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or line[:1] in (" ", "\t"):
            return None
        names[name.lower()] = value.strip()
    if len(names) < len(lines) or "transfer-encoding" in names or names.get("content-length") != str(len(body)):
        return None
    return Response(int(status[1]), names, body), names.get("connection", "").lower() != "close"


class _ResumedSocket(io.RawIOBase):
    """The bytes already read from a socket followed by the socket itself, as the one stream that `http.client` reads."""

    def __init__(self, first: bytes, sock: socket.socket) -> None:
        super().__init__()
        self._first, self._sock = memoryview(first), sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, CHUNK)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._first:
            n = min(len(buffer), len(self._first))
            buffer[:n], self._first = self._first[:n], self._first[n:]
            return n
        return self._sock.recv_into(buffer)


__all__ = ["ExchangeFailed", "Connections", "Response"]
