"""`editor.quantization`: the weights of an editor's large matrices in 8 or 4 bits, by diffusers' own quantizers.

The linear layers of the denoiser and of the largest text encoder are quantised while they are loaded; everything else (norms,
embeddings, autoencoder, CLIP) stays as it is. Pictures change, so that results with quantised weights are marked as approximate.

* int8 (torchao): each row of a matrix in 8 bits with one scale. Products are computed in the editor's own type.
* fp8 (torchao): weights and what they are multiplied with in 8-bit floats, row by row; GPUs of compute capability 8.9 or more.
* nf4 (bitsandbytes): 4-bit normal floats in blocks of 64 with scales in 8 bits (QLoRA, arXiv 2305.14314); needs a GPU.

Their weights cannot be trained: they have no gradients, and adapters could not be merged into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import BadInput

PARTS = {
    "qwen": ("transformer", "text_encoder"),
    "flux_kontext": ("transformer", "text_encoder_2"),
}  # by kind of editor
EXTRA = "quant"  # `make extra-quant`


@dataclass(frozen=True)
class Format:
    """`bytes_each`: of one weight with its share of the scales. `capability`: of the GPU that it needs; None: a CPU will do."""

    package: str
    bytes_each: float
    capability: tuple[int, int] | None = None


FORMATS: Mapping[str, Format] = {
    "int8": Format("torchao", 1.0),
    "fp8": Format("torchao", 1.0, (8, 9)),
    "nf4": Format("bitsandbytes", 0.5 + 1 / 64 + 4 / (64 * 256), (7, 5)),
}


def weight_bytes(size: Any, name: str, kind: str, element: int, quantization: str) -> float:
    """Of the part `name` of a pipeline of this kind of editor, of an `editors.parts.Size`; `element`: bytes of a weight that is
    not quantised. Scales of rows are not counted, a thousandth."""
    if quantization == "none" or name not in PARTS.get(kind, ()):
        return float(size.parameters * element)
    return (size.parameters - size.matrices) * element + size.matrices * FORMATS[quantization].bytes_each


def lacks(quantization: str, has_package: bool, capability: tuple[int, int] | None) -> str:
    """Why it cannot be used, and what to do; "" where it can. `capability`: of the GPU, None without one."""
    if quantization == "none":
        return ""
    wanted = FORMATS[quantization]
    if not has_package:
        return f"the package {wanted.package} for editor.quantization={quantization}: make extra-{EXTRA}"
    if wanted.capability is None or (capability is not None and capability >= wanted.capability):
        return ""
    here = f"this one has {capability[0]}.{capability[1]}" if capability else "torch sees no GPU"
    least = ".".join(map(str, wanted.capability))
    return (
        f"a GPU of compute capability {least} or more for editor.quantization={quantization} ({here}); "
        "editor.quantization=int8 runs anywhere"
    )


def pipeline_config(quantization: str, kind: str, dtype: Any) -> Any:
    """What diffusers' `from_pretrained` takes as quantization_config. Raises BadInput where the package is not installed."""
    from importlib.util import find_spec

    from diffusers import PipelineQuantizationConfig

    package = FORMATS[quantization].package
    if find_spec(package) is None:
        raise BadInput(f"editor.quantization={quantization} needs the package {package}: make extra-{EXTRA}")
    transformer, encoder = PARTS[kind]
    of_diffusers, of_transformers = (_nf4 if quantization == "nf4" else _torchao)(quantization, dtype)
    return PipelineQuantizationConfig(quant_mapping={transformer: of_diffusers, encoder: of_transformers})


def _torchao(quantization: str, dtype: Any) -> tuple[Any, Any]:
    import diffusers
    import transformers
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, Int8WeightOnlyConfig, PerRow

    how = Int8WeightOnlyConfig() if quantization == "int8" else Float8DynamicActivationFloat8WeightConfig(PerRow())
    return diffusers.TorchAoConfig(how), transformers.TorchAoConfig(how)


def _nf4(quantization: str, dtype: Any) -> tuple[Any, Any]:
    import diffusers
    import transformers

    how = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": dtype,
    }
    return diffusers.BitsAndBytesConfig(**how), transformers.BitsAndBytesConfig(**how)


__all__ = ["EXTRA", "FORMATS", "PARTS", "Format", "lacks", "pipeline_config", "weight_bytes"]
