"""What an editor needs before anything starts: its files whole, room for it, its key. Every finding is one line that says
what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from common.errors import ImageEditError, MissingFile
from conf.schema import DecomposerConfig, EditConfig, EditorConfig, RunConfig, SequencerConfig
from editors.costs import BYTES
from experiments.preflight.estimates import FLOW, workload
from experiments.preflight.machine import GIB, KEY_HELP, free_disk, free_gpu_memories, free_memory

API = ("nano_banana", "gpt_image")
LAYER_BYTES = 2 * GIB  # of the largest layer with room for the next one: what offload=sequential keeps on the GPU
PICTURE_BYTES = 2 * 2**20  # of one reply in the cache of an API editor


def missing_editor(config: EditorConfig) -> Iterator[str]:
    """Files, settings that contradict the checkpoint, and keys."""
    if config.kind in FLOW:
        yield from wrong_settings(config)
        yield from missing_checkpoint(config)
        yield from missing_lora(config)
    if config.kind in API and not os.environ.get(config.api.key_env):
        help_ = KEY_HELP.get(config.api.key_env, "see its provider")
        yield f"key {config.api.key_env} in the environment, for editor={config.name}: {help_}"


def wrong_settings(config: EditorConfig) -> Iterator[str]:
    from experiments.build.editors import flow_settings

    try:
        flow_settings(config)
    except ImageEditError as error:
        yield f"settings that work for editor={config.name}: {error}"
    if config.dtype not in BYTES:
        yield f"settings that work for editor={config.name}: editor.dtype={config.dtype} is unknown; choose {', '.join(BYTES)}"


def missing_checkpoint(config: EditorConfig) -> Iterator[str]:
    from editors.checkpoint import check_pipeline, find_folder

    of = f"weights of the editor {config.name}"
    how = f": {config.source}" if config.source else ""
    if config.allow_download and not Path(config.checkpoint).is_dir():
        return  # loading fetches it
    try:
        folder = find_folder(config.checkpoint)
    except MissingFile:
        licence = f" (licence: {config.licence})" if config.licence else ""
        yield f"{of}: {config.checkpoint} is no folder here and not in the local Hub cache{how}{licence}"
        return
    except ImageEditError as error:
        yield f"{of}: {error}"
        return
    try:
        found = check_pipeline(folder, config.kind)
    except ImageEditError as error:
        yield f"{of}: {error}{how}"
        return
    if config.pipeline and found != config.pipeline:
        yield (
            f"{of}: {folder} holds a {found} and editor.pipeline={config.pipeline} was expected; "
            "set editor.checkpoint or editor.pipeline"
        )
    yield from wrong_guidance(config, folder)


def wrong_guidance(config: EditorConfig, folder: Path) -> Iterator[str]:
    """A guidance that the checkpoint has no input for, or lacks; loading would refuse it, but only after the training."""
    from editors.parts import parts_of

    transformer = parts_of(folder).get("transformer")
    embedded = transformer is not None and bool(transformer.config.get("guidance_embeds"))
    if embedded and config.guidance is None:
        yield f"a value for editor.guidance: {folder} was distilled with a guidance input (FLUX Kontext: editor.guidance=2.5)"
    if not embedded and config.guidance is not None:
        yield f"a guidance input in {folder}: it has none, so set editor.guidance=null and guide by editor.true_cfg"


def missing_lora(config: EditorConfig) -> Iterator[str]:
    from editors.checkpoint import find_folder, read_header

    if config.lora is None or config.allow_download:
        return
    try:
        path = Path(config.lora).expanduser()
        if not path.is_file():
            path = find_folder(config.lora)
            path = path / config.lora_weight_name if config.lora_weight_name else path
        if path.is_file():
            read_header(path)
        elif config.lora_weight_name:
            yield f"LoRA of the editor {config.name}: there is no {path}; set editor.lora_weight_name or get the file"
    except MissingFile:
        name = config.lora_weight_name or ""
        yield f"LoRA of the editor {config.name}: {config.lora} is not here: hf download {config.lora} {name}".rstrip()
    except ImageEditError as error:
        yield f"LoRA of the editor {config.name}: {error}"


# -------------------------------------------------------------------------------------------------------------- room
def missing_editor_memory(config: RunConfig | EditConfig) -> Iterator[str]:
    """Free memory against weights and activations of the editor with the decomposer beside it. Small ones
    (`editor.parameters` 0) are not checked."""
    editor = config.editor
    if editor.kind not in FLOW or not editor.parameters or editor.dtype not in BYTES:
        return
    gpus = free_gpu_memories(bool(editor.device_map)) if config.engine.device != "cpu" else []
    beside = decomposer_bytes(config.decomposer, config.sequencer)
    if not gpus:
        if editor.offload != "none" or editor.device_map:
            asked = f"device_map={editor.device_map}" if editor.device_map else f"offload={editor.offload}"
            yield (
                f"a GPU for editor={editor.name}: editor.{asked} moves models to one and torch sees none; on the CPU set "
                "editor.offload=none editor.device_map=null"
            )
        yield from too_little("memory", editor, "none", beside, free_memory(), "")
        return
    room = sum(gpus)
    less = [o for o in ("model", "sequential") if sum(need(editor, o)) < sum(need(editor, editor.offload))]
    fitting = [o for o in less if sum(need(editor, o)) + beside <= room]
    advice = f"; editor.offload={fitting[0]} fits" if fitting else ""
    yield from too_little("GPU memory", editor, editor.offload, beside, room, advice)
    if editor.offload != "none":
        weights = editor.parameters * BYTES[editor.dtype]
        if weights > (free := free_memory()):
            yield (
                f"memory for editor={editor.name}: offload={editor.offload} keeps its {weights / GIB:.0f} GiB of weights in main "
                f"memory, {free / GIB:.0f} GiB are free"
            )


def too_little(what: str, editor: EditorConfig, offload: str, beside: float, room: float, advice: str) -> Iterator[str]:
    """One line where `room` bytes do not hold the editor."""
    weights, activations = need(editor, offload)
    needed = weights + activations + beside
    if needed <= room:
        return
    decomposer = f", the decomposer beside it {beside / GIB:.0f}" if beside else ""
    smaller = "; fewer pictures at a time need less: editor.batch_size=1" if editor.batch_size > 1 else ""
    yield (
        f"{what} for editor={editor.name}: about {needed / GIB:.0f} GiB are needed (weights {weights / GIB:.0f}, activations "
        f"{activations / GIB:.0f}{decomposer}), {room / GIB:.0f} GiB are free{advice}{smaller}"
    )


def need(editor: EditorConfig, offload: str) -> tuple[float, float]:
    """Bytes of weights and of activations on the device at the worst moment of an edit."""
    weights, largest = (n * BYTES[editor.dtype] for n in (editor.parameters, editor.largest or editor.parameters))
    phases = activations(editor)
    others = max((held for phase, held in phases.items() if phase != "denoising"), default=0.0)
    denoising = phases.get("denoising", 0.0)
    if offload == "none":
        return weights, max(others, denoising)
    if offload == "sequential":
        return min(LAYER_BYTES, weights), max(others, denoising)
    # one model at a time: the largest, which is the denoiser, or another one
    return max((largest, denoising), (weights - largest, others), key=sum)


def activations(editor: EditorConfig) -> dict[str, float]:
    """Bytes besides the weights in each phase, where the checkpoint's configuration is known; else nothing."""
    from editors.estimate import activation_bytes, shapes
    from editors.parts import parts_of

    try:
        parts, work = parts_of(editor.checkpoint), workload(editor, exact=False)
        return activation_bytes(work, parts, shapes(work, parts), BYTES[editor.dtype])
    except ImageEditError:
        return {}  # what is wrong with the checkpoint is said elsewhere


def decomposer_bytes(config: DecomposerConfig, sequencer: SequencerConfig) -> float:
    """The decomposer's weights, twice where the sequencer is its own backbone from before RL."""
    return config.parameters * BYTES.get(config.dtype, 4) * (1 + (sequencer.name == "vlm"))


def missing_cache_room(config: RunConfig) -> Iterator[str]:
    """Disk for the replies of an API editor: what could not be kept would be paid for again."""
    if config.editor.kind not in API or not config.editor.api.cache:
        return
    calls = 3 * config.scale.test_samples * (config.benchmark.max_edits if config.execution.name == "multi" else 1)
    needed, (place, free) = calls * PICTURE_BYTES, free_disk(config.editor.api.cache)
    if free < needed:
        yield (
            f"disk for the replies of editor={config.editor.name}: up to {calls} pictures, {needed / GIB:.1f} GiB; {place} has "
            f"{free / GIB:.1f} GiB free; choose another place: editor.api.cache=<folder>"
        )


__all__ = ["missing_cache_room", "missing_editor", "missing_editor_memory"]
