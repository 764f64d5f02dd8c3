"""The form of `POST /v1/images/edits`: from text fields and a file to an order that can be carried out.

OpenAI's fields that mean nothing here are left aside and named in the answer; a field that nobody knows is refused, since its
sender expects something of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agents.decomposer import clean_request
from common.dotted import nearest
from common.errors import BadInput
from common.ranges import SEED
from experiments.serving.errors import ApiError, bad

FORMATS = ("png", "jpeg", "webp")
DELIVERIES = ("b64_json", "url")
IGNORED = ("quality", "background", "input_fidelity", "moderation", "user", "partial_images", "style")
FIXED = ("num_inference_steps", "guidance_scale", "true_cfg_scale", "negative_prompt", "strength")
TAKEN = (
    *("image", "prompt", "model", "n", "size", "response_format", "output_format", "output_compression", "stream"),
    *("seed", "include", "mask"),
)
NO_MASK = (
    "a mask is not taken: where to edit is understood from the request, and pixels outside of a mask could not be promised to "
    "stay; say in the prompt what is to change"
)
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


@dataclass(frozen=True)
class Rules:
    """What may be asked for. The last of `models` is the one that is meant where none is named."""

    models: Sequence[str]
    max_prompt_chars: int = 32_000
    max_n: int = 10
    max_pixels: int = 16_000_000
    seed: int = 0


@dataclass(frozen=True)
class Order:
    """What a form asks for, besides its picture. `size` is (width, height), None for the picture's own; `compression` in per cent
    is for jpeg and webp; `url`: addresses are given in place of the pictures; `ignored` names the fields that were left aside."""

    prompt: str
    model: str
    n: int = 1
    size: tuple[int, int] | None = None
    output_format: str = "png"
    compression: int = 100
    seed: int = 0
    plan: bool = False
    url: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def seeds(self) -> list[int]:
        """Of each picture: the k-th one is that of seed + k."""
        return [(self.seed + k) % (SEED + 1) for k in range(self.n)]


def read_order(texts: Mapping[str, Sequence[str]], files: Collection[str], rules: Rules) -> Order:
    """`texts`: the values of every text field, its brackets taken off (`include[]` is `include`); `files`: the names of the fields
    that hold a file. Raises ApiError naming the field."""
    for name in texts:
        if name in FIXED:
            raise bad(
                name,
                f"'{name}' cannot be chosen by a request: the server's own configuration sets it",
                "unknown_parameter",
            )
        if name not in (*TAKEN, *IGNORED):
            raise bad(name, f"Unknown parameter: '{name}'{nearest(name, [*TAKEN, *IGNORED])}.", "unknown_parameter")
        if len(texts[name]) > 1 and name != "include":
            raise bad(name, f"'{name}' is given {len(texts[name])} times; give it once")
    if "mask" in files or "mask" in texts:
        raise bad("mask", NO_MASK, "mask_not_supported")
    if "image" in texts:
        raise bad("image", "'image' must be a file of the form; send it as multipart/form-data with a file name")
    said = {name: values[0].strip() for name, values in texts.items() if name != "prompt"}
    how = _delivery(said)
    form = said.get("output_format") or "png"
    if form not in FORMATS:
        raise bad("output_format", f"output_format={form} is unknown; choose {', '.join(FORMATS)}")
    return Order(
        prompt=_prompt(texts.get("prompt", ()), rules.max_prompt_chars),
        model=_model(said.get("model", ""), rules.models),
        n=_whole(said, "n", 1, 1, rules.max_n),
        size=_size(said.get("size") or "auto", rules.max_pixels),
        output_format=form,
        compression=_whole(said, "output_compression", 100, 0, 100),
        seed=_whole(said, "seed", rules.seed, 0, SEED),
        plan=_include(texts.get("include", ())),
        url=how == "url",
        ignored=tuple(name for name in IGNORED if said.get(name)),
    )


def _delivery(said: Mapping[str, str]) -> str:
    if (how := said.get("response_format") or "b64_json") not in DELIVERIES:
        raise bad("response_format", f"response_format={how[:40]} is unknown; choose {' or '.join(DELIVERIES)}")
    if said.get("stream", "false").lower() not in ("", "false"):
        raise bad("stream", "streaming is not served; leave 'stream' out or false")
    return how


def _prompt(values: Sequence[str], most: int) -> str:
    prompt = values[0] if values else ""
    try:
        clean_request(prompt, None)
    except BadInput:
        raise bad(
            "prompt", "'prompt' is missing or empty; say what to change, for example 'make the red star blue'"
        ) from None
    if len(prompt) > most:
        raise bad(
            "prompt",
            f"the prompt has {len(prompt):,} characters, and at most {most:,} are taken",
            "string_above_max_length",
        )
    return prompt


def _model(name: str, models: Sequence[str]) -> str:
    if name and name not in models:
        known = ", ".join(f"'{m}'" for m in models)
        raise ApiError(
            404, f"The model '{name[:100]}' does not exist; there is {known}.", param="model", code="model_not_found"
        )
    return name or models[-1]


def _whole(said: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = said.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not least <= int(text) <= most:
        raise bad(name, f"{name}={text[:40]} cannot be used; give a whole number from {least} to {most:,}")
    return int(text)


def _size(text: str, most: int) -> tuple[int, int] | None:
    if text == "auto":
        return None
    if (match := _SIZE.fullmatch(text)) is None or 0 in (size := (int(match[1]), int(match[2]))):
        raise bad("size", f"size={text[:40]} cannot be read; give <width>x<height>, or auto for the picture's own size")
    if size[0] * size[1] > most:
        raise bad("size", f"size={text} has more than the {most:,} pixels that are allowed")
    return size


def _include(values: Sequence[str]) -> bool:
    names = {part.strip() for value in values for part in value.split(",") if part.strip()}
    if names - {"plan"}:
        raise bad("include", f"include={sorted(names - {'plan'})[0][:40]} is unknown; there is include=plan")
    return bool(names)


__all__ = ["FORMATS", "IGNORED", "Order", "Rules", "read_order"]
