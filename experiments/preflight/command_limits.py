"""The same as limits.py for the commands beside the main job: what their settings would take at least, refused with the figure."""

from __future__ import annotations

from conf.schema import EditConfig, PretrainConfig, SessionConfig
from experiments.evaluation.spec import EvaluationSpec
from experiments.preflight.limits import (
    LOGIT_BYTES,
    S_PER_COMPLETION,
    S_PER_EDITOR_STEP,
    Memory,
    Seconds,
    batch_of_pictures,
    check_connections,
    model_shapes,
    processes,
    refuse,
)

SIDE = 64  # pixels, of the pictures that the tiny models learn from
FLOATS = 4 * 3 * SIDE**2  # bytes of one of them as float32
ANSWER_TOKENS = 16  # of the shortest answers in the decomposer's supervised start
S_PER_PICTURE = 1e-4  # of one update of a tiny model on one picture; nothing measured is faster


def check_edit(config: EditConfig | SessionConfig) -> None:
    """One picture. Raises BadInput with the figure."""
    editor = config.editor
    steps, area = getattr(editor, "steps", 0), getattr(editor, "area", 4096)
    check_connections(editor=editor)
    refuse(
        batch_of_pictures(editor, 1),
        [(S_PER_EDITOR_STEP * steps * area / 4096, f"editor.steps={steps}, editor.area={area}")],
    )


def check_evaluation(spec: EvaluationSpec) -> None:
    """The arms that are edited, and the processes. How many items a data set has is known when it is read; the sandbox has as
    many as are set. Raises BadInput with the figure."""
    used, editor = spec.used, spec.used.editor
    check_connections(editor=editor, judge=used.judge)
    held: list[Memory] = [*processes(used.launcher)]
    if spec.arms:
        held += batch_of_pictures(editor, spec.chunk)
    if not hasattr(used.benchmark, "complex_split"):
        return refuse(held)
    n = used.scale.test_samples if spec.samples is None else spec.samples
    key = f"scale.test_samples={n}" if spec.samples is None else f"samples={n}"
    steps, area = getattr(editor, "steps", 0), getattr(editor, "area", 4096)
    edits = S_PER_EDITOR_STEP * n * len(spec.arms) * steps * area / 4096
    answers = S_PER_COMPLETION * n * (len(spec.decompositions) + len(spec.arms))
    workers = getattr(used.launcher, "processes", 1) * spec.share.shards
    refuse(held, [((edits + answers) / workers, f"{key}, editor.steps={steps}, editor.area={area}")])


def check_pretraining(config: PretrainConfig) -> None:
    """The recipes of experiments/tiny, whose pictures have 64 pixels a side. Raises BadInput with the figure."""
    held: list[Memory] = []
    times: list[Seconds] = []
    if config.editor is None:
        vision, (name, start) = config.vision, config.supervised
        held.append(("a batch of pictures", f"vision.batch_size={vision.batch_size}", 2.0 * FLOATS * vision.batch_size))
        words = model_shapes(getattr(config.decomposer, "checkpoint", "")).get("text_config", {}).get("vocab_size", 0)
        together = min(start.micro_batch_size, start.batch_size)
        keys = f"{name}.micro_batch_size={start.micro_batch_size}, {name}.batch_size={start.batch_size}"
        each = 2.0 * FLOATS + LOGIT_BYTES * words * ANSWER_TOKENS
        held.append(("the pictures and logits of one forward", keys, each * together))
        times.append((S_PER_PICTURE * vision.steps * vision.batch_size, _keys("vision", vision)))
        second = getattr(start, "second_steps", 0)
        updates = (start.steps + second) * start.batch_size
        validated = start.steps // start.validate_every * start.validation_samples
        times.append(
            (S_PER_PICTURE * updates, _keys(name, start) + (f", {name}.second_steps={second}" if second else ""))
        )
        times.append((S_PER_COMPLETION * validated, _validation(name, start)))
        return refuse(held, times)
    for name, part in (("vae", config.vae), ("flow", config.flow)):
        what = "the pictures of one batch, before and after"
        held.append((what, f"{name}.batch_size={part.batch_size}", 2.0 * FLOATS * part.batch_size))
        times.append((S_PER_PICTURE * part.steps * part.batch_size, _keys(name, part)))
    flow = config.flow
    judged = flow.steps // flow.validate_every * flow.validation_samples + flow.test_samples
    keys = f"{_validation('flow', flow)}, flow.test_samples={flow.test_samples}, flow.euler_steps={flow.euler_steps}"
    times.append((S_PER_EDITOR_STEP * judged * flow.euler_steps, keys))
    refuse(held, times)


def check_single_edits(samples: int, editors: int) -> None:
    """Every picture is kept until all are judged. Raises BadInput with the figure."""
    refuse(
        [("the pictures", f"samples={samples}", 3.0 * SIDE**2 * samples * editors)],
        [(S_PER_EDITOR_STEP * samples * editors, f"samples={samples}")],
    )


def check_long_sessions(sessions: int, turns: int, passes: int, editors: int) -> None:
    """Every picture of one editor is kept, of both ways of playing a session. Raises BadInput with the figure."""
    keys = f"sessions={sessions}, turns={turns}, passes={passes}"
    calls = sessions * (2 * turns + passes)
    refuse([("the pictures", keys, 3.0 * SIDE**2 * calls)], [(S_PER_EDITOR_STEP * calls * editors, keys)])


def _keys(name: str, part: object) -> str:
    return f"{name}.steps={getattr(part, 'steps')}, {name}.batch_size={getattr(part, 'batch_size')}"  # noqa: B009


def _validation(name: str, part: object) -> str:
    every, n = getattr(part, "validate_every"), getattr(part, "validation_samples")  # noqa: B009
    return f"{name}.validate_every={every}, {name}.validation_samples={n}"


__all__ = ["check_edit", "check_evaluation", "check_long_sessions", "check_pretraining", "check_single_edits"]
