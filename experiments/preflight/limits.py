"""Settings that are allowed one by one and together exceed this machine: refused with the figure, before torch is loaded.

Lower bounds, so that what is refused cannot work: memory from shapes alone, time as if every model were as fast as the tiny ones.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.backends.families import FAMILIES, family_named
from common.errors import BadInput
from conf.schema import RunConfig
from editors.costs import head_widths
from experiments.preflight.machine import GIB, memory_bytes

DAY = 86400.0
MOST_DAYS = 60.0  # a run that takes longer is a mistake
# one core of a 2020 server, tiny models; nothing published is faster
S_PER_COMPLETION = 1e-3
S_PER_EDITOR_STEP = 5e-3  # of one picture on a grid of 64 x 64
ADAPTER_BYTES = 16  # of one weight: itself, its gradient and two moments in float32
MODEL_TYPES = {family.model_type for family in FAMILIES}
PROCESS_BYTES = 2**28  # of a process that has loaded torch and transformers and no weights
LOGIT_BYTES = 8  # of one word of one token: the number and its gradient in float32

Memory = tuple[str, str, float]  # what is held, the keys that decide it, its bytes
Seconds = tuple[float, str]  # at least, and the keys that decide it


def check_limits(config: RunConfig) -> None:
    """Raises BadInput with what the settings of a run would take at least, and what there is."""
    check_draws(config.scale.pass_at, config.scale.draws)
    check_connections(editor=config.editor, judge=config.judge)
    refuse([*memory(config), *processes(config.launcher)], [time_s(config)])


def refuse(held: Iterable[Memory], times: Iterable[Seconds] = ()) -> None:
    """Raises BadInput for what is more than the memory of this machine, or would take longer than anything may."""
    have = memory_bytes()
    for what, keys, needed in held:
        if needed > have:
            raise BadInput(
                f"{keys}: {what} would take at least {needed / GIB:,.0f} GiB, this machine has {have / GIB:,.0f} GiB"
            )
    for seconds, keys in times:
        if seconds > MOST_DAYS * DAY:
            raise BadInput(
                f"{keys}: this would take at least {seconds / DAY:,.0f} days, even with models as fast as the tiny ones; "
                f"at most {MOST_DAYS:.0f} are allowed"
            )


def check_draws(k: int, draws: int) -> None:
    """Raises BadInput where pass@k is wanted of fewer than k answers."""
    if draws < k:
        raise BadInput(f"scale.pass_samples={draws}: pass@{k} (scale.pass_at) needs {k} answers or more")


def check_connections(**services: Any) -> None:
    """Requests to a service are connections, which this process may open a limited number of. Raises BadInput."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for group, part in services.items():
        own, inner = getattr(part, "concurrency", None), ""
        if own is None:
            own, inner = getattr(getattr(part, "api", None), "concurrency", 0), "api."
        at_once = own or 0
        if most != resource.RLIM_INFINITY and at_once > most:
            raise BadInput(
                f"{group}.{inner}concurrency={at_once}: every request under way is a connection, and this process may have "
                f"{most:,} files and connections open (ulimit -n)"
            )


def processes(launcher: Any) -> list[Memory]:
    """Of this machine, each with the libraries of its own."""
    n = getattr(launcher, "processes", 1)
    return [(f"{n} processes", f"launcher.processes={n}", float(PROCESS_BYTES * n))] if n > 1 else []


def batch_of_pictures(editor: Any, most: int) -> list[Memory]:
    """The pictures that a diffusion editor works on together, at most so many, and their results, as float32."""
    size, area = min(getattr(editor, "batch_size", 0), most), getattr(editor, "area", 0)
    if not size or not area:
        return []
    keys = f"editor.batch_size={editor.batch_size}, editor.area={area}"
    return [("the pictures of one editing batch", keys, 2.0 * 3 * 4 * area * size)]


