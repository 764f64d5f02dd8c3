"""The tiny models from nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conf.parts import part_field
from conf.schema.shared import PathsConfig


@dataclass
class VisionWarmupConfig:
    """First the vision tower alone learns to name what stands where (experiments/tiny/vision.py)."""

    steps: int = 2000
    batch_size: int = 64
    lr: float = 2e-3
    warmup: int = 200
    final_lr_share: float = 0.02  # the cosine decay of the learning rate ends at this share of lr
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    checkpoint_every: int = 250


@dataclass
class ColdStartConfig:
    """Then the whole model learns the format, the actions and copying, on part of the grammar (experiments/tiny/coldstart.py)."""

    steps: int = 5000
    batch_size: int = 32
    micro_batch_size: int = 16
    lr: float = 2e-3
    warmup: int = 100
    final_lr_share: float = 0.02
    second_steps: int = 1500  # of the second part, with longer and harder requests
    second_lr: float = 1e-3
    checkpoint_every: int = 250
    validate_every: int = 500
    validation_samples: int = 200


@dataclass
class AutoencoderConfig:
    """The VAE of a tiny diffusion editor (experiments/tiny/autoencoder.py)."""

    steps: int = 9000
    batch_size: int = 4
    lr: float = 4e-3
    warmup: int = 100
    decay_share: float = 0.4  # of the steps, in which the learning rate goes down to 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    latent_noise: float = 0.1  # standard deviation added to latents of unit scale: an editor's latents are never exact
    edge_weight: float = 0.5  # of the differences of neighbouring pixels
    scale_weight: float = 1e-4  # of the latents' mean square
    checkpoint_every: int = 250


@dataclass
class FlowMatchingConfig:
    """Flow matching of a tiny diffusion editor (experiments/tiny/flow_matching.py), and how it is judged."""

    steps: int = 12000
    batch_size: int = 32
    lr: float = 2e-3
    warmup: int = 200
    decay_share: float = 0.45
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    dropout: float = 0.1  # share of pairs without instruction, for classifier-free guidance
    long_share: float = 0.25  # of batches whose instructions FLUX pads to the full length
    time_mean: float = 1.5  # of the logits of flow matching's times: most are near the noise, where the edit is decided
    time_std: float = 1.5
    readout_weight: float = (
        0.1  # of the read-outs inside the model (experiments/tiny/readout.py); falls to 0 over the steps
    )
    ema: float = 0.998
    euler_steps: int = 8  # when judging
    checkpoint_every: int = 250
    validate_every: int = 1000
    validation_samples: int = 100
    test_samples: int = 400


@dataclass
class PretrainConfig:
    """`python -m experiments.pretrain`: the tiny models from nothing."""

    editor: Any = part_field()  # editor=qwen or editor=flux_kontext: this one; none: the decomposer
    out: str = ""  # empty: its place under ${paths.assets}/tiny
    work: str = ""  # checkpoints and logs; the same command goes on from here. Empty: ${paths.outputs}/pretrain-<name>
    seed: int = 0
    verbose: bool = False
    vision: VisionWarmupConfig = field(default_factory=VisionWarmupConfig)
    start: ColdStartConfig = field(default_factory=ColdStartConfig)
    vae: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    flow: FlowMatchingConfig = field(default_factory=FlowMatchingConfig)
    decomposer: Any = part_field()
    engine: Any = part_field()
    paths: PathsConfig = field(default_factory=PathsConfig)


__all__ = ["AutoencoderConfig", "ColdStartConfig", "FlowMatchingConfig", "PretrainConfig", "VisionWarmupConfig"]
