"""Whole editors of the published sizes with random weights: different pictures and variants of one against diffusers' pipeline
in a loop, and what approximations save and change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from common.places import assets_folder
from editors.flow_editor import FlowEditor
from editors.loading import DTYPES, LoadOptions, configure, load_pipeline
from editors.published import PUBLISHED, PublishedModel
from editors.settings import Forwards
from experiments.benches.editors import approximate
from experiments.benches.editors.sides import FOLDERS, Work, naive, pictures, working_size
from experiments.build.editors import DiffusionEditor, KontextEditor, QwenEditor
from experiments.build.engines import TorchEngine

Values = dict[str, Any]
REPOSITORIES = {"qwen": "Qwen/Qwen-Image-Edit", "flux_kontext": "black-forest-labs/FLUX.1-Kontext-dev"}
BLOCKS = 4  # of the published ones that the second table has: through the loader, from files
TOLERANCE = (
    3.0  # mean absolute difference of pictures in levels of 255 that bfloat16 may make of another order of additions
)
ARMS = ("eager", "kernels", "compiled")  # what is compiled stays so: it is the last
LAYERS = {"num_layers", "num_single_layers", "num_hidden_layers", "depth"}


def settings(kind: str, side: int, steps: int, dtype: str) -> DiffusionEditor:
    """As published, but for the number of steps."""
    common: Values = {"checkpoint": REPOSITORIES[kind], "steps": steps, "area": side * side, "dtype": dtype}
    common |= {"batch_size": 4, "max_sequence_length": 512 if side >= 512 else 64}
    if kind == "qwen":
        return QwenEditor(kind, true_cfg=4.0, multiple=32 if side >= 512 else 0, **common)
    return KontextEditor(kind, guidance=2.5, **common)


def against_loop(
    kind: str,
    side: int = 1024,
    steps: int = 2,
    count: int = 4,
    where: str = "cuda",
    small: Any = None,
    labels: Sequence[str] = ARMS,
) -> Values:
    """Seconds of `count` different pictures and of as many variants of one, here and by the pipeline in a loop, and how far the
    pictures are apart. `small`: models in place of the published ones, for tests."""
    dtype = "bfloat16" if where == "cuda" else "float32"
    config = settings(kind, side, steps, dtype)
    pipe = random_pipeline(kind, small or PUBLISHED[REPOSITORIES[kind]], dtype, where)
    config = replace(config, guidance=config.guidance if pipe.transformer.config.guidance_embeds else None)
    pipe.to(where)
    different = large(pictures(count), side)
    same = Work([different.images[0]] * count, [different.instructions[0]] * count, different.seeds)
    works = {"different pictures": different, "variants of one": same}
    loops = {name: timed(lambda w: in_a_loop(config, pipe, w, side), work, where) for name, work in works.items()}
    found: Values = {name: {"loop, s": round(seconds, 3)} for name, (seconds, _) in loops.items()}
    for label in labels:
        options = arms(dtype, where)[label]
        configure(pipe, options)
        editor = FlowEditor(config.model(pipe, Forwards(padded=False)))
        began = time.perf_counter()
        edit(editor, different)
        found[f"{label}: first time, s"] = round(time.perf_counter() - began, 1)
        for name, work in works.items():
            seconds, made = timed(partial(edit, editor), work, where, warm=False)
            apart = approximate.change(loops[name][1], made)["mean_difference"] or 0.0
            found[name] |= {
                f"{label}, s": round(seconds, 3),
                f"{label}, ratio": round(loops[name][0] / seconds, 2),
                f"{label}, mean difference": apart,
                f"{label}, same": apart <= TOLERANCE,
            }
    if where == "cuda":
        found["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    return found


def arms(dtype: str, where: str) -> dict[str, LoadOptions]:
    """What each of ARMS is."""
    fast = LoadOptions(dtype=dtype, device=where, attention="auto", vae_channels_last=True)
    return {
        "eager": LoadOptions(dtype=dtype, device=where),
        "kernels": fast,
        "compiled": replace(fast, compile=True),
    }


def in_a_loop(config: DiffusionEditor, pipe: Any, work: Work, side: int) -> list[Any]:
    rows = zip(work.images, work.instructions, work.seeds, strict=True)
    with working_size(side):
        return [naive(config, pipe, image, text, seed, side) for image, text, seed in rows]


def edit(editor: FlowEditor, work: Work) -> list[Any]:
    return editor.edit(work.images, work.instructions, work.seeds)


def approximations(
    kind: str, side: int = 1024, steps: int = 8, count: int = 2, where: str = "cuda", small: Any = None
) -> Values:
    """Weights, seconds and change of the pictures of each approximation, for an editor of the published widths with few blocks."""
    dtype = "bfloat16" if where == "cuda" else "float32"
    parts = small or {name: fewer(part) for name, part in PUBLISHED[REPOSITORIES[kind]].items()}
    with TemporaryDirectory() as scratch:
        pipe = random_pipeline(kind, parts, dtype, where)
        embedded = bool(pipe.transformer.config.guidance_embeds)
        pipe.save_pretrained(scratch)
        del pipe
        config = settings(kind, side, steps, dtype)
        config = replace(config, checkpoint=scratch, guidance=config.guidance if embedded else None)
        rows = approximate.compare(
            config, TorchEngine(device="cuda" if where == "cuda" else "cpu"), large(pictures(count), side)
        )
    return {name: row.get("why") or row for name, row in rows.items()}


def fewer(part: PublishedModel) -> PublishedModel:
    """The same widths with BLOCKS blocks of each kind; an autoencoder stays whole."""
    if part.kind.startswith("Autoencoder"):
        return part

    def cut(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {k: min(v, BLOCKS) if k in LAYERS else cut(v) for k, v in values.items()}

    config = cut(dict(part.config))
    vision = config.get("vision_config")
    if vision and "fullatt_block_indexes" in vision:
        vision["fullatt_block_indexes"] = [vision["depth"] - 1]
    return PublishedModel(part.kind, config)


def random_pipeline(kind: str, parts: Any, dtype: str, where: str) -> Any:
    """The tiny pipeline's tokenizers, processors and schedule with random models of these configurations."""
    tiny = load_pipeline(Path(assets_folder()) / "tiny" / FOLDERS[kind], kind)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[dtype])
    try:
        with torch.device(where):
            made = {name: model_of(part, tiny).eval() for name, part in parts.items()}
    finally:
        torch.set_default_dtype(before)
    pipe = type(tiny)(**(tiny.components | made))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def model_of(part: PublishedModel, tiny: Any) -> Any:
    import diffusers
    import transformers

    if hasattr(diffusers, part.kind):
        return getattr(diffusers, part.kind).from_config(dict(part.config))
    made = getattr(transformers, part.kind)
    config = dict(part.config)
    if "text_config" in config:  # the tokens that mark a picture are the tiny tokenizer's
        token = tiny.tokenizer.convert_tokens_to_ids
        own = tiny.text_encoder.config.text_config
        config |= {
            "text_config": config["text_config"]
            | {"rope_parameters": own.rope_parameters | {"mrope_section": sections(config["text_config"])}}
            | {"bos_token_id": None, "eos_token_id": token("<|im_end|>"), "pad_token_id": token("<|endoftext|>")},
            "image_token_id": token("<|image_pad|>"),
            "video_token_id": token("<|video_pad|>"),
            "vision_start_token_id": token("<|vision_start|>"),
            "vision_end_token_id": token("<|vision_end|>"),
        }
    return made(made.config_class(**config))


def sections(text: Any) -> list[int]:
    """How the channels of a head are shared by time, row and column: a quarter and three eighths twice."""
    half = text["hidden_size"] // text["num_attention_heads"] // 2
    return [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]


def large(work: Work, side: int) -> Work:
    return replace(work, images=[image.resize((side, side)) for image in work.images])


def timed(run: Callable[[Work], Any], work: Work, where: str, warm: bool = True) -> tuple[float, Any]:
    """Seconds of a call after one that warms up, and what it gave."""
    if warm:
        run(work)
    if where == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = run(work)
    if where == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


__all__ = ["BLOCKS", "TOLERANCE", "against_loop", "approximations", "fewer", "random_pipeline"]
