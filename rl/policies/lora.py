"""LoRA (arXiv 2106.09685, section 4.1) by peft: W is frozen, the model uses W + (alpha / rank) B A, and only A and B are trained.

Only the model under training has adapters. The saved model, and rollouts by an engine that has no slot for adapters, get merged
weights under their usual names, so that nothing else needs to know about adapters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.backends.families import Family
from agents.backends.lora import is_adapter
from common.errors import BadInput
from rl.policies.base import Gather, Named

# every linear layer of a block of the decoder, by its name; those of the vision tower differ from family to family
LANGUAGE = r"model\.language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
BLOCK = re.compile(r"(\w+_)?transformer_blocks\.\d+\.")  # of the diffusion transformers of diffusers


@dataclass(frozen=True)
class Lora:
    """`rank` of the update of each matrix; `alpha / rank` is its scale."""

    rank: int
    alpha: int

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0:
            raise BadInput(f"LoRA needs a rank of at least 1 and a positive alpha, not {self.rank} and {self.alpha}")

    def attach(self, model: nn.Module, family: Family, vision: bool) -> None:
        """Put adapters beside the linear layers of the language model, and of the vision tower where `vision`; freeze all
        else. B starts at 0, so that the model computes what it did before. A starts with the same values in every process."""
        tower = r"model\.visual\.blocks\.\d+\." + f"({'|'.join(map(re.escape, family.vision_linear))})"
        self._inject(model, f"{LANGUAGE}|{tower}" if vision else LANGUAGE)

    def attach_to_blocks(self, transformer: nn.Module) -> None:
        """The same for a diffusion transformer: beside every linear layer of its blocks, modulation included. Raises BadInput
        where it has none."""
        names = [n for n, m in transformer.named_modules() if isinstance(m, nn.Linear) and BLOCK.match(n)]
        if not names:
            raise BadInput(
                f"{type(transformer).__name__} has no blocks with linear layers for adapters; set lora.rank=0"
            )
        self._inject(transformer, "|".join(map(re.escape, names)))

    def _inject(self, model: nn.Module, targets: str) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = LoraConfig(r=self.rank, lora_alpha=self.alpha, lora_dropout=0.0, target_modules=targets)
            inject_adapter_in_model(config, model)

    def export(self, gather: Gather) -> Named:
        """The merged weights of what an engine gathers (`Policy.export`)."""
        return self.merge(gather(lambda name: True), {name: value.clone() for name, value in gather(is_adapter)})

    def merge(self, named: Iterable[tuple[str, Tensor]], adapters: Mapping[str, Tensor]) -> Named:
        """The weights of a model with adapters as those of one without, one at a time; the sum is made in fp32."""
        for name, value in named:
            if is_adapter(name):
                continue
            module, adapted, kind = name.rpartition(".base_layer.")
            if adapted and kind == "weight":
                a, b = (adapters[f"{module}.lora_{x}.default.weight"].to(value.device).float() for x in "AB")
                value = (value.float() + self.alpha / self.rank * (b @ a)).to(value.dtype)
            yield (f"{module}.{kind}" if adapted else name), value


__all__ = ["Lora", "is_adapter"]
