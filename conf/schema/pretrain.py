"""The tiny models from nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from common.ranges import MANY, number, seed_number
from conf.parts import part_field
from conf.schema.shared import PathsConfig


@dataclass
class VisionWarmupConfig:
    """First the vision tower alone learns to name what stands where (experiments/tiny/vision.py)."""

    steps: int = number(2000, 1, MANY)
    batch_size: int = number(64, 1, 100_000)
    lr: float = number(2e-3, 0, 10)
    warmup: int = number(200, 0, MANY)
    final_lr_share: float = number(0.02, 0, 1)  # the cosine decay of the learning rate ends at this share of lr
    weight_decay: float = number(0.01, 0, 10)
    max_grad_norm: float = number(1.0, 0, 1e9, above=True)
    checkpoint_every: int = number(250, 1, MANY)


@dataclass
class StartConfig:
    """Then the whole model is trained on examples, by the recipe of its configuration."""

    steps: int = number(5000, 1, MANY)
    batch_size: int = number(32, 1, 100_000)
    micro_batch_size: int = number(16, 1, 100_000)
    lr: float = number(2e-3, 0, 10)
    warmup: int = number(100, 0, MANY)
    final_lr_share: float = number(0.02, 0, 1)
    checkpoint_every: int = number(250, 1, MANY)
    validate_every: int = number(500, 1, MANY)
    validation_samples: int = number(200, 1, 1_000_000)


@dataclass
class DirectStartConfig(StartConfig):
    """decomposer=tiny: to say what it sees, and to answer requests said in full (experiments/tiny/directstart.py)."""

    steps: int = number(3000, 1, MANY)
    validate_every: int = number(600, 1, MANY)


@dataclass
class ColdStartConfig(StartConfig):
    """decomposer=tiny_sft: the format, the actions and copying, on part of the grammar (experiments/tiny/coldstart.py)."""

    second_steps: int = number(1500, 0, MANY)  # of the second part, with longer and harder requests
    second_lr: float = number(1e-3, 0, 10)


@dataclass
class SeeingConfig(StartConfig):
    """rrm=tiny: the decomposer learns to say what two pictures show (experiments/tiny/seeing.py)."""

    steps: int = number(900, 1, MANY)
    micro_batch_size: int = number(8, 1, 100_000)  # of like length: at 32 a third of the tokens would be padding
    form_steps: int = number(1500, 0, MANY)  # then the form of a trace
    form_lr: float = number(1e-3, 0, 10)
    validation_samples: int = number(64, 1, 1_000_000)


@dataclass
class IntentStartConfig(StartConfig):
    """intent=tiny: the decomposer learns to write intents (experiments/tiny/intents.py)."""

    steps: int = number(500, 1, MANY)
    lr: float = number(1e-3, 0, 10)
    micro_batch_size: int = number(32, 1, 100_000)
    validation_samples: int = number(300, 1, 1_000_000)


@dataclass
class AutoencoderConfig:
    """The VAE of a tiny diffusion editor (experiments/tiny/autoencoder.py)."""

    steps: int = number(9000, 1, MANY)
    batch_size: int = number(4, 1, 100_000)
    lr: float = number(4e-3, 0, 10)
    warmup: int = number(100, 0, MANY)
    decay_share: float = number(0.4, 0, 1)  # of the steps, in which the learning rate goes down to 0
    weight_decay: float = number(0.0, 0, 10)
    max_grad_norm: float = number(1.0, 0, 1e9, above=True)
    # standard deviation added to latents of unit scale: an editor's latents are never exact
    latent_noise: float = number(0.1, 0, 100)
    edge_weight: float = number(0.5, 0, 1e6)  # of the differences of neighbouring pixels
    scale_weight: float = number(1e-4, 0, 1e6)  # of the latents' mean square
    checkpoint_every: int = number(250, 1, MANY)


@dataclass
class FlowMatchingConfig:
    """Flow matching of a tiny diffusion editor (experiments/tiny/flow_matching.py), and how it is judged."""

    steps: int = number(12000, 1, MANY)
    batch_size: int = number(32, 1, 100_000)
    lr: float = number(2e-3, 0, 10)
    warmup: int = number(200, 0, MANY)
    decay_share: float = number(0.45, 0, 1)
    weight_decay: float = number(0.01, 0, 10)
    max_grad_norm: float = number(1.0, 0, 1e9, above=True)
    dropout: float = number(0.1, 0, 1)  # share of pairs without instruction, for classifier-free guidance
    long_share: float = number(0.25, 0, 1)  # of batches whose instructions FLUX pads to the full length
    # of the logits of flow matching's times: most are near the noise, where the edit is decided
    time_mean: float = number(1.5, -100, 100)
    time_std: float = number(1.5, 0, 100, above=True)
    # of the read-outs inside the model (experiments/tiny/readout.py); falls to 0 over the steps
    readout_weight: float = number(0.1, 0, 1e6)
    ema: float = number(0.998, 0, 1, below=True)
    euler_steps: int = number(8, 1, 1000)  # when judging
    checkpoint_every: int = number(250, 1, MANY)
    validate_every: int = number(1000, 1, MANY)
    validation_samples: int = number(100, 1, 1_000_000)
    test_samples: int = number(400, 1, 1_000_000)


@dataclass
class PretrainConfig:
    """`python -m experiments.pretrain`: the tiny models from nothing."""

    editor: Any = part_field()  # editor=qwen or editor=flux_kontext: this one; none: the decomposer
    rrm: Any = part_field()  # rrm=tiny: the reward model's start, from the decomposer
    intent: Any = part_field()  # intent=tiny: the intent writer's start, from the decomposer
    out: str = ""  # empty: its place under ${paths.assets}/tiny
    work: str = ""  # checkpoints and logs; the same command goes on from here. Empty: ${paths.outputs}/pretrain-<name>
    seed: int = seed_number()
    verbose: bool = False  # show what libraries print
    vision: VisionWarmupConfig = field(default_factory=VisionWarmupConfig)
    direct: DirectStartConfig = field(default_factory=DirectStartConfig)
    start: ColdStartConfig = field(default_factory=ColdStartConfig)
    seeing: SeeingConfig = field(default_factory=SeeingConfig)
    intents: IntentStartConfig = field(default_factory=IntentStartConfig)
    vae: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    flow: FlowMatchingConfig = field(default_factory=FlowMatchingConfig)
    decomposer: Any = part_field()
    engine: Any = part_field()
    paths: PathsConfig = field(default_factory=PathsConfig)

    @property
    def work_folder(self) -> str:
        """`work`, or its place under paths.outputs."""
        name = self.decomposer.name if self.decomposer else ""
        for part, ending in ((self.intent, "_intent"), (self.rrm, "_rrm"), (self.editor, "")):
            name = part.name + ending if part is not None else name
        return self.work or f"{self.paths.outputs}/pretrain-{name}"

    @property
    def supervised(self) -> tuple[str, StartConfig]:
        """The numbers of the decomposer's supervised start, and the key where they are."""
        direct = getattr(self.decomposer, "recipe", "") == "direct"
        return ("direct", self.direct) if direct else ("start", self.start)


__all__ = [
    "AutoencoderConfig",
    "ColdStartConfig",
    "DirectStartConfig",
    "FlowMatchingConfig",
    "IntentStartConfig",
    "PretrainConfig",
    "SeeingConfig",
    "StartConfig",
    "VisionWarmupConfig",
]
