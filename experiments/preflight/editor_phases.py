"""Memory of a diffusion editor that edits or is trained: the phases of an editor's stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from editors.costs import BYTES, transformer_training_activations, zero_bytes
from editors.estimate import Shapes, Workload, activation_bytes, shapes
from editors.parts import adapter_parameters, count_parameters
from editors.published import PublishedModel
from experiments.preflight.estimates import known_parts, workload


@dataclass(frozen=True)
class Edited:
    """An editor's models, and the shapes of one edit."""

    parts: Mapping[str, PublishedModel]
    work: Workload
    shapes: Shapes
    dtype: str

    @property
    def element(self) -> int:
        return BYTES[self.dtype]

    def weights(self, name: str) -> float:
        return float(count_parameters(self.parts[name]).parameters * self.element)

    @property
    def others(self) -> float:
        """Bytes of what is not trained: text encoders and VAE."""
        return sum(self.weights(name) for name in self.parts if name != "transformer")

    def activations(self, pictures: int) -> float:
        """Bytes at the worst moment of sampling so many pictures together, from the text to the picture."""
        work = replace(self.work, batch_size=pictures)
        return max(activation_bytes(work, self.parts, self.shapes, self.element).values())


def edited(editor: Any) -> Edited:
    """Raises MissingFile where nothing is known of its checkpoint, BadInput for a pipeline without formulas."""
    parts = known_parts(f"editor={editor.name}", editor.checkpoint, editor.source)
    work = workload(editor, exact=False)
    return Edited(parts, work, shapes(work, parts), editor.dtype)


def editing(editor: Any) -> dict[str, float]:
    """An editor that makes pictures, with its way of offloading."""
    from experiments.preflight.diffusion import need

    model = edited(editor)
    whole = sum(model.weights(name) for name in model.parts)
    known = replace(editor, parameters=whole / model.element, largest=model.weights("transformer") / model.element)
    weights, activations = need(known, editor.offload)
    return {"editor": weights, "activations": activations}


def kept_in_training(model: Edited, algo: Any, engine: Any, processes: int) -> dict[str, float]:
    """What Flow-GRPO and DiffusionNFT keep on each device in all their phases: the transformer and what is trained of it, text
    encoders and VAE once, and frozen copies. With adapters on whole weights a copy has adapters of its own alone."""
    parameters, rank = count_parameters(model.parts["transformer"]).parameters, algo.lora.rank
    trained = adapter_parameters(model.parts["transformer"], rank) if rank else parameters
    sharded = engine.distributed and not engine.whole_weights
    frozen = model.weights("transformer") if rank else 0.0
    if engine.distributed:
        held = zero_bytes(trained, processes, engine.stage, reference=False)
        own, gradients, optimizer = held.weights, held.gradients, held.optimizer
    else:
        own, gradients, optimizer = (trained * model.element * n for n in (1, 1, 2))
    copy = trained * model.element + (frozen if sharded else 0.0)
    reference = getattr(algo, "kl_coef", 0) > 0 or getattr(algo, "kl_log_edits", 0) > 0
    samples_elsewhere = sharded or not hasattr(algo, "kl_coef")  # DiffusionNFT samples from its old policy
    return {
        "transformer": own + (frozen / processes if sharded else frozen),
        "encoders and VAE": model.others,
        "gradients": gradients,
        "optimizer": optimizer,
        "reference": copy if reference else 0.0,
        "whole copy for rollouts": copy if samples_elsewhere else 0.0,
        "moving average": 4.0 * trained if hasattr(algo, "ema") and algo.ema.decay else 0.0,
    }


def backward(model: Edited, algo: Any) -> float:
    """Bytes that the backward of a micro-batch keeps: all its trained steps are one graph (rl/policies/flow.py)."""
    window = getattr(algo, "window_size", 1) or algo.sampling_steps - 1
    steps = max(1, round(window * getattr(algo, "trained_share", 1.0)))
    part, s = model.parts["transformer"], model.shapes
    each = transformer_training_activations(
        part.config, s.image, max(s.text), model.element, algo.gradient_checkpointing
    )
    return algo.micro_batch_size * steps * each


__all__ = ["Edited", "backward", "edited", "editing", "kept_in_training"]
