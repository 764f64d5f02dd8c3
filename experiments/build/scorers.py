"""A reward model that scores many edits at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadInput, MissingFile
from experiments.build.device import device_of
from experiments.build.rollouts import make_backend
from experiments.build.teachers import points_of

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.base import EditSample
    from judges.reasoning.scorer import TraceScorer

Scores = Callable[["Sequence[EditSample]", "Sequence[Image.Image]"], "Sequence[float | None]"]  # 0 to 10


def trace_scorer(config: Any, folder: str | Path = "") -> TraceScorer:
    """The reward model in this folder, or in `rrm.checkpoint`. Raises BadInput where no reward model is chosen, MissingFile where
    the folder is not there."""
    from judges.reasoning.scorer import TraceScorer
    from judges.rubrics.rrm import RRMRubric

    c = config.rrm
    if c is None:
        raise BadInput(
            f"reward={config.reward.name} needs a reward model: choose one with rrm=tiny, or another of conf/rrm"
        )
    checkpoint = Path(folder or c.checkpoint)
    if not str(folder or c.checkpoint) or not checkpoint.is_dir():
        raise MissingFile(
            f"there is no reward model in {folder or c.checkpoint or 'rrm.checkpoint (empty)'}; experiment=edit_r1 makes one in "
            "<run>/rrm/gcpo: name it by rrm.checkpoint="
        )
    backend = make_backend(config.rollouts, c.load(device_of(config.engine), checkpoint))
    rubric = RRMRubric(points_of(config), c.prompt, max_tokens=c.max_new_tokens, scoring=c.scoring)
    return TraceScorer(backend, rubric, c.max_new_tokens)


__all__ = ["Scores", "trace_scorer"]
