"""What a diffusion editor needs before anything starts: its files whole, and room for it. Every finding is one line that
says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ImageEditError, MissingFile
from common.parts import Machine
from editors.costs import BYTES
from editors.quantize import FORMATS, lacks, weight_bytes
from editors.settings import ATTENTION_PACKAGES
from experiments.preflight.estimates import workload

if TYPE_CHECKING:
    from experiments.build.editors import DiffusionEditor

GIB = 2**30
LAYER_BYTES = 2 * GIB  # of the largest layer with room for the next one: what offload=sequential keeps on the GPU


def missing_files(config: DiffusionEditor) -> Iterator[str]:
    """Files that are not there or damaged, and settings that contradict the checkpoint."""
    yield from missing_kernels(config)
    yield from missing_checkpoint(config)
    yield from missing_lora(config)


def missing_kernels(config: DiffusionEditor) -> Iterator[str]:
    """Packages and GPUs that quantised weights and attention kernels need."""
    from experiments.preflight.machine import has_package

    if config.quantization != "none":
        package = FORMATS[config.quantization].package
        if why := lacks(config.quantization, has_package(package), gpu_capability()):
            yield why
    package = ATTENTION_PACKAGES.get(config.attention, "")
    if package and not has_package(package):
        yield f"the package {package} for editor.attention={config.attention}; editor.attention=auto takes what is there"


def gpu_capability() -> tuple[int, int] | None:
    """Of the first GPU; None without one."""
    import torch

    return torch.cuda.get_device_capability() if torch.cuda.is_available() else None


def missing_checkpoint(config: DiffusionEditor) -> Iterator[str]:
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
        pipeline = check_pipeline(folder, config.kind)
    except ImageEditError as error:
        yield f"{of}: {error}{how}"
        return
    if config.pipeline and pipeline != config.pipeline:
        yield (
            f"{of}: {folder} holds a {pipeline} and editor.pipeline={config.pipeline} was expected; "
            "set editor.checkpoint or editor.pipeline"
        )
    yield from wrong_guidance(config, folder)


def wrong_guidance(config: DiffusionEditor, folder: Path) -> Iterator[str]:
    """A guidance that the checkpoint has no input for, or lacks; loading would refuse it, but only after the training."""
    from editors.parts import parts_of

    transformer = parts_of(folder).get("transformer")
    embedded = transformer is not None and bool(transformer.config.get("guidance_embeds"))
    if embedded and config.guidance is None:
        yield f"a value for editor.guidance: {folder} was distilled with a guidance input (FLUX Kontext: editor.guidance=2.5)"
    if not embedded and config.guidance is not None:
        yield f"a guidance input in {folder}: it has none, so set editor.guidance=null and guide by editor.true_cfg"


def missing_lora(config: DiffusionEditor) -> Iterator[str]:
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
def missing_memory(editor: DiffusionEditor, machine: Machine, beside: float, device: str) -> Iterator[str]:
    """Free memory against weights and activations of the editor with `beside` bytes of other models. Small ones
    (`editor.parameters` 0) are not checked."""
    if not editor.parameters:
        return
    gpus = machine.free_gpu_memories(bool(editor.device_map)) if device != "cpu" else []
    if not gpus:
        if editor.offload != "none" or editor.device_map:
            setting = f"device_map={editor.device_map}" if editor.device_map else f"offload={editor.offload}"
            yield (
                f"a GPU for editor={editor.name}: editor.{setting} moves models to one and torch sees none; on the CPU set "
                "editor.offload=none editor.device_map=null"
            )
        yield from too_little("memory", editor, "none", beside, machine.free_memory(), "")
        return
    room = sum(gpus)
    less = [o for o in ("model", "sequential") if sum(need(editor, o)) < sum(need(editor, editor.offload))]
    fitting = [o for o in less if sum(need(editor, o)) + beside <= room]
    advice = f"; editor.offload={fitting[0]} fits" if fitting else ""
    yield from too_little("GPU memory", editor, editor.offload, beside, room, advice)
    if editor.offload != "none":
        weights = editor.parameters * BYTES[editor.dtype]
        if weights > (free := machine.free_memory()):
            yield (
                f"memory for editor={editor.name}: offload={editor.offload} keeps its {weights / GIB:.0f} GiB of weights in main "
                f"memory, {free / GIB:.0f} GiB are free"
            )


def too_little(
    what: str, editor: DiffusionEditor, offload: str, beside: float, room: float, advice: str
) -> Iterator[str]:
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


def need(editor: DiffusionEditor, offload: str) -> tuple[float, float]:
    """Bytes of weights and of activations on the device at the worst moment of an edit."""
    kept, kept_largest = quantized_shares(editor)
    weights = editor.parameters * BYTES[editor.dtype] * kept
    largest = (editor.largest * kept_largest or editor.parameters * kept) * BYTES[editor.dtype]
    phases = activations(editor)
    others = max((held for phase, held in phases.items() if phase != "denoising"), default=0.0)
    denoising = phases.get("denoising", 0.0)
    if offload == "none":
        return weights, max(others, denoising)
    if offload == "sequential":
        return min(LAYER_BYTES, weights), max(others, denoising)
    # one model at a time: the largest, which is the denoiser, or another one
    return max((largest, denoising), (weights - largest, others), key=sum)


def quantized_shares(editor: DiffusionEditor) -> tuple[float, float]:
    """What quantization leaves of the bytes of all weights, and of the denoiser's."""
    if editor.quantization == "none":
        return 1.0, 1.0
    from editors.parts import count_parameters, parts_of

    try:
        sizes = {name: count_parameters(part) for name, part in parts_of(editor.checkpoint).items()}
    except ImageEditError:
        return 1.0, 1.0  # what is wrong with the checkpoint is said elsewhere
    element = BYTES[editor.dtype]
    after = {n: weight_bytes(size, n, editor.kind, element, editor.quantization) for n, size in sizes.items()}
    before = {name: size.parameters * element for name, size in sizes.items()}
    return sum(after.values()) / sum(before.values()), after["transformer"] / before["transformer"]


def activations(editor: DiffusionEditor) -> dict[str, float]:
    """Bytes besides the weights in each phase, where the checkpoint's configuration is known; else nothing."""
    from editors.estimate import activation_bytes, shapes
    from editors.parts import parts_of

    try:
        parts, work = parts_of(editor.checkpoint), workload(editor, exact=False)
        return activation_bytes(work, parts, shapes(work, parts), BYTES[editor.dtype])
    except ImageEditError:
        return {}  # what is wrong with the checkpoint is said elsewhere


__all__ = ["missing_files", "missing_memory"]
