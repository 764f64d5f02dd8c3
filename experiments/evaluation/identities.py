"""What decides an arm's pictures and a judge's verdicts, for the claims of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.contents import digest
from common.parts import CHECKPOINT
from conf.schema import RunConfig
from experiments.build.judges import rubric_of
from experiments.runs.contents import contents_of, digest_of, values_with_content
from experiments.runs.identity import identity


def arm_settings(used: RunConfig) -> dict[str, dict[str, Any]]:
    """{"editor": what the editor alone is made of, "team": what the team has besides}: the parts, with the content of their
    checkpoints in place of paths."""
    values = identity(used)
    if digests := [digest_of(c, download=True) for c in contents_of(used.editor)]:
        values["editor"]["content"] = digests
    if used.editor.approximations:
        values["editor"]["approximate"] = list(used.editor.approximations)
    engine = {k: v for k, v in values["engine"].items() if k in ("name", "threads")}
    editor = {"editor": values["editor"], "engine": engine, "seed": used.scale.test_seed}
    values["decomposer"] = besides_weights(used, values["decomposer"])
    return {"editor": editor, "team": {g: values[g] for g in ("execution", "sequencer", "decomposer", "rollouts")}}


def decomposer_settings(used: RunConfig, checkpoint: Path) -> dict[str, Any]:
    """What decides the decompositions of one checkpoint."""
    values = identity(used)
    values["decomposer"] = besides_weights(used, values["decomposer"])
    engine = {k: v for k, v in values["engine"].items() if k in ("name", "threads")}
    parts = {g: values[g] for g in ("decomposer", "rollouts")}
    return {**parts, "engine": engine, "weights": weights(checkpoint)}


def besides_weights(used: RunConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """A decomposer's values without its checkpoint, in whose place the weights of the arm are claimed."""
    checkpoint = Path(used.decomposer.checkpoint)
    others = [digest_of(c) for c in contents_of(used.decomposer) if Path(c.folder) != checkpoint]
    return {k: v for k, v in values.items() if k != "content"} | ({"content": others} if others else {})


def weights(checkpoint: Path) -> str:
    """A digest of a decomposer's folder: weights, tokenizer, chat template, picture processor."""
    return digest(checkpoint, CHECKPOINT)


def judge_settings(judge: Any, rubric: str) -> Mapping[str, Any]:
    """What decides a verdict: the settings that are used in the end, also where they are the protocol's own, and the hash of
    its prompts. How fast or how often a service is asked, and what it costs, is no part of it."""
    values = values_with_content(judge)
    settings = {k: v for k, v in values.items() if k != "rubric"} | {"rubric": rubric}
    if judge.sessions:
        settings["sessions"] = True
    if not rubric:
        return settings
    protocol = rubric_of(judge, rubric)
    sampling = judge.sampling(protocol.sampling)
    own = {k: getattr(sampling, k) for k in ("temperature", "top_p", "top_k", "max_tokens", "seed")}
    repeats = protocol.repeats if judge.repeats is None else judge.repeats
    return settings | own | {"repeats": repeats, "prompts": protocol.version}


__all__ = ["arm_settings", "decomposer_settings", "judge_settings", "weights"]
