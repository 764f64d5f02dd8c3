"""Reading a form from the network: its text fields, and the one picture in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from common.errors import BadInput
from common.pictures import Picture
from experiments.serving.errors import ApiError, bad
from experiments.serving.form import Order, Rules, read_order
from experiments.serving.limits import PictureLimits

MAX_FIELDS, MAX_FILES = 64, 16
BYTES_PER_CHAR = 4  # of UTF-8


@dataclass(frozen=True)
class Upload:
    order: Order
    picture: Picture


async def read_form(request: Request, rules: Rules, limits: PictureLimits, seconds: float) -> Upload:
    """Raises ApiError; starlette.requests.ClientDisconnect where the client goes away meanwhile."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(415, "send the request as multipart/form-data, with the picture as a file in the field 'image'")
    try:
        async with asyncio.timeout(seconds):
            form = await request.form(
                max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=BYTES_PER_CHAR * rules.max_prompt_chars + 1024
            )
    except TimeoutError:
        raise ApiError(
            408, f"the upload was not here within {seconds:g} s; send it faster, or a smaller picture"
        ) from None
    try:
        order, file = _sorted(form, rules)
        data = await file.read()
    finally:
        await form.close()
    if len(data) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    return Upload(order, await asyncio.to_thread(_picture, data, limits))


def too_large(most: int) -> ApiError:
    return ApiError(413, f"the upload is larger than the {most / 1e6:g} MB that are allowed", param="image")


def _sorted(form: FormData, rules: Rules) -> tuple[Order, UploadFile]:
    texts: dict[str, list[str]] = {}
    files: dict[str, list[UploadFile]] = {}
    for key, value in form.multi_items():
        name = key.removesuffix("[]")
        if isinstance(value, UploadFile):
            files.setdefault(name, []).append(value)
        else:
            texts.setdefault(name, []).append(value)
    order = read_order(texts, files, rules)
    for name in files:
        if name != "image":
            raise bad(name, f"'{name}' is no file; send the picture in the field 'image'")
    pictures = files.get("image", [])
    if len(pictures) != 1:
        what = (
            "is missing; send the picture as a file"
            if not pictures
            else "is given several times; one picture is edited at a time"
        )
        raise bad("image", f"'image' {what}")
    return order, pictures[0]


def _picture(data: bytes, limits: PictureLimits) -> Picture:
    try:
        return limits.read(data, "'image'")
    except BadInput as error:
        raise bad("image", str(error), "invalid_image_file") from None


__all__ = ["Upload", "read_form", "too_large"]
