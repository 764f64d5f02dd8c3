"""Forms: what is taken, what is left aside and said so, what is refused and by which field."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.serving.errors import ApiError
from experiments.serving.form import FIXED, IGNORED, TAKEN, Order, Rules, read_order

RULES = Rules(("editor", "agents"), max_prompt_chars=100, max_n=4, max_pixels=10_000, seed=5)


def order(files: tuple[str, ...] = ("image",), **texts: str | list[str]) -> Order:
    said = {"prompt": "make it red"} | texts
    return read_order({k: v if isinstance(v, list) else [v] for k, v in said.items()}, files, RULES)


def test_what_is_not_said_is_the_default() -> None:
    assert order() == Order("make it red", "agents", seed=5)
    assert order(n="", size="", seed="", response_format="", model="") == order()


def test_everything_that_can_be_said() -> None:
    got = order(
        model="editor",
        n="3",
        size="80x60",
        output_format="webp",
        output_compression="70",
        seed="4294967295",
        include=["plan"],
        response_format="b64_json",
        stream="false",
    )
    assert got == Order("make it red", "editor", 3, (80, 60), "webp", 70, 2**32 - 1, True)
    assert order(response_format="url").url and not got.url
    assert got.seeds == [2**32 - 1, 0, 1]  # they stay within what generators take


def test_a_prompt_is_left_as_it_is() -> None:
    text = " make  it “red”\n"
    assert order(prompt=text).prompt == text


def test_what_means_nothing_here_is_named() -> None:
    assert order(quality="high", background="transparent", user="me").ignored == ("quality", "background", "user")
    assert order(quality="").ignored == ()


@pytest.mark.parametrize(
    ("texts", "field", "status"),
    [
        ({"prompt": ""}, "prompt", 400),
        ({"prompt": " \u200b\n"}, "prompt", 400),
        ({"prompt": "x" * 101}, "prompt", 400),
        ({"prompt": ["a", "b"]}, "prompt", 400),
        ({"model": "gpt-image-1"}, "model", 404),
        ({"n": "0"}, "n", 400),
        ({"n": "5"}, "n", 400),
        ({"n": "1.0"}, "n", 400),
        ({"n": "٣"}, "n", 400),
        ({"seed": "-1"}, "seed", 400),
        ({"seed": "4294967296"}, "seed", 400),
        ({"seed": "9" * 5000}, "seed", 400),
        ({"size": "0x5"}, "size", 400),
        ({"size": "1024"}, "size", 400),
        ({"size": "101x100"}, "size", 400),
        ({"response_format": "link"}, "response_format", 400),
        ({"output_format": "gif"}, "output_format", 400),
        ({"output_compression": "101"}, "output_compression", 400),
        ({"stream": "true"}, "stream", 400),
        ({"include": "plan,usage"}, "include", 400),
        ({"image": "a path"}, "image", 400),
        ({"mask": "x"}, "mask", 400),
        ({"sed": "1"}, "sed", 400),
        ({"num_inference_steps": "4"}, "num_inference_steps", 400),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_field(texts: dict[str, str], field: str, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        order(**texts)
    assert (refused.value.status, refused.value.param) == (status, field)
    body = refused.value.body["error"]
    assert set(body) == {"message", "type", "param", "code"} and body["type"] == "invalid_request_error"


def test_a_mistyped_field_is_told_the_nearest_one() -> None:
    with pytest.raises(ApiError, match="Unknown parameter: 'sed'.*'seed'"):
        order(sed="1")


def test_a_mask_is_refused_with_the_reason() -> None:
    with pytest.raises(ApiError, match="a mask is not taken: where to edit is understood from the request"):
        order(files=("image", "mask"))


VALUES = st.text(st.sampled_from("019x-+.,autoplnfsebkg \n\u200b\u0663\ud800"), max_size=12)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*TAKEN, *IGNORED, *FIXED, "odd"]), st.lists(VALUES, max_size=2)))
def test_any_form_is_an_order_or_one_clear_error(texts: dict[str, list[str]]) -> None:
    try:
        got = read_order({k: v for k, v in texts.items() if v}, ("image",), RULES)
    except ApiError as error:
        assert error.status in (400, 404) and error.param
    else:
        assert 1 <= got.n <= RULES.max_n and got.model in RULES.models and got.prompt.strip()
