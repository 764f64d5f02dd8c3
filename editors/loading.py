"""Loads a diffusers pipeline from a folder or hub id, with the options that real hardware needs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from common.errors import BadData, BadInput, ImageEditError, MissingFile
from common.weights import check_finite
from editors.attention import use_attention
from editors.channels_last import use_channels_last
from editors.checkpoint import check_complete, check_pipeline, find_folder, read_header, weight_files
from editors.processor import vision_processor
from editors.quantize import pipeline_config

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OFFLOADS = ("none", "model", "sequential")
LIGHTNING_SCHEDULER = {  # published with the Qwen-Image-Lightning LoRAs; to be used with true_cfg=1 and 4 or 8 steps
    "base_image_seq_len": 256,
    "base_shift": math.log(3),
    "invert_sigmas": False,
    "max_image_seq_len": 8192,
    "max_shift": math.log(3),
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "shift_terminal": None,
    "stochastic_sampling": False,
    "time_shift_type": "exponential",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": True,
    "use_exponential_sigmas": False,
    "use_karras_sigmas": False,
}


@dataclass(frozen=True)
class LoadOptions:
    """How a pipeline is loaded and where it computes.

    `offload`: "model" moves one part at a time to `device`, "sequential" layer by layer (slow, smallest); `device_map`
    ("balanced") spreads the parts over all GPUs. `lora` is a safetensors file, a folder, or a hub id, `lora_weight_name` the
    file in it; `lightning` gives a Qwen pipeline the schedule of the Lightning LoRAs. `cache_threshold` above 0 turns
    FirstBlockCache on. It is an approximation and decides for a whole batch at once, so that a picture's result depends on its
    neighbours. `attention` is a name of `editors.attention`, "auto" or "" (left alone), and `masks` says that it has to hide
    padding; `quantization` one of `editors.quantize`.
    """

    dtype: str = "float32"
    device: str = "cpu"
    offload: str = "none"
    device_map: str | None = None
    lora: str | None = None
    lora_weight_name: str | None = None
    lora_scale: float = 1.0
    lightning: bool = False
    cache_threshold: float = 0.0
    vae_tiling: bool = False
    vae_channels_last: bool = False
    compile: bool = False
    attention: str = ""
    masks: bool = False
    quantization: str = "none"
    allow_download: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise BadInput(f"dtype={self.dtype} is unknown; choose {', '.join(DTYPES)}")
        if self.offload not in OFFLOADS:
            raise BadInput(f"offload={self.offload} is unknown; choose {', '.join(OFFLOADS)}")
        on_gpu = self.device.startswith("cuda")
        if (self.offload != "none" or self.device_map) and not on_gpu:
            raise BadInput(
                f"offload and device_map need a GPU to compute on, and device={self.device}; set device=cuda"
            )
        if self.offload != "none" and self.device_map:
            raise BadInput("offload and device_map exclude each other; choose one")
        if on_gpu and not torch.cuda.is_available():
            raise BadInput(f"device={self.device}, but torch sees no GPU; use device=cpu")
        if self.cache_threshold < 0:
            raise BadInput(f"cache_threshold={self.cache_threshold} must be 0 (off) or above")
        if self.compile and self.offload == "sequential":
            raise BadInput("offload=sequential moves layer by layer, which no compiled block allows; set compile=false")
        if self.quantization != "none" and (self.lora or self.offload == "sequential"):
            what = "a lora" if self.lora else "offload=sequential"
            raise BadInput(f"quantization={self.quantization} and {what} do not go together; choose one")
        if self.lora_weight_name and not self.lora:
            raise BadInput("lora_weight_name names a file in a lora folder; set lora too")


def load_pipeline(folder_or_id: str | Path, kind: str, options: LoadOptions | None = None) -> Any:
    """A diffusers pipeline of this kind of editor ("qwen", "flux_kontext"), its parts in evaluation mode.

    Raises MissingFile or BadData, naming the file, for whatever `editors.checkpoint` finds wrong, and BadInput for options
    that this kind or machine cannot do.
    """
    import diffusers

    options = options or LoadOptions()
    if options.lightning and kind != "qwen":
        raise BadInput(f"lightning=true is the schedule of LoRAs for Qwen-Image-Edit; {kind} has none")
    folder = find_folder(folder_or_id, options.allow_download)
    name = check_pipeline(folder, kind)
    lora = _find_lora(options)
    parts = _reading_parts(folder) if kind == "qwen" else {}
    if options.quantization != "none":
        parts["quantization_config"] = pipeline_config(options.quantization, kind, DTYPES[options.dtype])
    try:
        pipe = getattr(diffusers, name).from_pretrained(
            folder, dtype=DTYPES[options.dtype], device_map=options.device_map, local_files_only=True, **parts
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
        raise BadData(f"the pipeline in {folder} cannot be loaded ({type(error).__name__}: {error})") from error
    for part, module in pipe.components.items():
        if isinstance(module, torch.nn.Module):
            check_complete(module, weight_files(folder / part))
            check_finite(module, folder / part)
            module.eval()
    pipe.set_progress_bar_config(disable=True)
    if lora is not None:
        _add_lora(pipe, lora, options.lora_scale)
    configure(pipe, options)
    return pipe


def _reading_parts(folder: Path) -> dict[str, Any]:
    """Tokenizer and processor of a Qwen pipeline, the latter with the image processor that needs no torchvision, so that
    pictures are read alike on every machine."""
    from transformers import AutoTokenizer, Qwen2VLImageProcessorPil

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        images = Qwen2VLImageProcessorPil.from_pretrained(folder / "processor", local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{folder / 'tokenizer'} or {folder / 'processor'} cannot be read ({error})") from error
    return {"tokenizer": tokenizer, "processor": vision_processor(images, tokenizer)}


def configure(pipe: Any, options: LoadOptions) -> None:
    """Schedule, layouts, kernels and device of a loaded pipeline, in place."""
    from diffusers import FirstBlockCacheConfig, FlowMatchEulerDiscreteScheduler

    if options.lightning:
        pipe.scheduler = FlowMatchEulerDiscreteScheduler.from_config(LIGHTNING_SCHEDULER)
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if options.vae_channels_last:
        use_channels_last(pipe.vae)
    if options.attention:
        use_attention(pipe.transformer, options.attention, options.device, options.masks)
    if options.compile:
        pipe.transformer.compile_repeated_blocks()
    if options.cache_threshold > 0:
        pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=options.cache_threshold))
    match options.offload:
        case "model":
            pipe.enable_model_cpu_offload(device=options.device)
        case "sequential":
            pipe.enable_sequential_cpu_offload(device=options.device)
        case _ if options.device_map is None:
            pipe.to(options.device)


# ---------------------------------------------------------------------------------------------------------- LoRA
def _find_lora(options: LoadOptions) -> Path | None:
    """The LoRA's safetensors file, after checking that it is whole; None where no LoRA is configured."""
    if options.lora is None:
        return None
    path = Path(options.lora).expanduser()
    if not path.is_file():
        folder = find_folder(options.lora, options.allow_download, options.lora_weight_name)
        if options.lora_weight_name:
            path = folder / options.lora_weight_name
        else:
            files = sorted(folder.glob("*.safetensors"))
            if len(files) != 1:
                raise BadInput(
                    f"{folder} has {len(files)} safetensors files; say which one is the LoRA by lora_weight_name"
                    + (f": {', '.join(file.name for file in files)}" if files else "")
                )
            path = files[0]
    if not path.is_file():
        raise MissingFile(f"there is no LoRA at {path}; check lora and lora_weight_name")
    read_header(path)
    return path


