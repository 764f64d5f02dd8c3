"""Gemini 2.5 Flash Image ("Nano Banana") through the public generateContent interface.

`POST <base_url>/models/<model>:generateContent`, key in the header `x-goog-api-key`; the picture goes as base64 PNG in an
`inlineData` part after the instruction, with `imageConfig.aspectRatio` and `seed` in `generationConfig`. The service keeps
or ignores the seed as it likes. See https://ai.google.dev/gemini-api/docs/image-generation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from common.replies import Refused, Unusable
from editors.api import ApiEditor, ApiSettings, HttpRequest
from editors.canvas import decode_base64

# Aspect ratio by (width, height), from the table in the interface's documentation.
RATIOS = {
    (1024, 1024): "1:1",
    (832, 1248): "2:3",
    (1248, 832): "3:2",
    (864, 1184): "3:4",
    (1184, 864): "4:3",
    (896, 1152): "4:5",
    (1152, 896): "5:4",
    (768, 1344): "9:16",
    (1344, 768): "16:9",
    (1536, 672): "21:9",
}
# Values of finishReason that are a filter's; the others (OTHER, NO_IMAGE, MAX_TOKENS, …) may pass on another try.
FILTERS = {
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
}


def settings(**changes: Any) -> ApiSettings:
    """The provider's defaults, each of which can be given otherwise; `parameters` go into `generationConfig`."""
    defaults: dict[str, Any] = {
        "model": "gemini-2.5-flash-image",
        "base_url": "https://generativelanguage.googleapis.com/v1beta",
        "key_env": "GEMINI_API_KEY",
        "timeout_s": 120.0,
    }
    return ApiSettings(**defaults | changes)


class NanoBananaEditor(ApiEditor):
    """`edit` as in `editors.base.Editor`; see `editors.api` for what is sent, kept and raised."""

    provider = "nano_banana"
    sizes = tuple(RATIOS)
    own_fields = frozenset({"responseModalities", "imageConfig", "seed"})

    def auth(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def request(self, png: bytes, size: tuple[int, int], instruction: str, seed: int) -> HttpRequest:
        picture = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(png).decode()}}
        body = {
            "contents": [{"role": "user", "parts": [{"text": instruction}, picture]}],
            "generationConfig": {
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {"aspectRatio": RATIOS[size]},
                "seed": int(seed) % 2**31,  # the field is a signed 32-bit integer
                **self.settings.parameters,
            },
        }
        path = f"/models/{quote(self.settings.model)}:generateContent"
        return HttpRequest(path, json.dumps(body).encode(), "application/json")

    def read(self, reply: dict[str, Any]) -> bytes:
        """The first picture among the parts; pictures in thought parts are drafts."""
        parts = list(_parts(reply))
        for part in parts:
            data = _get(part, "inlineData")
            if isinstance(data, Mapping) and isinstance(data.get("data"), str) and not part.get("thought"):
                return decode_base64(data["data"])
        if why := self.refusal(reply):
            raise Refused(why)
        finish = ", ".join(str(_get(c, "finishReason")) for c in _candidates(reply)) or "no candidate"
        words = " ".join(str(p["text"]) for p in parts if "text" in p)
        raise Unusable(f"a reply without a picture (finishReason: {finish})" + (f", saying: {words}" if words else ""))

    def refusal(self, reply: dict[str, Any]) -> str:
        feedback = _get(reply, "promptFeedback")
        block = _get(feedback, "blockReason") if isinstance(feedback, Mapping) else None
        if block:
            return f"the request was blocked: {_said(block, _get(feedback, 'blockReasonMessage'))}"
        for candidate in _candidates(reply):
            if str(finish := _get(candidate, "finishReason")) in FILTERS:
                return f"the result was withheld: {_said(finish, _get(candidate, 'finishMessage'))}"
        return ""


def _get(fields: Mapping[str, Any], camel: str) -> Any:
    """A field under its camelCase name or, as some gateways write it, in snake_case."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in camel)
    return fields.get(camel, fields.get(snake))


def _candidates(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    candidates = reply.get("candidates")
    return [c for c in candidates if isinstance(c, Mapping)] if isinstance(candidates, list) else []


def _parts(reply: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for candidate in _candidates(reply):
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, Mapping) else None
        yield from (p for p in parts if isinstance(p, Mapping)) if isinstance(parts, list) else ()


def _said(code: object, message: object) -> str:
    return f"{code} ({message})" if message else str(code)


__all__ = ["NanoBananaEditor", "settings"]
