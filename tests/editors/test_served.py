"""The editor `served` against services that are strict, picky, or have never heard of its fields."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from common.errors import BadInput
from editors.outcomes import EditsFailed
from editors.served import ServedEditor, ServedSettings
from tests.editors import fake_api
from tests.editors.fake_api import Call, FakeApi, Handler, Step, answer, png

KEY = "sk-verysecret0123456789"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setenv("SERVED_KEY", KEY)
    with FakeApi(KEY) as server:
        yield server


@pytest.fixture
def make(api: FakeApi, tmp_path: Path) -> Callable[..., ServedEditor]:
    def build(**changes: Any) -> ServedEditor:
        given = {"base_url": api.url, "key_env": "SERVED_KEY", "model": "m", "cache": tmp_path / "cache"} | changes
        return ServedEditor(ServedSettings(**given), sleep=lambda seconds: None)

    return build


def strict(*unknown: str, style: str = "openai") -> Step:
    """Refuses fields as OpenAI's service, FastAPI's forms or a plain text do; otherwise edits."""

    def step(handler: Handler, call: Call) -> None:
        found = next((name for name in unknown if name in call.fields), None)
        if found is None:
            return answer()(handler, call)
        error: Any = {
            "openai": {
                "error": {"message": f"Unknown parameter: '{found}'.", "param": found, "code": "unknown_parameter"}
            },
            "fastapi": {"detail": [{"loc": ["body", found], "msg": "Extra inputs are not permitted", "type": "extra"}]},
            "text": {"detail": f"field {found} is not supported by this model"},
        }[style]
        handler.reply(422 if style == "fastapi" else 400, json.dumps(error).encode())

    return step


def photo(width: int = 90, height: int = 60) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_picture_is_sent_as_it_is_and_comes_back_exactly(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    image = photo()
    (got,) = make(parameters={"num_inference_steps": 4, "guidance_scale": 2.5}).edit([image], ["invert “it”"], [7])
    assert got.tobytes() == ImageChops.invert(image).tobytes()
    (call,) = api.calls
    assert call.fields == {
        "model": "m",
        "prompt": "invert “it”",
        "response_format": "b64_json",
        "output_format": "png",
        "size": "90x60",
        "seed": "7",
        "num_inference_steps": "4",
        "guidance_scale": "2.5",
    }


def test_a_model_that_is_not_named_is_the_services_choice(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    make(model="").edit([photo()], ["x"], [0])
    assert "model" not in api.calls[0].fields


def test_a_picture_fitted_to_an_area_comes_back_in_its_size(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    image = Image.new("RGB", (300, 201), (10, 90, 200))
    (got,) = make(area=4096, multiple=16).edit([image], ["x"], [0])
    assert got.size == (300, 201) and got.getpixel((5, 5)) == (245, 165, 55)
    width, height = api.calls[0].picture.size
    assert width % 16 == height % 16 == 0 and 0.8 < width * height / 4096 < 1.2
    with pytest.raises(BadInput, match="no room"):
        make(area=255, multiple=16)


def test_another_size_in_the_reply_is_scaled_back(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    api.script["x"] = [answer(size=(96, 64))]
    (got,) = make().edit([Image.new("RGB", (90, 60), "teal")], ["x"], [0])
    assert got.size == (90, 60)


@pytest.mark.parametrize("style", ["openai", "fastapi", "text"])
def test_fields_that_a_strict_service_refuses_are_left_out_and_said_once(
    make: Callable[..., ServedEditor], api: FakeApi, style: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"edit {k}" for k in range(6)]
    api.script |= {text: [strict("seed", "response_format", "size", style=style)] for text in texts}
    editor = make(concurrency=1)
    editor.edit([photo()] * 6, texts, range(6))
    assert len(api.calls) == 6 + 3  # each field is learned once
    assert set(api.calls[-1].fields) == {"model", "prompt", "output_format"}
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 3 and any("'seed'" in w and "may give another picture" in w for w in warnings)
    editor.edit([photo(80)], ["edit 0"], [9])
    assert len(api.calls) == 10


def test_a_refused_field_that_was_asked_for_is_an_error(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    api.script["x"] = [strict("num_inference_steps")]
    with pytest.raises(BadInput, match="does not take 'num_inference_steps'.*leave it out"):
        make(parameters={"num_inference_steps": 4}).edit([photo()], ["x"], [0])
    assert len(api.calls) == 1


def test_other_rejections_are_failures_of_the_call(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    """An error about the prompt, one that names no field, and one about a field that was left out already."""
    api.script |= {
        "prompt": [fake_api.status(400, "Invalid prompt: no seed of doubt", error={"param": "prompt"})],
        "none": [fake_api.status(400, "out of luck")],
        "again": [fake_api.status(400, "unknown seed", error={"param": "seed"})],
        "blocked": [fake_api.refuse("not that")],
        "busy": [fake_api.status(429, headers={"Retry-After": "1"}), fake_api.drop(), answer()],
    }
    with pytest.raises(EditsFailed) as failed:
        make(concurrency=1).edit([photo()] * 5, list(api.script), [0] * 5)
    assert [o.image is None for o in failed.value.outcomes] == [True, True, True, True, False]
    assert [o.refused for o in failed.value.outcomes] == [False, False, False, True, False]
    assert [api.asked(text) for text in api.script] == [1, 1, 2, 1, 3]
    assert KEY not in str(failed.value)


def test_a_data_address_is_read_and_another_address_is_not(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    import base64

    data = base64.b64encode(png(photo())).decode()
    api.script |= {
        "data": [fake_api.json_reply({"data": [{"url": f"data:image/png;base64,{data}"}]})],
        "far": [fake_api.json_reply({"data": [{"url": "http://169.254.169.254/secret.png"}]})],
    }
    editor = make(tries=2)
    assert editor.edit([photo()], ["data"], [0])[0].tobytes() == photo().tobytes()
    with pytest.raises(EditsFailed, match="only pictures within the reply"):
        editor.edit([photo()], ["far"], [0])


def test_pictures_are_kept_by_what_made_them(make: Callable[..., ServedEditor], api: FakeApi) -> None:
    make().edit([photo()], ["x"], [0])
    make().edit([photo()], ["x"], [0])
    assert len(api.calls) == 1
    for changes in ({"model": "other"}, {"parameters": {"a": 1}}, {"area": 4096}, {"base_url": api.url + "/"}):
        make(**changes).edit([photo()], ["x"], [0])
    assert len(api.calls) == 5


def test_a_service_that_asks_for_a_key_says_how_to_give_one(make: Callable[..., ServedEditor]) -> None:
    with pytest.raises(BadInput, match="asks for a key.*key_env"):
        make(key_env="").edit([photo()], ["x"], [0])


@pytest.mark.parametrize("own", ["seed", "size", "prompt", "image"])
def test_parameters_cannot_overrule_the_editor(make: Callable[..., ServedEditor], own: str) -> None:
    with pytest.raises(BadInput, match="the editor sets them"):
        make(parameters={own: "1"})
