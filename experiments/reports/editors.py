"""The page that shows what a tiny editor learned: scores per action, and before / after / wanted of held-out edits."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from common.errors import SaveFailed
from experiments.reports.html import page, table

SHOWN = 48


def write_report(
    path: Path, title: str, scores: Mapping[str, Mapping[str, float]], rows: Sequence[Mapping[str, Any]]
) -> Path:
    """A self-contained page; the samples shown are the first ones, chosen by nobody. Raises SaveFailed."""
    columns = [key for key in scores["all"] if key != "n"]
    cells = [
        ([escape(name), *(f"{values[key]:.2f}" for key in columns), str(int(values["n"]))], name == "all")
        for name, values in scores.items()
    ]
    figures = "".join(_figure(row) for row in rows[:SHOWN])
    style = (
        "<style>.edits{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:14px}"
        ".edits figure{margin:0}.edits img{width:96px;image-rendering:pixelated}</style>"
    )
    body = [
        f"<h1>{escape(title)}: held-out single edits</h1>",
        table(["action", *columns, "n"], cells),
        "<h2>Before, after, wanted</h2>",
        style,
        f'<div class="edits">{figures}</div>',
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(title, body), encoding="utf-8")
    except OSError as e:
        raise SaveFailed(f"could not write {path}: {e}; free space and run again") from e
    return path


def _figure(row: Mapping[str, Any]) -> str:
    sample = row["sample"]
    images = "".join(_image(im) for im in (sample.image, row["edited"], sample.target))
    score = f"{row['scores']['overall']:.1f}" if row["scores"] else "invalid"
    return f"<figure>{images}<figcaption>{escape(sample.request)} · {score}</figcaption></figure>"


def _image(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"> '


__all__ = ["write_report"]
