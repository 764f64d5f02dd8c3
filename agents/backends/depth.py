"""The same model with fewer or more layers: sizes of one family to compare, without another checkpoint.

More layers are blocks that do nothing at first, as in LLaMA Pro (arXiv 2401.02415): copies of the last one whose output
projections are 0, so that the model answers as before and the new weights have gradients from the first step. Fewer layers are
the first ones and the last one, as in ShortGPT (arXiv 2403.03853); the model has to be trained before it is of use.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from torch import Tensor

from agents.backends.vlm import VLM
from common.errors import BadInput

LAYER = re.compile(r"^(.*language_model\.layers\.)(\d+)(\..*)$")
OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")  # what a block adds to the stream of activations


def with_layers(vlm: VLM, layers: int) -> VLM:
    """`vlm` itself where it has so many layers. Raises BadInput for less than two."""
    there = vlm.model.config.text_config.num_hidden_layers
    if layers == there:
        return vlm
    if layers < 2:
        raise BadInput(f"a model of {layers} layer(s) has no first and last one; take 2 layers or more")
    sources = [*range(layers - 1), there - 1] if layers < there else [min(i, there - 1) for i in range(layers)]
    config = copy.deepcopy(vlm.model.config)
    config.text_config.num_hidden_layers = layers
    if types := getattr(config.text_config, "layer_types", None):  # not every family has it
        config.text_config.layer_types = [types[i] for i in sources]
    model = type(vlm.model)(config)
    model.load_state_dict(_moved(vlm.model.state_dict(), sources, there))
    model.generation_config = vlm.model.generation_config
    model = model.to(vlm.model.device, vlm.model.dtype).eval()
    return VLM(model, vlm.tokenizer, vlm.image_processor, vlm.path)


def _moved(state: dict[str, Tensor], sources: list[int], there: int) -> dict[str, Tensor]:
    """Weights of the new model: layer i has those of layer `sources[i]`; layers behind the last one add nothing."""
    found: dict[str, Any] = {}
    for name, weight in state.items():
        match = LAYER.match(name)
        if match is None:
            found[name] = weight
            continue
        head, number, rest = match.groups()
        for i, source in enumerate(sources):
            if source == int(number):
                idle = i >= there and rest.removeprefix(".") in OUTPUTS
                found[f"{head}{i}{rest}"] = weight.new_zeros(weight.shape) if idle else weight
    return found


__all__ = ["with_layers"]
