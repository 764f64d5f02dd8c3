"""From edited pictures to the answer's JSON."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from typing import Any

from PIL import Image

from common.alpha import put_back
from common.errors import BadInput
from common.pictures import Picture
from experiments.serving.arms import Made
from experiments.serving.errors import bad
from experiments.serving.form import Order
from experiments.serving.kept import PATH, KeptPictures

MAX_STRETCH = 0.03  # by which the aspect ratio of a size may differ from the picture's
WITH_ALPHA = ("png", "webp")


def check_size(order: Order, picture: Picture) -> None:
    """Raises ApiError for a size of another shape: an edit keeps the picture's, and neither crops nor distorts it."""
    if order.size is None:
        return
    width, height = picture.rgb.size
    if abs(order.size[0] / order.size[1] / (width / height) - 1) > MAX_STRETCH:
        raise bad(
            "size",
            f"size={order.size[0]}x{order.size[1]} has another shape than the picture ({width}x{height}), and an edit keeps it; "
            "give size=auto",
        )


def answer_of(order: Order, given: Picture, made: Sequence[Made], kept: KeptPictures, base_url: str) -> dict[str, Any]:
    """OpenAI's ImagesResponse; `seed`, `plan`, `notes` and `expires_at` (of a URL, Unix seconds) are ours. `base_url`: what clients
    reach the server by, ending in "/". Raises ApiError where the pictures are too large to be kept."""
    data, size = [], order.size or given.rgb.size
    files = [encoded(one.picture, given, order) for one in made]
    for seed, one, where in zip(order.seeds, made, _delivered(order, files, kept, base_url), strict=True):
        item: dict[str, Any] = {**where, "seed": seed}
        if one.notes:
            item["notes"] = list(one.notes)
        if order.plan:
            item["plan"] = dict(one.plan)
        data.append(item)
    return {
        "created": int(time.time()),
        "data": data,
        "model": order.model,
        "output_format": order.output_format,
        "size": f"{size[0]}x{size[1]}",
    }


def _delivered(order: Order, files: Sequence[bytes], kept: KeptPictures, base_url: str) -> list[dict[str, Any]]:
    if not order.url:
        return [{"b64_json": base64.b64encode(data).decode()} for data in files]
    try:
        names = kept.keep(files, order.output_format)
    except BadInput as error:
        raise bad("response_format", str(error)) from None
    end = int(time.time() + kept.seconds)
    return [{"url": f"{base_url}{PATH.removeprefix('/')}{name}", "expires_at": end} for name in names]


def encoded(edited: Image.Image, given: Picture, order: Order) -> bytes:
    """The file of an edited picture: PNG without loss, the given picture's transparency where the format has any."""
    kept = put_back(edited, given)[0] if order.output_format in WITH_ALPHA else edited
    if order.size is not None and kept.size != order.size:
        kept = kept.resize(order.size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if order.output_format == "png":
        kept.save(file, "PNG", compress_level=1)  # lossless at any level; higher ones only cost time
    elif order.output_format == "webp" and order.compression == 100:
        kept.save(file, "WEBP", lossless=True)
    elif order.output_format == "webp":
        kept.save(file, "WEBP", quality=order.compression)
    else:  # at the best qualities the colours keep their resolution too
        kept.save(file, "JPEG", quality=order.compression, subsampling=0 if order.compression >= 90 else -1)
    return file.getvalue()


__all__ = ["answer_of", "check_size", "encoded"]
