"""The page in a real Chromium: a picture in, a request, the steps, the plan by hand, undo, bad files, two people at once."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if find_spec("gradio") is None:  # importing it takes seconds, which only the tests that show the page should pay
    pytest.skip("needs gradio (`make extra-apps`)", allow_module_level=True)
pytest.importorskip("websockets")

from experiments.serving.workshop import Workshop  # noqa: E402
from tests.browser import CHROMIUM, Browser, Tab  # noqa: E402
from tests.demo_page import Identity, Shift, noise, png, served, workshop  # noqa: E402

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
EDITOR = Shift()


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop(EDITOR) as made:
        yield made


@pytest.fixture(scope="module")
def url(shop: Workshop) -> Iterator[str]:
    with served(shop) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser.start() as started:
        yield started


@pytest.fixture
def tab(browser: Browser, url: str) -> Tab:
    opened = browser.open(url)
    opened.wait("document.querySelector('#edit')")
    return opened


def put_in(tab: Tab, folder: Path, image: Image.Image | bytes, name: str = "photo.png", **more: object) -> None:
    file = folder / name
    file.write_bytes(image if isinstance(image, bytes) else png(image, **more))  # type: ignore[arg-type]
    tab.upload("input[type=file]", file)


def ask(tab: Tab, text: str) -> None:
    tab.fill("#request textarea", text)
    tab.click("#edit")


def idle(tab: Tab) -> None:
    """Wait for the end of a turn."""
    tab.wait("document.querySelector('.told, .message') && !document.querySelector('.busy')")
    tab.wait("document.querySelector('#request textarea').value == ''")


def downloaded(tab: Tab) -> Image.Image:
    tab.wait("document.querySelector('a.download')")
    return Image.open(io.BytesIO(tab.bytes_of(tab.evaluate("document.querySelector('a.download').href"))))


def shows(tab: Tab, image: Image.Image) -> bool:
    """Whether the picture on the page, as the browser gets it, becomes this one."""
    for _ in range(50):
        tab.wait("document.querySelector('.canvas img.now')")
        shown = tab.bytes_of(tab.evaluate("document.querySelector('.canvas img.now').src"))
        if np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), np.asarray(image)):
            return True
        time.sleep(0.1)
    return False


def shifted(image: Image.Image, by: int) -> Image.Image:
    return image.point(lambda value: (value + by) % 256)


def test_a_picture_is_opened_edited_undone_and_downloaded(tab: Tab, tmp_path: Path) -> None:
    given = noise(0)
    put_in(tab, tmp_path, given)
    tab.wait("document.querySelector('.canvas')")
    assert shows(tab, given) and "24 × 16" in tab.text("figcaption")
    ask(tab, "remove tree and moon")
    idle(tab)
    assert (
        "2 things go" in tab.text(".told") and tab.evaluate("document.querySelectorAll('.cards li.done').length") == 2
    )
    assert shows(tab, shifted(given, 2)) and np.array_equal(np.asarray(downloaded(tab)), np.asarray(shifted(given, 2)))
    tab.wait("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    tab.press("Undo")
    tab.wait("document.querySelector('.strip .undone')")
    assert shows(tab, given)
    tab.press("Redo")
    tab.wait("document.querySelector('.strip') && !document.querySelector('.strip .undone')")
    assert shows(tab, shifted(given, 2))
    assert not [
        address for address in tab.requested if not address.startswith((tab.evaluate("location.origin"), "data:"))
    ]
    assert tab.errors == []


@pytest.mark.slow
def test_steps_come_one_by_one_and_a_turn_can_be_stopped(tab: Tab, tmp_path: Path) -> None:
    put_in(tab, tmp_path, noise(1))
    tab.wait("document.querySelector('.canvas')")
    EDITOR.go.clear()
    try:
        ask(tab, "remove tree and moon")
        tab.wait("document.querySelectorAll('.cards li').length == 2 && document.querySelector('.busy')")
        assert tab.evaluate("document.querySelectorAll('.cards li.done').length") == 0
        tab.press("Stop")
        tab.evaluate("new Promise(done => setTimeout(() => done(true), 1000))")
    finally:
        EDITOR.go.set()
    tab.wait("document.querySelector('.message')")
    assert "Stopped; the picture is as it was." in tab.text(".message") and shows(tab, noise(1))


@pytest.mark.slow
def test_a_plan_is_changed_by_hand_and_carried_out_and_again(tab: Tab, tmp_path: Path) -> None:
    put_in(tab, tmp_path, noise(2))
    tab.wait("document.querySelector('.canvas')")
    tab.fill("#request textarea", "remove tree and moon and star")
    tab.click("#plan")
    tab.wait("document.querySelectorAll('#plan-cards textarea').length == 3")
    assert shows(tab, noise(2))

    def plan() -> list[str]:
        return tab.evaluate("[...document.querySelectorAll('#plan-cards textarea')].map(e => e.value)")

    tab.click("#plan-cards .down")  # the first one
    tab.wait("document.querySelector('#plan-cards textarea').value == 'remove the moon'")
    assert plan() == ["remove the moon", "remove the tree", "remove the star"]
    tab.click("#plan-cards .out")
    tab.wait("document.querySelectorAll('#plan-cards textarea').length == 2")
    tab.fill("#plan-cards textarea", "make the <b>moon</b> ${1+1} {{red}}")
    tab.press("Add a step")
    tab.wait("document.querySelectorAll('#plan-cards textarea').length == 3")
    assert plan() == ["make the <b>moon</b> ${1+1} {{red}}", "remove the star", ""]
    EDITOR.calls.clear()
    tab.click("#carry-out")
    idle(tab)
    tab.wait("document.querySelectorAll('.cards li.done').length == 2")
    assert len(EDITOR.calls) == 2 and shows(tab, shifted(noise(2), 2))
    assert EDITOR.calls[0].endswith("${1+1} {{red}}") and EDITOR.calls[0] in tab.text(".cards")  # as it is, no markup
    assert "your own plan" in tab.text(".told")
    tab.evaluate("document.querySelector('#plan-cards button').click(), true")
    tab.click("#plan-cards .out")
    tab.wait("document.querySelectorAll('#plan-cards textarea').length == 1")
    tab.click("#carry-out")
    tab.wait("document.querySelectorAll('.cards li.done').length == 1 && !document.querySelector('.busy')")
    assert shows(tab, shifted(noise(2), 1)) and tab.evaluate("document.querySelectorAll('.strip li').length") == 2


@pytest.mark.slow
def test_bad_files_are_refused_with_their_reason_and_the_page_goes_on(tab: Tab, tmp_path: Path) -> None:
    tab.click("#edit")
    tab.wait("document.querySelector('.message')?.innerText.includes('Open a picture first')")
    bad = [
        (b"no picture at all", "odd.png", "it is no picture that can be read"),
        (png(noise(0, (90, 90)))[:3000], "cut.png", "damaged or cut short"),
        (b"", "empty.png", "empty"),
        (png(Image.new("RGB", (2000, 1000))), "large.png", "2000x1000 pixels, and 1,000,000 in all are allowed"),
    ]
    for data, name, reason in bad:
        put_in(tab, tmp_path, data, name)
        tab.wait(f"document.querySelector('.message')?.innerText.includes({reason!r})")
        assert name in tab.text(".message") and "Traceback" not in tab.text()
    put_in(tab, tmp_path, noise(5))
    tab.wait("document.querySelector('.canvas')")
    assert shows(tab, noise(5)) and not tab.text(".message")


@pytest.mark.slow
def test_orientation_and_transparency_are_those_of_edit(tab: Tab, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    put_in(tab, tmp_path, noise(6, (40, 24)), "turned.jpg", form="JPEG", exif=turned)
    tab.wait("document.querySelector('figcaption')?.innerText.includes('24 × 40')")
    tab.press("Another picture")
    clear = Image.new("RGBA", (12, 9), (200, 10, 10, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 4, 4))
    put_in(tab, tmp_path, clear, "clear.png")
    tab.wait("document.querySelector('.message')?.innerText.includes('transparency')")
    assert downloaded(tab).getchannel("A").tobytes() == clear.getchannel("A").tobytes()


@pytest.mark.slow
def test_two_people_at_once_see_their_own_pictures(browser: Browser, url: str, tmp_path: Path) -> None:
    tabs = [browser.open(url), browser.open(url)]
    for number, one in enumerate(tabs):
        put_in(one, tmp_path, noise(10 + number), f"{number}.png")
    for number, one in enumerate(tabs):
        one.wait("document.querySelector('.canvas')")
        assert shows(one, noise(10 + number))
    EDITOR.go.clear()
    ask(tabs[0], "remove tree")
    tabs[0].wait("document.querySelectorAll('.cards li').length == 1")
    ask(tabs[1], "remove moon and star")
    tabs[1].wait("document.querySelector('.busy')?.innerText.includes('Waiting')")
    EDITOR.go.set()
    for number, one in enumerate(tabs):
        idle(one)
        assert shows(one, shifted(noise(10 + number), 1 + number))
    stolen = tabs[0].evaluate("document.querySelector('.canvas img.now').src")
    with pytest.raises(AssertionError, match="status 404"):
        tabs[1].bytes_of(stolen)
    tabs[0].go(url)  # loaded again: the tab goes on with its session
    tabs[0].wait("document.querySelector('.strip')")
    assert shows(tabs[0], shifted(noise(10), 1))


@pytest.mark.slow
def test_twenty_passes_through_the_page_leave_every_pixel(browser: Browser, tmp_path: Path) -> None:
    given = noise(20, (53, 31))
    with workshop(Identity()) as shop, served(shop) as url:
        tab, passed = browser.open(url), given
        for _ in range(20):
            put_in(tab, tmp_path, passed)
            tab.wait("document.querySelector('.canvas')")
            ask(tab, "remove nothing")
            tab.wait("document.querySelector('.message')?.innerText.includes('changed nothing')")
            idle(tab)
            passed = downloaded(tab)
            tab.press("Another picture")
            tab.wait("!document.querySelector('.canvas')?.offsetParent")
        assert passed.mode == "RGB" and passed.tobytes() == given.tobytes()


@pytest.mark.slow
def test_scenes_to_start_from_and_requests_to_click(tab: Tab) -> None:
    tab.click(".scene")
    tab.wait("document.querySelectorAll('.chip').length >= 2 && document.querySelector('.canvas')")
    tab.click(".chip")
    tab.wait("document.querySelector('#request textarea').value == document.querySelector('.chip').innerText")
    tab.press("Another picture")
    tab.press("New scene")
    tab.wait("document.querySelector('.canvas')?.offsetParent")
    assert tab.text("figcaption").startswith("scene ")
