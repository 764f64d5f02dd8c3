"""Memory of a vision-language model that is trained, drawn from, or asked: the phases of a reward model's stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.backends.buckets import KEPT_BYTES, column_bucket, row_bucket
from agents.backends.families import FAMILIES
from common.errors import BadInput
from common.gpus import GIB
from editors.costs import BYTES, kv_cache, one_device_bytes, training_activations, zero_bytes
from editors.parts import count_parameters
from editors.published import PublishedModel
from experiments.preflight.adapter_slot import slot_of
from experiments.preflight.estimates import known_parts
from experiments.preflight.output_layer import is_frozen, output_layer_bytes

# of instruction and evaluation points, or of a session's requests: assumed, ten sentences of up to 30 tokens and the prompt's words
POINTS_TOKENS = 500


@dataclass(frozen=True)
class Trained:
    """A model, and the lengths of what it reads and writes, in tokens."""

    part: PublishedModel
    dtype: str
    prompt: int
    answer: int

    @property
    def parameters(self) -> int:
        return count_parameters(self.part).parameters

    @property
    def weights(self) -> float:
        return float(self.parameters * BYTES[self.dtype])

    def activations(self, sequences: int, checkpointing: bool, frozen_layer: bool = False) -> float:
        """Bytes of the forward and backward of so many sequences, each with its own prompt. `frozen_layer`: that of the outputs."""
        element = BYTES[self.dtype]
        kept = training_activations(self.part.config, self.prompt + self.answer, element, checkpointing)
        logits = output_layer_bytes(self.part.config, sequences * self.answer, element, frozen_layer)
        return sequences * kept + sum(logits.values())

    def update(self, algo: Any) -> float:
        """`activations` of a micro-batch of this algorithm."""
        return self.activations(algo.micro_batch_size, algo.gradient_checkpointing, is_frozen(algo))


def reward_model(config: Any) -> Trained:
    """The reward model of a run, which sees two pictures. Raises MissingFile where nothing is known of its checkpoint, BadInput for
    another family."""
    return _model(config, "rrm", config.rrm.start, pictures=2)


def intent_writer(config: Any) -> Trained:
    """The writer of intents, which sees one picture. Raises as `reward_model`."""
    return _model(config, "intent", config.intent.checkpoint, pictures=1)


def _model(config: Any, group: str, checkpoint: str, pictures: int) -> Trained:
    c = getattr(config, group)
    part = known_parts(f"{group}={c.name}", checkpoint, c.source).get("model")
    if part is None or part.kind not in {family.model_class for family in FAMILIES}:
        raise BadInput(
            f"{checkpoint} is none of the families whose sizes are known: {', '.join(f.title for f in FAMILIES)}"
        )
    vision = part.config["vision_config"]
    side = vision["patch_size"] * vision["spatial_merge_size"]
    picture = max(1, (c.max_pixels or config.scale.image_size**2) // side**2)
    return Trained(part, c.dtype, pictures * picture + POINTS_TOKENS, c.max_new_tokens)


def supervised(model: Trained, sft: Any) -> dict[str, float]:
    """Supervised training in one process: the weights' own type for everything (`one_device_bytes`)."""
    held = one_device_bytes(model.parameters, BYTES[model.dtype], reference=False)
    return {
        "weights": held.weights,
        "gradients": held.gradients,
        "optimizer": held.optimizer,
        "activations": model.activations(min(sft.micro_batch_size, sft.batch_size), sft.gradient_checkpointing),
    }


def kept_in_training(model: Trained, algo: Any, engine: Any, processes: int) -> dict[str, float]:
    """What text GRPO, GCPO and session RL keep on each device in all their phases; with adapters it is less."""
    reference = algo.kl_coef > 0 or getattr(algo, "kl_log_sequences", 0) > 0
    if engine.distributed:
        held = zero_bytes(model.parameters, processes, engine.stage, reference)
    else:
        held = one_device_bytes(model.parameters, BYTES[model.dtype], reference)
    own = not engine.whole_weights or algo.lora.rank > 0 or getattr(algo, "max_offpolicy_steps", 0) > 0
    return {
        "weights": held.weights,
        "gradients": held.gradients,
        "optimizer": held.optimizer,
        "reference": held.reference,
        "whole copy for rollouts": model.weights if own else 0.0,
    }


def engine_bytes(
    model: Trained, rollouts: Any, sequences: int, asked: bool = True, algo: Any = None
) -> dict[str, float]:
    """What answers beside the model itself: vLLM's own weights and cache while it is `asked`, and at other times unless it sleeps,
    with a slot for the adapters of `algo`, where it trains some; with transformers the keys and values of a batch, which CUDA
    graphs keep while nobody asks where they are few."""
    if rollouts.name == "vllm":
        there = asked or not rollouts.sleep
        return {
            "vLLM's weights": model.weights if there else 0.0,
            "vLLM's adapters": slot_of(model.part.config, algo, rollouts, BYTES[model.dtype])
            if there and algo
            else 0.0,
            "keys and values": rollouts.cache_gib * GIB if there else 0.0,
        }
    rows, columns, kept = min(rollouts.batch_size, sequences), model.prompt + model.answer, 0.0
    if getattr(rollouts, "graphs", False) is not False:  # a part of one's own may have no such key
        rows, columns = row_bucket(rows), column_bucket(columns)
        kept = KEPT_BYTES
    held = rows * kv_cache(model.part.config, columns, BYTES[model.dtype])
    return {"keys and values": held if asked or held <= kept else 0.0}


__all__ = ["Trained", "engine_bytes", "intent_writer", "kept_in_training", "reward_model", "supervised"]