def _add_lora(pipe: Any, file: Path, scale: float) -> None:
    try:
        pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="edit", local_files_only=True)
        loaded = sum(
            weight.numel()
            for module in pipe.components.values()
            if isinstance(module, torch.nn.Module)
            for name, weight in module.named_parameters()
            if ".edit." in name
        )
        held = sum(
            n for e in read_header(file).values() if (n := math.prod(e["shape"])) > 1
        )  # without the adapters' scales
        if loaded < held:  # loaders leave out weights that fit nowhere and only warn
            raise BadData(
                f"the LoRA {file} has {held:,} weights, of which {loaded:,} have a place here; it is of another model"
            )
        pipe.set_adapters(["edit"], adapter_weights=[scale])
        if why := _idle(pipe, scale):
            logger.warning("the LoRA %s changes no picture: %s", file, why)
    except ImageEditError:
        raise
    except Exception as error:  # peft and diffusers raise errors of many kinds for LoRAs of other models
        raise BadData(f"the LoRA {file} does not fit this pipeline ({type(error).__name__}: {error})") from error


def _idle(pipe: Any, scale: float) -> str:
    """Why the adapter adds nothing to any weight; "" where it adds something."""
    if scale == 0:
        return "lora_scale is 0"
    modules = [m for c in pipe.components.values() if isinstance(c, torch.nn.Module) for m in c.modules()]
    layers: list[Any] = [m for m in modules if "edit" in getattr(m, "lora_A", ())]
    pairs = [(m.lora_A["edit"].weight, m.lora_B["edit"].weight) for m in layers]
    if all(not up.any() for _, up in pairs):
        return "its B matrices are all zero, as before any training"
    if all(not (up.any() and down.any()) for down, up in pairs):
        return "in every layer its A or its B is zero"
    if all(m.scaling["edit"] == 0 for m in layers):
        return "its alpha is 0"
    return ""


__all__ = ["DTYPES", "LIGHTNING_SCHEDULER", "LoadOptions", "configure", "load_pipeline"]
