"""API editors against a real server on this machine that keeps and breaks both protocols."""

from __future__ import annotations

import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import BadInput, SaveFailed
from editors import gpt_image, nano_banana
from editors.api import ApiEditor
from editors.gpt_image import GptImageEditor
from editors.nano_banana import NanoBananaEditor
from editors.outcomes import EditsFailed
from tests.editors import fake_api
from tests.editors.fake_api import FakeApi, Step, answer, refuse, status

KEY = "sk-verysecret0123456789abcdefXYZW"
PROVIDERS = ["nano_banana", "gpt_image"]
Make = Callable[..., "Editing"]


class Editing:
    """An editor with what it waited for."""

    def __init__(self, editor: ApiEditor, waits: list[float]) -> None:
        self.editor, self.waits = editor, waits
        self.edit, self.outcomes = editor.edit, editor.outcomes


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def small_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of the services' sizes, which are all multiples of 8: the same ratios at a 64th of the work."""
    if "real_sizes" not in request.fixturenames:
        ratios = {(w // 8, h // 8): ratio for (w, h), ratio in nano_banana.RATIOS.items()}
        monkeypatch.setattr(nano_banana, "RATIOS", ratios)
        monkeypatch.setattr(NanoBananaEditor, "sizes", tuple(ratios))
        monkeypatch.setattr(GptImageEditor, "sizes", tuple((w // 8, h // 8) for w, h in GptImageEditor.sizes))


@pytest.fixture
def real_sizes() -> None:
    """Asked for by tests of what exactly is sent."""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(KEY) as server:
        yield server


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(api: FakeApi, provider: str, tmp_path: Path) -> Make:
    """An editor whose waits take no time and are written down."""

    def build(which: str = provider, **changes: object) -> Editing:
        module, kind = (nano_banana, NanoBananaEditor) if which == "nano_banana" else (gpt_image, GptImageEditor)
        waits: list[float] = []
        chosen = module.settings(**{"base_url": api.url, "cache": tmp_path / "cache", "timeout_s": 60.0} | changes)
        return Editing(kind(chosen, sleep=waits.append), waits)

    return build


def photo(width: int = 90, height: int = 60, phase: float = 0.0) -> Image.Image:
    """A smooth picture without any symmetry."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = [np.sin(7 * x + 3 * y * y + k + phase) + np.cos(5 * y - 2 * x * y + 2 * k) for k in range(3)]
    return Image.fromarray(np.rint(127.5 + 60 * np.stack(waves, -1)).astype(np.uint8))


def inverted(image: Image.Image) -> np.ndarray:
    return 255 - np.asarray(image, dtype=np.int16)


def error(got: Image.Image | None, wanted: np.ndarray) -> float:
    assert got is not None
    return float(np.abs(np.asarray(got, dtype=np.int16) - wanted).mean())


# What is sent and what comes back


def test_the_edited_picture_comes_back_and_the_input_stays(make, api, real_sizes):
    image = photo()
    before = image.tobytes()
    (got,) = make().edit([image], ["invert the colours, “please”\r\nnow"], [5])
    assert (got.mode, got.size) == ("RGB", image.size)
    assert error(got, inverted(image)) < 1
    assert image.tobytes() == before
    assert [c.instruction for c in api.calls] == ["invert the colours, “please”\r\nnow"]


def test_nano_banana_sends_ratio_seed_and_model(make, api, real_sizes):
    make("nano_banana", parameters={"temperature": 0.5}).edit([photo(160, 90)], ["x"], [2**31 + 7])
    (call,) = api.calls
    assert (call.model, call.size, call.seed) == ("gemini-2.5-flash-image", "16:9", 7)
    assert call.picture.size == (1344, 768)
    assert call.fields["generationConfig"]["temperature"] == 0.5
    assert call.headers["x-goog-api-key"] == KEY and "authorization" not in call.headers


def test_gpt_image_sends_size_parameters_and_organisation(make, api, real_sizes):
    make("gpt_image", organization="org-1").edit([photo(60, 90)], ["x"], [0])
    (call,) = api.calls
    assert (call.model, call.size, call.picture.size) == ("gpt-image-1", "1024x1536", (1024, 1536))
    assert (call.fields["input_fidelity"], call.fields["n"]) == ("high", "1")
    assert call.headers["authorization"] == f"Bearer {KEY}" and call.headers["openai-organization"] == "org-1"


@pytest.mark.parametrize("size", [(64, 64), (97, 61), (61, 97), (1000, 700), (2048, 150), (20, 160), (1, 1)])
def test_any_size_comes_back_in_place(make, size):
    image = photo(*size)
    (got,) = make().edit([image], ["x"], [0])
    assert got.size == size
    wanted = inverted(image)
    moved = np.roll(wanted, (1, 1), (0, 1))
    shift = float(np.abs(moved - wanted)[1:, 1:].mean()) if min(size) > 1 else 8.0
    assert error(got, wanted) < max(1.0, shift / 4)  # far less than what one pixel of shift would do


@pytest.mark.parametrize("scale", [0.5, 1.01, 2])
def test_a_reply_of_another_size_is_scaled_back(make, api, scale):
    image = photo(96, 64)
    api.script["x"] = [answer((round(192 * scale), round(128 * scale)))]
    (outcome,) = make().outcomes([image], ["x"], [0])
    assert error(outcome.image, inverted(image)) < 2
    assert outcome.stretch < 0.02


def test_a_reply_of_another_ratio_is_fitted_whole_and_said(make, api, caplog):
    image = photo(96, 64)
    api.script["x"] = [answer((100, 100))]
    (outcome,) = make().outcomes([image], ["x"], [0])
    assert error(outcome.image, inverted(image)) < 2  # whole: had it been cropped, it would not fit
    assert outcome.stretch == pytest.approx(1 / 3, abs=0.01)
    assert "returned 100x100" in caplog.text


@pytest.mark.parametrize("step", [answer(snake=True), answer(file_format="JPEG"), answer(file_format="WEBP")])
def test_other_spellings_and_formats_are_read(make, api, step):
    image = photo()
    api.script["x"] = [step]
    assert error(make().edit([image], ["x"], [0])[0], inverted(image)) < 3


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_pictures_of_other_modes_are_taken(make, mode):
    (got,) = make().edit([photo().convert(mode)], ["x"], [0])
    assert (got.mode, got.size) == ("RGB", photo().size)


# Trouble that passes


TROUBLES: dict[str, Step] = {
    "408": status(408),
    "409": status(409),
    "429": status(429),
    "500": status(500),
    "502 page": fake_api.page(502, "<html>Bad gateway</html>"),
    "503": status(503),
    "529": status(529),
    "dropped": fake_api.drop(),
    "dropped in the body": fake_api.drop_in_body(),
    "cut JSON": fake_api.cut_json(),
    "no JSON": fake_api.page(200, "<html>OK</html>"),
    "a JSON list": fake_api.json_reply([1, 2]),
    "empty JSON": fake_api.json_reply({}),
    "odd JSON": fake_api.json_reply({"candidates": [3, {"content": None}], "data": ["x"], "error": "busy"}),
    "no picture": fake_api.no_picture(),
    "cut picture": fake_api.cut_picture(),
    "no base64": fake_api.json_reply(
        {"data": [{"b64_json": "ä!"}], "candidates": [{"content": {"parts": [{"inlineData": {"data": "ä!"}}]}}]}
    ),
    "stopped for no reason": fake_api.json_reply({"candidates": [{"finishReason": "OTHER"}]}),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_passing_trouble_is_outlasted(make, api, name):
    image = photo()
    api.script["x"] = [TROUBLES[name], TROUBLES[name], answer()]
    editing = make()
    (outcome,) = editing.outcomes([image], ["x"], [0])
    assert error(outcome.image, inverted(image)) < 1
    assert (outcome.tries, outcome.refused, outcome.reason, outcome.cached) == (3, False, "", False)
    assert len(editing.waits) == 2 and editing.waits[1] > editing.waits[0] > 0


@pytest.mark.parametrize("step", [fake_api.hang(), fake_api.trickle()], ids=["silence", "trickle"])
def test_a_delay_beyond_the_timeout_is_outlasted(make, api, step):
    api.script["x"] = [step, answer()]
    (outcome,) = make(timeout_s=2.0).outcomes([photo()], ["x"], [0])
    assert error(outcome.image, inverted(photo())) < 1
    assert outcome.tries >= 2  # more only where this machine is so busy that the answer is late too


@pytest.mark.parametrize("name", ["500", "no picture", "cut JSON", "dropped"])
def test_lasting_trouble_ends_after_the_set_number_of_tries(make, api, name):
    api.script["x"] = [TROUBLES[name]]
    editing = make()
    (outcome,) = editing.outcomes([photo()], ["x"], [0])
    assert (outcome.image, outcome.refused, outcome.tries) == (None, False, 5)
    assert outcome.reason.startswith("gave up after 5 tries: ")
    assert (api.asked("x"), len(editing.waits)) == (5, 4)


def test_a_service_that_is_not_there(make, api):
    editing = make(tries=2)
    api.server.server_close()
    (outcome,) = editing.outcomes([photo()], ["x"], [0])
    assert outcome.image is None and "127.0.0.1" in outcome.reason and outcome.tries == 2


def test_a_kept_connection_that_ended_quietly_costs_one_try(make, api):
    api.script["a"] = [fake_api.answer_and_drop()]
    outcomes = make(concurrency=1).outcomes([photo()] * 2, ["a", "b"], [0, 0])
    assert [o.image is not None for o in outcomes] == [True, True]
    assert sum(o.tries for o in outcomes) in (2, 3)  # 2 where the end was seen before the next request


def test_connections_are_reused(make, api):
    make(concurrency=2).edit([photo()] * 6, list("abcdef"), [0] * 6)
    assert 1 <= api.connections <= 2


# Waiting


@pytest.mark.parametrize(
    ("headers", "body", "low", "high"),
    [
        ({"Retry-After": "17"}, {}, 17, 17),
        ({"Retry-After": "1000000"}, {}, 60, 60),
        ({"Retry-After": "0"}, {}, 0.5, 1),
        ({"Retry-After": "-5"}, {}, 0.5, 1),
        ({"Retry-After": "soon"}, {}, 0.5, 1),
        ({"retry-after-ms": "2500"}, {}, 2.5, 2.5),
        ({"Retry-After": "in 40 s"}, {}, 20, 41),  # as a date, see below
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}, 0.5, 1),
        ({}, {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "23s"}]}, 23, 23),
    ],
)
def test_the_service_says_how_long_to_wait_within_bounds(make, api, headers, body, low, high):
    if headers.get("Retry-After") == "in 40 s":
        headers = {"Retry-After": formatdate(time.time() + 40, usegmt=True)}
    api.script["x"] = [status(429, headers=headers, error=body), answer()]
    editing = make()
    assert editing.outcomes([photo()], ["x"], [0])[0].tries == 2
    assert len(editing.waits) == 1 and low <= editing.waits[0] <= high


def test_waits_are_the_same_for_the_same_seed_and_differ_between_requests(make, api, tmp_path):
    def waits(instruction: str, seed: int, n: int) -> list[float]:
        api.script[instruction] = [status(500)]
        editing = make(wait_seed=seed, cache=tmp_path / str(n))
        editing.outcomes([photo()], [instruction], [0])
        return editing.waits

    assert waits("x", 1, 0) == waits("x", 1, 1)
    assert len({tuple(w) for w in (waits("x", 1, 2), waits("x", 2, 3), waits("y", 1, 4))}) == 3


# Trouble that stays


@pytest.mark.parametrize("code", [307, 400, 404, 413, 422])
def test_other_statuses_are_not_asked_again(make, api, code):
    api.script["x"] = [status(code, "the size is wrong", {"Location": f"{api.url}/elsewhere"})]
    (outcome,) = make().outcomes([photo()], ["x"], [0])
    assert (outcome.image, outcome.refused, outcome.tries) == (None, False, 1)
    assert outcome.reason == f"HTTP {code}: the size is wrong"
    assert len(api.calls) == 1


def test_a_spent_quota_is_not_waited_for(make, api):
    api.script["x"] = [status(429, "You exceeded your current quota", error={"code": "insufficient_quota"})]
    (outcome,) = make().outcomes([photo()], ["x"], [0])
    assert outcome.tries == 1 and "quota" in outcome.reason


@pytest.mark.parametrize("blocked", [False, True])
def test_a_refusal_is_reported_not_repeated_and_kept(make, api, blocked):
    api.script["x"] = [refuse("it shows a secret", blocked)]
    for cached in (False, True):
        (outcome,) = make().outcomes([photo()], ["x"], [0])
        assert (outcome.image, outcome.refused, outcome.cached) == (None, True, cached)
        assert outcome.tries == (0 if cached else 1) and "it shows a secret" in outcome.reason
    make().outcomes([photo()], ["x"], [1])
    assert api.asked("x") == 2  # another seed asks anew


def test_a_mixed_batch_ends_with_one_error_that_lists_the_failures(make, api):
    api.script |= {"bad": [refuse("no")], "ill": [status(500)], "odd": [status(422, "no such size")]}
    names = ["a", "bad", "b", "ill", "c", "odd"]
    with pytest.raises(EditsFailed) as caught:
        make(tries=2).edit([photo()] * 6, names, [0] * 6)
    outcomes = caught.value.outcomes
    assert [o.image is not None for o in outcomes] == [True, False, True, False, True, False]
    assert [o.refused for o in outcomes] == [False, True, False, False, False, False]
    for words in (
        "3 of 6",
        "1 refused",
        "item 1 (refused): ",
        "item 3 (failed): gave up after 2 tries: HTTP 500",
        "item 5",
    ):
        assert words in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    before = len(api.calls)
    again = make(tries=1).outcomes([photo()] * 6, names, [0] * 6)
    assert [o.cached for o in again] == [True, True, True, False, True, False]
    assert len(api.calls) == before + 2


# Order and concurrency


def test_results_keep_their_order_when_replies_do_not(make, api):
    images = [photo(phase=k) for k in range(4)]
    names = ["a", "b", "c", "d"]
    api.script |= {
        name: [fake_api.after(later)] for name, later in zip(names, names[1:], strict=False)
    }  # d first, a last
    for image, got in zip(images, make(concurrency=4).edit(images, names, [0] * 4), strict=True):
        assert error(got, inverted(image)) < 1


def test_as_many_calls_as_allowed_and_never_more(make, api):
    names = [str(k) for k in range(9)]
    steps = fake_api.together(3)  # goes on only with three at once
    api.script |= {name: [steps] for name in names}
    make(concurrency=3).edit([photo(30, 30)] * 9, names, [0] * 9)
    assert api.most_busy == 3


def test_the_limit_holds_for_several_batches_at_once(make, api):
    editing = make(concurrency=2)
    batches = [[f"{t}{k}" for k in range(4)] for t in "abc"]
    threads = [threading.Thread(target=editing.edit, args=([photo(30, 30)] * 4, b, [0] * 4)) for b in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.calls) == 12 and api.most_busy <= 2


def test_equal_items_are_asked_once_and_share_nothing(make, api):
    first, second = make().edit([photo(), photo()], ["x", "x"], [3, 3])
    assert len(api.calls) == 1 and first.tobytes() == second.tobytes()
    first.putpixel((0, 0), (1, 2, 3))
    assert first.tobytes() != second.tobytes()


def test_an_empty_batch_and_lists_that_do_not_match(make, api):
    assert make().edit([], [], []) == []
    with pytest.raises(BadInput, match="one instruction and one seed"):
        make().edit([photo()], ["x"], [])
    assert not api.calls


# Cache


def test_a_rerun_makes_no_call_and_needs_no_key(make, api, monkeypatch):
    images, names = [photo(phase=k) for k in range(3)], ["a", "b", "c"]
    first = make().edit(images, names, [0] * 3)
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    again = make().outcomes(images, names, [0] * 3)
    assert len(api.calls) == 3
    assert [(o.cached, o.tries) for o in again] == [(True, 0)] * 3
    assert [o.image and o.image.tobytes() for o in again] == [i.tobytes() for i in first]


def test_whatever_changes_the_answer_changes_the_key(make, api):
    image = photo()
    other = image.copy()
    other.putpixel((0, 0), (0, 0, 0))
    make().edit([image], ["x"], [0])
    make().edit([other], ["x"], [0])
    make().edit([image.transpose(Image.Transpose.ROTATE_90)], ["x"], [0])
    make().edit([image], ["y"], [0])
    make().edit([image], ["x"], [1])
    make(model="another").edit([image], ["x"], [0])
    make(parameters={"quality": "low"}).edit([image], ["x"], [0])
    assert len(api.calls) == 7
    make(tries=1, concurrency=1, timeout_s=9.0).edit([image], ["x"], [0])  # these do not
    assert len(api.calls) == 7


def test_the_two_providers_share_a_folder_but_no_entry(make, api):
    for which in PROVIDERS:
        make(which, model="m", parameters={}).edit([photo()], ["x"], [0])
    assert [c.provider for c in api.calls] == PROVIDERS


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "no picture"])
def test_a_damaged_entry_is_warned_of_and_written_anew(make, api, tmp_path, caplog, damage):
    (first,) = make().edit([photo()], ["x"], [0])
    (path,) = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    raw = path.read_bytes()
    if damage == "no picture":  # whole, but written by something else
        from editors.cache import DiskCache, Entry

        DiskCache(tmp_path / "cache").put(path.name, Entry({"kind": "picture"}, b"text"))
    else:
        path.write_bytes({"flipped": raw[:-9] + b"!" + raw[-8:], "cut": raw[: len(raw) // 2], "empty": b""}[damage])
    (again,) = make().edit([photo()], ["x"], [0])
    assert len(api.calls) == 2 and str(path) in caplog.text
    assert again.tobytes() == first.tobytes()
    assert make().outcomes([photo()], ["x"], [0])[0].cached and path.read_bytes() == raw


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_paid(make, api, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SaveFailed, match="cache folder"):
        make(cache=tmp_path / "file").edit([photo()] * 3, ["x", "y", "z"], [0] * 3)
    assert not api.calls


def test_a_picture_that_cannot_be_kept_is_handed_on(make, api, tmp_path, caplog):
    cache = tmp_path / "cache"
    cache.mkdir()
    for k in range(256):
        (cache / f"{k:02x}").write_text("in the way of the entry's folder")
    (got,) = make().edit([photo()], ["x"], [0])
    assert error(got, inverted(photo())) < 1
    assert "could not write" in caplog.text


# Keys


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_said_before_any_request(make, api, monkeypatch, value, provider):
    env = "GEMINI_API_KEY" if provider == "nano_banana" else "OPENAI_API_KEY"
    monkeypatch.delenv(env) if value is None else monkeypatch.setenv(env, value)
    with pytest.raises(BadInput, match=f"no key in the environment variable {env}"):
        make().edit([photo()] * 2, ["x", "y"], [0, 0])
    assert not api.calls and not api.connections


@pytest.mark.parametrize("step", [None, status(401), status(403, "not for this organisation")])
def test_a_rejected_key_ends_the_batch_and_names_the_variable(make, api, monkeypatch, provider, step):
    env = "GEMINI_API_KEY" if provider == "nano_banana" else "OPENAI_API_KEY"
    names = [str(k) for k in range(8)]
    if step is None:
        monkeypatch.setenv(env, "sk-wrong-key-0123456789")
    else:
        api.script |= {name: [step] for name in names[1:]}
    with pytest.raises(BadInput, match=f"check {env}") as caught:
        make(concurrency=1).edit([photo(30, 30)] * 8, names, [0] * 8)
    assert "sk-wrong" not in str(caught.value) and "6789" not in str(caught.value)
    assert len(api.calls) == (0 if step is None else 2)  # nothing is asked after the rejection
    if step is not None:
        assert make().outcomes([photo(30, 30)], ["0"], [0])[0].cached  # what was done before it is kept


def test_the_key_shows_nowhere(make, api, tmp_path, caplog, provider):
    caplog.set_level(logging.DEBUG)
    at_the_cut = "." * 285 + KEY  # a cut at 300 characters would leave half of it
    api.script |= {
        "refused": [refuse(f"because of {KEY}")],
        "500": [status(500, at_the_cut)],
        "page": [fake_api.page(400, f"<p>{at_the_cut}</p>")],
        "401": [status(401, f"bad key {KEY}, also {KEY[:6]}*****{KEY[-4:]}")],
        "mixed": [fake_api.drop(), answer()],
    }
    editing, texts = make(), []
    for names in (["refused", "500", "page", "mixed"], ["401"]):
        with pytest.raises((EditsFailed, BadInput)) as caught:
            editing.edit([photo()] * len(names), names, [0] * len(names))
        texts += ["".join(traceback.format_exception(caught.value)), repr(caught.value), repr(vars(caught.value))]
    inside = [vars(editing.editor), vars(editing.editor._client), vars(editing.editor._client._connections)]
    texts += [repr(editing.editor), repr(editing.editor.settings), *map(repr, inside)]
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 2 and len(api.calls) == 1 + 5 + 1 + 2 + 1
    everything = "\n".join(texts) + caplog.text + "".join(p.read_bytes().decode("latin-1") for p in files)
    assert "<key>" in everything  # the service did try
    for secret in (KEY, KEY[:8], KEY[-4:]):
        assert secret not in everything


def test_a_key_with_a_line_break_is_refused_without_showing_it(make, api, monkeypatch):
    for env in ("GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(env, f"{KEY}\n{KEY}")
    with pytest.raises(BadInput, match="copy it again") as caught:
        make().edit([photo()], ["x"], [0])
    assert KEY not in "".join(traceback.format_exception(caught.value)) and not api.calls


# Settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_url": "api.openai.com"}, "base_url"),
        ({"base_url": "https://host:99999/v1"}, "base_url"),
        ({"base_url": "https://me:pw@host/v1"}, "keys belong in the environment"),
        ({"base_url": "https://host/v1?key=1"}, "keys belong in the environment"),
        ({"tries": 0}, "tries"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"parameters": {"quality": {1}}}, "plain JSON"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, changes, words):
    with pytest.raises(BadInput, match=words):
        make(**changes)


def test_parameters_cannot_overrule_the_editor(make, provider):
    own: dict[str, object] = {"imageConfig": {}} if provider == "nano_banana" else {"size": "auto"}
    with pytest.raises(BadInput, match="the editor sets them"):
        make(parameters=own)


def test_a_proxy_from_the_environment_is_used(make, api, monkeypatch):
    port = api.server.server_port
    monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{port}")
    (got,) = make(base_url="http://service.invalid/v1").edit([photo()], ["x"], [0])
    assert error(got, inverted(photo())) < 1
    assert api.calls[0].headers["host"] == "service.invalid"
    assert api.calls[0].headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
