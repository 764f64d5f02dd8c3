"""What the diffusers pipelines of flow editors have in common: geometry, encoding, noise, schedule, guidance and decoding.

The pipelines' own parts and helpers do the work (VAE, packing, scheduler). Their `__call__` is not used: it decides sizes by
itself, takes no batches of different texts (Qwen Plus), and ignores true_cfg without a negative prompt.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift  # the Qwen pipelines hold copies of it
from PIL import Image
from torch import Tensor, nn

from common.errors import BadInput
from editors.conditioning import Conditioning, TextEmbeddings
from editors.flow import check_finite
from editors.forwards import plan_forwards
from editors.geometry import Fit, fit_to_grid
from editors.settings import FlowSettings, Forwards
from editors.steps import Sigma

PIXELS_AT_ONCE = 1024 * 1024  # through the VAE: its activations are larger than the transformer's
Pair: TypeAlias = tuple[int, str]  # the number of the distinct picture, and the instruction


class PipelineModel(ABC):
    """A `FlowModel` over a diffusers pipeline; subclasses know how their family reads text and packs latents.

    Raises BadInput where the pipeline cannot do what the settings ask for.
    """

    family = ""
    takes_masks = False  # whether the transformer hides the padding of a text

    def __init__(self, pipe: Any, settings: FlowSettings, forwards: Forwards | None = None) -> None:
        self.pipe, self.settings, self.forwards = pipe, settings, forwards or Forwards()
        self.smallest_multiple: int = pipe.vae_scale_factor * 2  # latents are packed two by two
        self.multiple = settings.multiple or self.smallest_multiple
        if self.multiple % self.smallest_multiple:
            raise BadInput(
                f"multiple={self.multiple}: {self.family} needs a multiple of {self.smallest_multiple} pixels"
            )
        if settings.area < self.multiple**2:
            raise BadInput(
                f"area={settings.area} has no room for a grid of {self.multiple}; use {self.multiple**2} or more"
            )
        self._check_scheduler()
        self._check_guidance()

    def _check_scheduler(self) -> None:
        scheduler = self.pipe.scheduler
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            raise BadInput(
                f"{self.family} is run with FlowMatchEulerDiscreteScheduler; this pipeline has {type(scheduler).__name__}"
            )
        for flag in ("stochastic_sampling", "invert_sigmas"):
            if scheduler.config.get(flag):
                raise BadInput(f"the scheduler's {flag} is on; this editor's steps are Euler's from noise to picture")

    def _check_guidance(self) -> None:
        embedded, guidance = bool(self.pipe.transformer.config.guidance_embeds), self.settings.guidance
        if guidance is not None and not embedded:
            raise BadInput(
                f"guidance={guidance} would be ignored: this checkpoint has no guidance embedding (transformer/config.json: "
                "guidance_embeds is false); leave guidance out, and use true_cfg to guide"
            )
        if guidance is None and embedded:
            raise BadInput(
                "this checkpoint was distilled with a guidance embedding; say which guidance (FLUX Kontext: 2.5)"
            )

    # ------------------------------------------------------------------------------------------------ geometry
    @property
    def grids(self) -> tuple[tuple[int, int], ...] | None:
        """The grids (width, height) that the family was trained on, or None where any will do."""
        return None

    def fit(self, image: Image.Image) -> tuple[Image.Image, Fit]:
        """See `editors.geometry.plan_fit`."""
        return fit_to_grid(image, self.settings.area, self.multiple, self.grids)

    def _latent_size(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of unpacked latents."""
        return grid[1] // self.pipe.vae_scale_factor, grid[0] // self.pipe.vae_scale_factor

    # ------------------------------------------------------------------------------------------------ encoding
    @torch.no_grad()
    def prepare(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> Conditioning:
        """Encode pictures of one size (as `fit` gives them) and their instructions; equal ones are encoded once.

        Raises BadInput where the pictures differ in size or are not on the grid.
        """
        if not images or len(images) != len(instructions):
            raise BadInput(
                f"one instruction per picture is needed: {len(images)} pictures, {len(instructions)} instructions"
            )
        grid = images[0].size
        if (
            len({image.size for image in images}) > 1
            or grid[0] % self.smallest_multiple
            or grid[1] % self.smallest_multiple
        ):
            raise BadInput(
                f"a batch has one size, in multiples of {self.smallest_multiple}: got {sorted({i.size for i in images})}; use fit"
            )
        keys: dict[bytes, int] = {}
        distinct: list[Image.Image] = []
        which = []  # of the distinct pictures, row by row
        for image in images:
            row = keys.setdefault(image.tobytes(), len(distinct))
            if row == len(distinct):
                distinct.append(image)
            which.append(row)
        pairs = list(zip(which, instructions, strict=True))
        text, negative = self._texts(distinct, pairs)
        source = self._encode_pictures(distinct)[torch.as_tensor(which, device=self.device)]
        return Conditioning(grid, source, text, negative)

    @abstractmethod
    def encode_text(
        self, pictures: Sequence[Image.Image], instructions: Sequence[str], length: int | None = None
    ) -> TextEmbeddings:
        """Encode row b's instruction, with row b's picture where the family reads it, one by one: equal rows are not shared.

        Gradients are kept. `length` is the number of tokens that the instructions are padded to in a family that pads them to
        a fixed length; None takes `settings.max_sequence_length`.
        """

    def text_length(self, instruction: str) -> int:
        """See `FlowModel`: a family pads to the longest of a batch unless it says otherwise."""
        return 0

    def unread(self, instructions: Sequence[str]) -> list[str]:
        """See `FlowModel`: a family reads everything unless it says otherwise."""
        return [""] * len(instructions)

    @abstractmethod
    def _texts(
        self, pictures: Sequence[Image.Image], pairs: Sequence[Pair]
    ) -> tuple[TextEmbeddings, TextEmbeddings | None]:
        """The embeddings of the pairs, row by row, and those of the negative prompt where guidance is on."""

    def _encode_pictures(self, pictures: Sequence[Image.Image]) -> Tensor:
        """[B, N, C]: the mode of the VAE's latents, packed."""
        width, height = pictures[0].size
        packed = []
        for chunk in _chunks(pictures, width * height):
            pixels = self.pipe.image_processor.preprocess(list(chunk), height, width)
            packed.append(self.pack(self.encode_pixels(pixels.to(self.device, self.pipe.vae.dtype)).float()))
        return torch.cat(packed)

    @abstractmethod
    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """The mode of the VAE's latents of [B, 3, H, W] in [-1, 1], at the transformer's scale and in the VAE's own shape.
        Gradients are kept."""

    def pack(self, latents: Tensor) -> Tensor:
        """Latents in the VAE's shape, [B, C, h, w] or [B, C, 1, h, w], as the transformer's tokens [B, h/2 * w/2, 4 C]."""
        channels = self.pipe.transformer.config.in_channels // 4
        return self.pipe._pack_latents(latents, len(latents), channels, *latents.shape[-2:])

    # ------------------------------------------------------------------------------------------------ sampling
    def noise(self, conditioning: Conditioning, seeds: Sequence[int]) -> Tensor:
        """[B, N, C]: standard normal, drawn on the CPU in float32, so that a seed means the same on any device and in any batch.

        Raises BadInput where there is not one seed per row.
        """
        if len(seeds) != len(conditioning):
            raise BadInput(f"one seed per row is needed: {len(conditioning)} rows, {len(seeds)} seeds")
        shape = (1, self.pipe.transformer.config.in_channels // 4, *self._latent_size(conditioning.grid))
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
        return self.pack(torch.cat(drawn)).to(self.device)

    def sigmas(self, conditioning: Conditioning, steps: int) -> Tensor:
        """[S + 1], falling to 0: the pipeline's schedule, shifted by the number of tokens where the scheduler is so configured.

        Raises BadInput where that configuration allows no schedule of so few steps.
        """
        scheduler = deepcopy(self.pipe.scheduler)  # set_timesteps changes it
        config = scheduler.config
        mu = calculate_shift(
            conditioning.source.shape[1],
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.15),
        )
        with np.errstate(all="ignore"):
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
        sigmas = scheduler.sigmas
        if not (bool(sigmas.isfinite().all()) and sigmas[0] > 0.99 and bool((sigmas.diff() < 0).all())):
            raise BadInput(
                f"the scheduler's configuration gives no schedule of {steps} steps from noise to picture ({sigmas.tolist()}); "
                "use more steps"
            )
        return sigmas.to(self.device)

    def velocity(self, conditioning: Conditioning, latents: Tensor, sigma: Sigma) -> Tensor:
        """[B, N, C] in float32, classifier-free guidance included where the settings say so. Gradients are kept."""
        time = torch.as_tensor(sigma, dtype=torch.float32, device=self.device).expand(len(latents))
        texts = [conditioning.text] + ([] if conditioning.negative is None else [conditioning.negative])
        conditional, *unconditional = self._branches(conditioning, texts, latents, time)
        return self._guide(conditional, unconditional[0]) if unconditional else conditional

    def _guide(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Classifier-free guidance (arXiv 2207.12598), w = true_cfg."""
        return unconditional + self.settings.true_cfg * (conditional - unconditional)

    def _branches(
        self, conditioning: Conditioning, texts: Sequence[TextEmbeddings], latents: Tensor, time: Tensor
    ) -> list[Tensor]:
        """[B, N, C] for each text: the velocities without guidance, by as many forwards as `self.forwards` says."""
        how, source = self.forwards, conditioning.source
        if not how.both_branches and (how.padded or all(text.mask is None for text in texts)):
            named = zip(("cond", "uncond"), texts, strict=False)
            return [self._forward(name, conditioning.grid, source, text, latents, time) for name, text in named]
        if not self.takes_masks:
            how = replace(how, padded=False)
        velocities: dict[tuple[int, int], Tensor] = {}
        for forward in plan_forwards(texts, how):
            rows = torch.as_tensor([row for _, row in forward.rows], device=latents.device)
            args = (source[rows], forward.text, latents[rows], time[rows])
            velocities |= zip(forward.rows, self._forward(forward.name, conditioning.grid, *args), strict=True)
        return [torch.stack([velocities[b, i] for i in range(len(latents))]) for b in range(len(texts))]

    def _forward(
        self, name: str, grid: tuple[int, int], source: Tensor, text: TextEmbeddings, latents: Tensor, time: Tensor
    ) -> Tensor:
        """[B, N, C]: the velocity of the result's tokens. Forwards of one name have one cache, where caching is on."""
        dtype = self.pipe.transformer.dtype
        tokens = torch.cat([latents, source], 1).to(dtype)
        with self._cache(name):
            out = self.pipe.transformer(
                hidden_states=tokens,
                timestep=time.to(dtype),
                guidance=self._guidance(len(latents)),
                encoder_hidden_states=text.embeds.to(dtype),
                return_dict=False,
                **self._arguments(grid, len(latents), text),
            )[0]
        return out[:, : latents.shape[1]].float()

    def _cache(self, name: str) -> AbstractContextManager[Any]:
        """Entering a context of diffusers' caches walks through all modules, which at small sizes costs more than a block."""
        transformer = self.pipe.transformer
        return transformer.cache_context(name) if transformer.is_cache_enabled else nullcontext()

    def _guidance(self, rows: int) -> Tensor | None:
        if self.settings.guidance is None:
            return None
        return torch.full([rows], self.settings.guidance, dtype=torch.float32, device=self.device)

    @abstractmethod
    def _arguments(self, grid: tuple[int, int], rows: int, text: TextEmbeddings) -> dict[str, Any]:
        """The arguments of this family's transformer besides tokens, time and text."""

    # ------------------------------------------------------------------------------------------------ decoding
    @torch.no_grad()
    def decode_pixels(self, conditioning: Conditioning, latents: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1], float32. Raises RunFailed where the VAE gives NaN or infinities."""
        width, height = conditioning.grid
        latents = self.pipe._unpack_latents(latents, height, width, self.pipe.vae_scale_factor)
        chunks = _chunks(latents, width * height)
        pixels = torch.cat([self.decode_latents(chunk).float() for chunk in chunks])
        check_finite(pixels, "the decoded pictures")
        return (pixels / 2 + 0.5).clamp(0, 1)

    @abstractmethod
    def decode_latents(self, latents: Tensor) -> Tensor:
        """The inverse of `encode_pixels`: unpacked latents at the transformer's scale to pixels [B, 3, H, W] in about [-1, 1].
        Gradients are kept."""

    def decode(self, conditioning: Conditioning, latents: Tensor) -> list[Image.Image]:
        """`decode_pixels` as 8-bit pictures."""
        pixels = (self.decode_pixels(conditioning, latents) * 255).round().byte()
        return [Image.fromarray(picture) for picture in pixels.permute(0, 2, 3, 1).cpu().numpy()]

    # ------------------------------------------------------------------------------------------------ the parts
    @property
    def transformer(self) -> nn.Module:
        """The network that predicts velocities."""
        return self.pipe.transformer

    def with_transformer(self, transformer: nn.Module) -> Self:
        """The same model with another transformer of the same kind; all other parts are shared."""
        model = copy(self)
        model.pipe = copy(self.pipe)
        model.pipe.transformer = transformer
        return model

    @property
    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """The transformer's blocks, first to last. Each returns (text tokens, picture tokens [B, 2 N, D]), the result's N tokens
        before the source's."""

    @property
    def device(self) -> torch.device:
        """Where the parts compute; with offloading, where they are moved to."""
        return self.pipe._execution_device

    @property
    def tiled(self) -> bool:
        """Whether the VAE decodes in tiles."""
        return bool(getattr(self.pipe.vae, "use_tiling", False))

    def reset(self) -> None:
        """Empty the caches of the transformer's blocks: they belong to one sampling."""
        self.pipe.transformer._reset_stateful_cache()

    def release(self) -> None:
        """Move every part back to main memory where model offloading is on; otherwise only empty caches."""
        self.pipe.maybe_free_model_hooks()


def _chunks(items: Any, pixels: int) -> Iterator[Any]:
    """Slices of as many items as the VAE takes at once."""
    size = max(1, PIXELS_AT_ONCE // pixels)
    return (items[i : i + size] for i in range(0, len(items), size))


__all__ = ["Pair", "PipelineModel"]
