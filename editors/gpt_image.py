"""gpt-image-1 through the public images-edits interface.

`POST <base_url>/images/edits` as multipart/form-data, key as a Bearer token; the reply holds base64 pictures. There is no
seed to send: it only tells samples apart in the cache. See https://platform.openai.com/docs/api-reference/images/createEdit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from common.replies import Refused, Unusable
from editors.api import ApiEditor, ApiSettings, HttpRequest
from editors.canvas import decode_base64

FILTERS = {"moderation_blocked", "content_policy_violation", "content_filter"}  # the last from Azure's gateway


def settings(**changes: Any) -> ApiSettings:
    """The provider's defaults, each of which can be given otherwise; `parameters` are further form fields. Fidelity to the
    input is asked for (`input_fidelity`), since what was not to change is judged too; models without it need another dict."""
    defaults: dict[str, Any] = {
        "model": "gpt-image-1",
        "base_url": "https://api.openai.com/v1",
        "key_env": "OPENAI_API_KEY",
        "timeout_s": 300.0,  # high quality takes up to two minutes
        "parameters": {
            "quality": "high",
            "input_fidelity": "high",
            "background": "opaque",
            "output_format": "png",
        },
    }
    return ApiSettings(**defaults | changes)


class GptImageEditor(ApiEditor):
    """`edit` as in `editors.base.Editor`; see `editors.api` for what is sent, kept and raised."""

    provider = "gpt_image"
    sizes = ((1024, 1024), (1536, 1024), (1024, 1536))
    own_fields = frozenset({"model", "prompt", "image", "image[]", "mask", "n", "size", "stream", "response_format"})

    def auth(self, key: str) -> dict[str, str]:
        organization = {"OpenAI-Organization": self.settings.organization} if self.settings.organization else {}
        return {"Authorization": f"Bearer {key}", **organization}

    def request(self, png: bytes, size: tuple[int, int], instruction: str, seed: int) -> HttpRequest:
        fields = {
            "model": self.settings.model,
            "prompt": instruction,
            "n": "1",
            "size": f"{size[0]}x{size[1]}",
            **{name: form_field(value) for name, value in self.settings.parameters.items()},
        }
        body, content_type = multipart(fields, "image", png)
        return HttpRequest("/images/edits", body, content_type)

    def read(self, reply: dict[str, Any]) -> bytes:
        data = reply.get("data")
        first = data[0] if isinstance(data, list) and data and isinstance(data[0], Mapping) else {}
        if isinstance(first.get("b64_json"), str):
            return decode_base64(first["b64_json"])
        if why := self.refusal(reply):
            raise Refused(why)
        raise Unusable("a reply without a picture (no data[0].b64_json)")

    def refusal(self, reply: dict[str, Any]) -> str:
        error = reply.get("error")
        if isinstance(error, Mapping) and str(error.get("code")) in FILTERS:
            return f"{error['code']}: {error.get('message') or 'no explanation'}"
        return ""


def form_field(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def multipart(fields: Mapping[str, str], file_field: str, png: bytes) -> tuple[bytes, str]:
    """A form with one PNG file, and its content type. Equal forms give equal bytes."""
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts.append((f'name="{file_field}"; filename="image.png"\r\nContent-Type: image/png', png))
    digest = hashlib.sha256()
    for head, value in parts:
        digest.update(head.encode() + value)
    boundary = digest.hexdigest()  # no text can foresee it and hold it
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
        for head, value in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


__all__ = ["GptImageEditor", "form_field", "multipart", "settings"]
