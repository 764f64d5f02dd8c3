"""Any service that edits pictures behind OpenAI's interface: this project's own server, vLLM-Omni, or another one.

`POST <base_url>/images/edits` as multipart/form-data. The picture is sent as it is, or at `area` pixels where that is set, and the
reply is brought back to the picture's size. Fields that OpenAI's interface does not have (the seed) or not for every model
(`response_format`, `size`, `output_format`) are sent until the service refuses one: it is left out from then on, and one warning
says so. A refused field that the user asked for (`parameters`: steps, guidance) is an error instead.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from common.connections import ExchangeFailed
from common.errors import BadInput
from common.http import HttpResult
from common.model_list import NoList, listed_models
from common.replies import AllRejected, Unusable
from editors.api import ApiSettings, HttpRequest, Pictures
from editors.canvas import decode_base64
from editors.geometry import Fit, plan_fit
from editors.gpt_image import GptImageEditor, form_field, multipart

logger = logging.getLogger(__name__)

OPTIONAL = ("response_format", "output_format", "size", "seed")  # sent as long as the service takes them
WITHOUT = {
    "seed": "the same seed may give another picture there",
    "size": "the service chooses its pictures' size, and they are scaled back",
    "response_format": "the service sends pictures in its own way",
    "output_format": "the service chooses the file format, which may lose a little",
}
REFUSAL = re.compile(
    r"unknown|unrecogni[sz]ed|unexpected|unsupported|extra|not (supported|permitted|allowed|accepted)|invalid|cannot be"
)


@dataclass(frozen=True, kw_only=True)
class ServedSettings(ApiSettings):
    """`model`: "" leaves the choice to the service. `area`: pixels at which a picture is sent, in multiples of `multiple`; None: as
    it is."""

    area: int | None = None
    multiple: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.area is not None:
            plan_fit(1, 1, self.area, self.multiple)  # BadInput for an area without room


class ServedEditor(GptImageEditor):
    """`edit` as in `editors.base.Editor`; see `editors.api` for what is kept and raised."""

    provider = "served"
    own_fields = frozenset({*GptImageEditor.own_fields, *OPTIONAL})
    settings: ServedSettings

    def __init__(self, settings: ServedSettings, **more: Any) -> None:
        super().__init__(settings, **more)
        self._left_out: set[str] = set()
        self._lock = threading.Lock()

    def auth(self, key: str) -> dict[str, str]:
        return super().auth(key) if key else {}

    def fit(self, size: tuple[int, int]) -> Fit:
        if self.settings.area is None:
            return Fit(size, size, (0, 0, *size))
        return plan_fit(*size, self.settings.area, self.settings.multiple)

    def identity(self) -> dict[str, Any]:
        """The address counts, and the fingerprint of the model where the service states one: another model may answer there."""
        s = self.settings
        grid = {"area": s.area, "multiple": s.multiple} if s.area is not None else {}
        return super().identity() | {"base_url": s.base_url, "fingerprint": self.fingerprint, **grid}

    @cached_property
    def fingerprint(self) -> str:
        try:
            known = listed_models(self.settings.base_url, self.settings.key_env)
        except (ExchangeFailed, NoList):
            return ""  # not every service has a list; one that is not there fails when it is asked for a picture
        chosen = [m for m in known if m.get("id") == self.settings.model] or known[-1:]
        return str(chosen[0].get("fingerprint") or "") if chosen else ""

    def request(self, png: bytes, size: tuple[int, int], instruction: str, seed: int) -> HttpRequest:
        return self._request(png, size, instruction, seed, frozenset(self._left_out))

    def _request(
        self, png: bytes, size: tuple[int, int], instruction: str, seed: int, left_out: frozenset[str]
    ) -> HttpRequest:
        optional = {
            "response_format": "b64_json",
            "output_format": "png",
            "size": f"{size[0]}x{size[1]}",
            "seed": str(int(seed)),
        }
        fields = {
            **({"model": self.settings.model} if self.settings.model else {}),
            "prompt": instruction,
            **{name: value for name, value in optional.items() if name not in left_out},
            **{name: form_field(value) for name, value in self.settings.parameters.items()},
        }
        body, content_type = multipart(fields, "image", png)
        return HttpRequest("/images/edits", body, content_type)

    def ask(
        self, png: bytes, size: tuple[int, int], instruction: str, seed: int
    ) -> HttpResult[tuple[bytes, Image.Image]]:
        """As of every service's editor; asked again without a field that the service refuses. Raises BadInput where that is a
        field of `parameters`."""
        while True:
            left_out = frozenset(self._left_out)
            request, reader = self._request(png, size, instruction, seed, left_out), _Reader(self)
            answer = self._client.post(request.path, request.body, request.content_type, reader)
            field = reader.refused_field
            if answer.value is not None or answer.status not in (400, 422) or not field:
                return answer
            if field in self.settings.parameters:
                raise BadInput(
                    f"the service at {self.settings.base_url} does not take '{field}' ({answer.reason}); leave it out of the "
                    "editor's settings"
                )
            if field in left_out:  # it was not sent: the refusal means something else
                return answer
            self._leave_out(field, answer.reason)

    def _leave_out(self, field: str, reason: str) -> None:
        with self._lock:
            new = field not in self._left_out
            self._left_out.add(field)
        if new:
            logger.warning(
                "the service at %s does not take '%s' and is asked without it from now on: %s (it said: %s)",
                *(self.settings.base_url, field, WITHOUT[field], reason),
            )

    def read(self, reply: dict[str, Any]) -> bytes:
        """Besides base64, a data address that holds it; an address elsewhere is not followed."""
        data = reply.get("data")
        first = data[0] if isinstance(data, list) and data and isinstance(data[0], Mapping) else {}
        url = first.get("url")
        if isinstance(url, str) and not isinstance(first.get("b64_json"), str):
            if url.startswith("data:image/") and ";base64," in url:
                return decode_base64(url.partition(";base64,")[2])
            raise Unusable("a reply with an address in place of a picture; only pictures within the reply are read")
        return super().read(reply)

    def refusal(self, reply: dict[str, Any]) -> str:
        error = reply.get("error")
        if isinstance(error, Mapping) and error.get("code") == "model_not_found":
            raise AllRejected(f"{error.get('message')} Give another editor.model")
        return super().refusal(reply)


@dataclass
class _Reader(Pictures):
    """Notes which field an error is about."""

    refused_field: str = ""

    def refusal(self, reply: dict[str, Any]) -> str:
        fields = (*OPTIONAL, *self.editor.settings.parameters)
        named = list(named_fields(reply))
        self.refused_field = next((f for f in named if f in fields), "") if named else mentioned(reply, fields)
        return super().refusal(reply)


def named_fields(reply: Mapping[str, Any]) -> Iterator[str]:
    """The fields that an error names: OpenAI's `error.param`, and the places in the list that FastAPI gives."""
    error, detail = reply.get("error"), reply.get("detail")
    if isinstance(error, Mapping) and isinstance(error.get("param"), str):
        yield error["param"]
    for one in detail if isinstance(detail, list) else []:
        place = one.get("loc") if isinstance(one, Mapping) else None
        if isinstance(place, list) and place:
            yield str(place[-1])


def mentioned(reply: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    """The first of `fields` that the error's own words refuse; "" where they refuse none."""
    error = reply.get("error")
    words = error.get("message") if isinstance(error, Mapping) else error or reply.get("detail") or reply.get("message")
    text = words if isinstance(words, str) else json.dumps(words)
    if not REFUSAL.search(text.lower()):
        return ""
    return next((f for f in fields if re.search(rf"(?<![\w-]){re.escape(f)}(?![\w-])", text)), "")


__all__ = ["OPTIONAL", "ServedEditor", "ServedSettings"]