def memory(config: RunConfig) -> list[Memory]:
    """What is held, the keys that decide it, and its bytes in main memory."""
    scale, algo = config.scale, config.algo
    side, n = scale.image_size, scale.test_samples
    found = [("the held-out pictures", f"scale.test_samples={n}, scale.image_size={side}", 3.0 * side * side * n)]
    if not config.benchmark.text_only:
        found += batch_of_pictures(config.editor, min(scale.chunk, n))
    rank = getattr(getattr(algo, "lora", None), "rank", 0)
    shapes = model_shapes(getattr(config.decomposer, "checkpoint", ""))
    if rank and shapes:
        found.append(
            (f"adapters of rank {rank}", f"algo.lora.rank={rank}", ADAPTER_BYTES * rank * adapter_sides(shapes))
        )
    if shapes and not scale.needs.gpus and hasattr(algo, "micro_batch_size"):
        together = min(algo.micro_batch_size, algo.prompts_per_step * largest_group(algo))
        words = shapes["text_config"].get("vocab_size", 0)
        tokens = config.decomposer.max_new_tokens
        keys = f"algo.micro_batch_size={algo.micro_batch_size}, decomposer.max_new_tokens={tokens}"
        found.append(
            ("the logits of one forward", keys, LOGIT_BYTES * words * tokens * together / 4)
        )  # answers end early
    return found


def largest_group(algo: Any) -> int:
    """Completions of one prompt, at most. An algorithm of one's own may have one size of groups alone, or none."""
    return int(getattr(algo, "largest_group", getattr(algo, "group_size", 0)))


def time_s(config: RunConfig) -> Seconds:
    """Seconds at least, and the keys of the longer part."""
    scale, algo, editor = config.scale, config.algo, config.editor
    completions = getattr(algo, "steps", 0) * getattr(algo, "prompts_per_step", 0) * largest_group(algo)
    calls = 3 + (scale.editor_calls or 0)
    beside = scale if config.benchmark.complex_split() is not None else replace(scale, complex_samples=0)
    samples, pictures = scale.test_samples + beside.complex_requests, scale.test_samples + beside.complex_edited
    edits = 0 if config.benchmark.text_only else pictures * calls * getattr(editor, "steps", 0)
    area = getattr(editor, "area", 4096) / 4096
    training = S_PER_COMPLETION * completions
    evaluating = S_PER_EDITOR_STEP * edits * area + S_PER_COMPLETION * (2 + scale.draws) * samples
    keys = f"algo.steps={getattr(algo, 'steps', '')}, algo.prompts_per_step={getattr(algo, 'prompts_per_step', '')}, "
    keys += f"algo.group_size={getattr(algo, 'group_size', '')}"
    if evaluating > training:
        keys = f"scale.test_samples={scale.test_samples}, editor.steps={getattr(editor, 'steps', '')}, "
        keys += f"editor.area={getattr(editor, 'area', '')}"
    return training + evaluating, keys


def model_shapes(checkpoint: str) -> Mapping[str, Any]:
    """The config.json of a vision-language model; nothing where it is not there or is another model, which other checks
    name."""
    path = Path(checkpoint) / "config.json"
    if not checkpoint or not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return {}
    both = isinstance(config, dict) and {"text_config", "vision_config"} <= set(config)
    return config if both and config.get("model_type") in MODEL_TYPES else {}


def adapter_sides(config: Mapping[str, Any]) -> float:
    """Sum of the widths, in and out, of every matrix of every block: an adapter of rank r has r times as many weights."""
    t, v = config["text_config"], config["vision_config"]
    (width, queries, keys), inner = head_widths(t), t["intermediate_size"]
    language = 2 * (width + queries) + 2 * (width + keys) + 3 * (width + inner)
    side, hidden = v["hidden_size"], v["intermediate_size"]
    family = family_named(config["model_type"], "the decomposer's checkpoint")
    vision = (side + 3 * side) + (side + side) + family.vision_mlp * (side + hidden)
    return t["num_hidden_layers"] * language + v["depth"] * vision


__all__ = [
    "LOGIT_BYTES",
    "S_PER_COMPLETION",
    "S_PER_EDITOR_STEP",
    "Memory",
    "Seconds",
    "batch_of_pictures",
    "check_connections",
    "check_draws",
    "check_limits",
    "model_shapes",
    "processes",
    "refuse",
]
