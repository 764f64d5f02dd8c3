"""What decides an arm's pictures and a judge's verdicts, for the claims of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from common.errors import MissingFile
from conf.parts import part_values
from conf.schema import RunConfig
from experiments.build.judges import rubric_of
from experiments.runs.identity import digest_folder, identity


def arm_settings(used: RunConfig) -> dict[str, dict[str, Any]]:
    """{"editor": what the editor alone is made of, "team": what the team has besides}: the parts, with the content of their
    checkpoints in place of paths."""
    values = identity(used)
    with suppress(MissingFile):  # where the pictures are there already, its checkpoint need not be
        values["editor"]["content"] = editor_digest(used)
    engine = {k: v for k, v in values["engine"].items() if k in ("name", "threads")}
    editor = {"editor": values["editor"], "engine": engine, "seed": used.scale.test_seed}
    values["decomposer"].pop("content", None)  # the weights are claimed, those of the arm
    return {"editor": editor, "team": {g: values[g] for g in ("execution", "sequencer", "decomposer", "rollouts")}}


def decomposer_settings(used: RunConfig, checkpoint: Path) -> dict[str, Any]:
    """What decides the decompositions of one checkpoint."""
    values = identity(used)
    values["decomposer"].pop("content", None)
    engine = {k: v for k, v in values["engine"].items() if k in ("name", "threads")}
    parts = {g: values[g] for g in ("decomposer", "rollouts")}
    return {**parts, "engine": engine, "weights": weights(checkpoint)}


def weights(checkpoint: Path) -> str:
    """A digest of the weights in a decomposer's folder."""
    return digest_folder(checkpoint, ("*.safetensors",))


def editor_digest(used: RunConfig) -> str | None:
    """A digest of an editor's checkpoint, also where it is named by a Hub id; None for an editor without one."""
    from editors.checkpoint import find_folder

    download = getattr(used.editor, "allow_download", False)
    digests = [digest_folder(find_folder(c.folder, download), c.patterns) for c in used.editor.contents()]
    return " ".join(digests) or None


def judge_settings(judge: Any, rubric: str) -> Mapping[str, Any]:
    """What decides a verdict: the settings that are used in the end, also where they are the protocol's own, and the hash of
    its prompts. How fast or how often a service is asked, and what it costs, is no part of it."""
    values = part_values(judge, defining=True)
    settings = {k: v for k, v in values.items() if k != "rubric"} | {"rubric": rubric}
    if not rubric:
        return settings
    protocol = rubric_of(judge, rubric)
    sampling = judge.sampling(protocol.sampling)
    own = {k: getattr(sampling, k) for k in ("temperature", "top_p", "top_k", "max_tokens", "seed")}
    repeats = protocol.repeats if judge.repeats is None else judge.repeats
    return settings | own | {"repeats": repeats, "prompts": protocol.version}


__all__ = ["arm_settings", "decomposer_settings", "editor_digest", "judge_settings", "weights"]
