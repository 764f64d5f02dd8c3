"""A real headless Chromium, driven through its DevTools protocol: the little that tests of a page need.

with Browser.start() as browser:
    tab = browser.open("http://127.0.0.1:7860/")      # every tab has cookies of its own
    tab.fill("#request textarea", "make it darker")
    tab.click("#edit")
    tab.wait("document.querySelector('.told')")
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LIMIT_S = 600.0  # of everything that is waited for; only ever reached by a broken test
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """The protocol's connection. Events of all tabs arrive at it and are given to their tabs."""

    def __init__(self, url: str) -> None:
        from websockets.sync.client import connect

        self._wire = connect(url, max_size=None, open_timeout=LIMIT_S)
        self._last = 0
        self._replies: dict[int, dict[str, Any]] = {}
        self._tabs: dict[str, Tab] = {}

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Browser]:
        assert CHROMIUM is not None
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            process = subprocess.Popen(
                [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                port, path = _endpoint(Path(folder) / "DevToolsActivePort", process)
                yield cls(f"ws://127.0.0.1:{port}{path}")
            finally:
                process.terminate()
                process.wait(30)

    def open(self, url: str, width: int = 1400, height: int = 900, headers: dict[str, str] | None = None) -> Tab:
        """A page in a context of its own, with its own cookies and storage."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Network", "DOM"):
            tab.send(f"{domain}.enable")
        tab.resize(width, height)
        if headers:
            tab.send("Network.setExtraHTTPHeaders", headers=headers)
        tab.go(url)
        return tab

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a command. Raises AssertionError where the browser refuses it."""
        self._last += 1
        number = self._last
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self._wire.send(json.dumps(message))
        end = time.monotonic() + LIMIT_S
        while number not in self._replies:
            self._take(end - time.monotonic())
        reply = self._replies.pop(number)
        assert "error" not in reply, f"{method}: {reply['error']}"
        return reply.get("result", {})

    def _take(self, timeout: float) -> None:
        message = json.loads(self._wire.recv(timeout=max(0.01, timeout)))
        if "id" in message:
            self._replies[message["id"]] = message
        elif (tab := self._tabs.get(message.get("sessionId", ""))) is not None:
            tab.hear(message["method"], message["params"])


@dataclass
class Tab:
    """`requested`: every address that the page asked for; `errors`: what its scripts threw."""

    browser: Browser
    session: str
    requested: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **params)

    def hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])

    def go(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def evaluate(self, code: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        made = self.send("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in made, made["exceptionDetails"]
        return made["result"].get("value")

    def wait(self, code: str) -> Any:
        """Wait until the expression is true, and return its value (true for an element)."""
        code = f"(v => v instanceof Node ? true : v)({code})"
        end = time.monotonic() + LIMIT_S
        while not (value := self.evaluate(code)):
            assert time.monotonic() < end, f"waited in vain for {code}; the page says: {self.text()[-2000:]}"
            time.sleep(0.1)
        return value

    def text(self, selector: str = "body") -> str:
        """What a person reads there; "" where there is nothing."""
        return self.evaluate(f"document.querySelector({selector!r})?.innerText || ''")

    def click(self, selector: str) -> None:
        """A click on the first visible element, once it can be clicked."""
        self.wait(f"[...document.querySelectorAll({selector!r})].some(e => e.offsetParent && !e.disabled)")
        self.evaluate(
            f"[...document.querySelectorAll({selector!r})].find(e => e.offsetParent && !e.disabled).click(), true"
        )

    def press(self, text: str) -> None:
        """A click on the visible button with this text."""
        shown = "[...document.querySelectorAll('button')].filter(e => e.offsetParent && !e.disabled)"
        found = f"{shown}.find(e => e.innerText.trim() == {text!r})"
        self.wait(found + " != null")
        self.evaluate(f"{found}.click(), true")

    def fill(self, selector: str, text: str) -> None:
        """Put a text into a field as if it were typed."""
        place, end = f"document.querySelector({selector!r})", time.monotonic() + LIMIT_S
        while self.evaluate(f"{place}?.value") != text:  # a page that is just being drawn anew may lose it
            assert time.monotonic() < end, f"{selector} does not take the text"
            self.wait(place)
            self.evaluate(f"{place}?.focus(), {place}?.select(), true")
            self.send("Input.insertText", text=text)
            time.sleep(0.1)

    def upload(self, selector: str, path: Path) -> None:
        """Give a file to a file input."""
        self.wait(f"document.querySelector({selector!r})")
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def resize(self, width: int, height: int) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def dark(self, on: bool = True) -> None:
        value = "dark" if on else "light"
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def screenshot(self, path: Path, whole: bool = True) -> None:
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def bytes_of(self, url: str) -> bytes:
        """What the page gets from an address, with its cookies."""
        code = (
            f"fetch({url!r}).then(async r => r.ok ? btoa(Array.from(new Uint8Array(await r.arrayBuffer()), "
            "b => String.fromCharCode(b)).join('')) : 'status ' + r.status)"
        )
        packed = self.evaluate(code)
        assert not packed.startswith("status "), f"{url}: {packed}"
        return base64.b64decode(packed)


def _endpoint(file: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    end = time.monotonic() + LIMIT_S
    while not (file.is_file() and len(lines := file.read_text().split()) == 2):
        assert process.poll() is None and time.monotonic() < end, "Chromium did not start"
        time.sleep(0.1)
    return lines[0], lines[1]


__all__ = ["CHROMIUM", "Browser", "Tab"]
