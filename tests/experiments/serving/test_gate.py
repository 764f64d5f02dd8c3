"""The gate: what the network reaches, a password, and whose pictures are whose; on the real page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

if find_spec("gradio") is None:  # importing it takes seconds, which only the tests that show the page should pay
    pytest.skip("needs gradio (`make extra-apps`)", allow_module_level=True)
import httpx  # noqa: E402

from experiments.serving.desk import DOWNLOAD  # noqa: E402
from experiments.serving.gate import COOKIE, browser_of, is_open, knows  # noqa: E402
from experiments.serving.workshop import Workshop  # noqa: E402
from tests.demo_page import ALICE, BOB, PATIENCE_S, noise, png, served, workshop  # noqa: E402


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop() as made:
        yield made


@pytest.fixture(scope="module")
def url(shop: Workshop) -> Iterator[str]:
    with served(shop) as address:
        yield address


def client(url: str, owner: str | None = None, **more: str) -> httpx.Client:
    cookies = {} if owner is None else {COOKIE: owner}
    return httpx.Client(base_url=url, cookies=cookies, headers=more, timeout=PATIENCE_S)


def test_a_browser_gets_a_name_once_that_no_script_reads(url: str) -> None:
    with client(url) as web:
        first = web.get("/")
        said = first.headers["set-cookie"]
        assert first.status_code == 200 and "HttpOnly" in said and "SameSite=Strict" in said
        name = browser_of(said.partition(";")[0])
        assert name is not None and len(name) == 32
        assert "set-cookie" not in web.get("/").headers
    with client(url) as web:
        assert name not in web.get("/").headers["set-cookie"]


@pytest.mark.parametrize("file", [Path("/etc/passwd"), Path(__file__), Path("pyproject.toml").absolute()])
@pytest.mark.parametrize(
    "route",
    [
        "gradio_api/file={}",
        "gradio_api/file/{}",
        "file={}",
        "gradio_api/proxy=file://{}",
        "static/..{}",
        "assets/../..{}",
    ]
    + ["gradio_api/file%3D{}", "gradio_api//file={}", "pictures/../../..{}", "svelte/..{}", "gradio_api/stream/{}"]
    + ["static/%2e%2e/%2e%2e{}", "gradio_api/upload/../file={}", "gradio_api/heartbeat/../file={}", "theme.css/{}"],
)
def test_no_file_of_the_server_can_be_read(url: str, route: str, file: Path) -> None:
    import http.client

    connection = http.client.HTTPConnection(
        url.removeprefix("http://").rstrip("/"), timeout=PATIENCE_S
    )  # it changes no path
    connection.request("GET", f"/{route.format(file)}")
    answer = connection.getresponse()
    assert answer.status in (400, 403, 404, 405), answer.status
    assert file.read_bytes()[:40] not in answer.read()
    connection.close()


def test_uploads_cannot_be_read_by_anybody_and_do_not_stay(shop: Workshop, url: str) -> None:
    with client(url, ALICE) as web:
        (path,) = web.post("/gradio_api/upload", files={"files": ("a.png", png(noise(0)))}).json()
        assert Path(path).is_file()
        for owner in (ALICE, BOB):
            assert client(url, owner).get(f"/gradio_api/file={path}").status_code == 404
    from experiments.serving.conversation import Conversation

    assert Conversation(shop).open(ALICE, path).key and not Path(path).exists()


def test_pictures_are_their_browsers_alone(shop: Workshop, url: str) -> None:
    key, _ = shop.open(ALICE, png(noise(3)), "photo of \u00e4 tree.jpg")
    list(shop.edit(ALICE, key, "remove tree"))
    names = [DOWNLOAD, *shop.desk(ALICE, key).pictures()]
    for name in names:
        path = f"/pictures/{key}/{name}.png"
        with client(url, ALICE) as web:
            answer = web.get(path)
            assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
            assert "private" in answer.headers["cache-control"] or name == DOWNLOAD
        for other in (BOB, None, "", ALICE[:-1], ALICE + "a"):
            with client(url, other) as web:
                assert web.get(path).status_code == 404
    with client(url, ALICE) as web:
        answer = web.get(f"/pictures/{key}/{DOWNLOAD}.png")
        assert "photo%20of%20%C3%A4%20tree_edited.png" in answer.headers["content-disposition"]
        shown = Image.open(io.BytesIO(answer.content))
        assert shown.tobytes() == shop.desk(ALICE, key).session.picture.tobytes()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(url: str) -> None:
    with client(url, ALICE) as web:
        answer = web.post("/gradio_api/upload", files={"files": ("a.png", b"0" * 2_500_000)})
        assert answer.status_code == 413
        answer = web.post("/gradio_api/upload", files={"files": ("a.png", b"0" * 4_000_000)})
        assert answer.status_code == 413
        answer = web.post("/gradio_api/upload", content=(b"0" * 1000 for _ in range(3)))
        assert answer.status_code == 411


def test_the_page_forbids_everything_from_elsewhere_and_has_nothing_of_it(url: str) -> None:
    with client(url) as web:
        page = web.get("/")
        rules = page.headers["content-security-policy"]
        assert "http" not in rules and "default-src 'self'" in rules and "frame-ancestors 'none'" in rules
        assert page.headers["x-content-type-options"] == "nosniff"
        style = web.get("/theme.css").text
        assert not re.search(r"url\(.?(https?:)?//", style) and "@import" not in style and "googleapis" not in page.text


def test_a_password_closes_everything() -> None:
    word = "ein g\u00fctes W\u00f6rt: mit Doppelpunkt"

    def said(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    with workshop() as shop, served(shop, password=word) as url:
        for path in ("/", "/config", "/pictures/a/b.png", "/gradio_api/upload", "/nowhere"):
            for more in ({}, {"authorization": said("x:" + word[:-1])}, {"authorization": "Basic ???"}):
                with client(url, **more) as web:
                    answer = web.get(path)
                    assert answer.status_code == 401 and "Basic" in answer.headers["www-authenticate"]
                    assert word not in answer.text
        for user in ("", "anybody"):
            with client(url, authorization=said(f"{user}:{word}")) as web:
                assert web.get("/").status_code == 200 and web.get("/nowhere").status_code == 404


def test_of_headers() -> None:
    assert (
        not knows("", "") and not knows("Basic", "a") and not knows("Bearer " + base64.b64encode(b"a:a").decode(), "a")
    )
    assert browser_of("") is None and browser_of(f"{COOKIE}=short") is None and browser_of("\x00=;;;") is None
    assert browser_of(f"other=1; {COOKIE}={ALICE}") == ALICE
    assert (
        is_open("/") and is_open("/assets/x.js") and not is_open("/assets/../x") and not is_open("/gradio_api/call/x")
    )
    assert not is_open("/queue/join") and is_open("/gradio_api/queue/join") and not is_open("/monitoring")
